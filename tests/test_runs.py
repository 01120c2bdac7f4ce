"""Run folders: the same experiment resumes, another is refused with the difference."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.runs.cells import open_cells
from harness.runs.locks import locked
from harness.runs.record import differences, fingerprint, read_json, write_json


def test_the_same_experiment_resumes_and_another_is_refused_with_the_difference(tmp_path: Path) -> None:
    identity = {"training": {"learning_rate": 0.001, "seed": 0}, "mixture": {"en": 5}}
    open_cells(tmp_path, {"cell": identity})["cell"].begin()
    again = open_cells(tmp_path, {"cell": {"mixture": {"en": 5}, "training": {"seed": 0, "learning_rate": 0.001}}})[
        "cell"
    ]
    assert again.record["state"] == "training" and not again.trained
    with pytest.raises(UserError, match=r"training.learning_rate was 0.001, is 0.002"):
        open_cells(tmp_path, {"cell": {"training": {"learning_rate": 0.002, "seed": 0}, "mixture": {"en": 5}}})["cell"]


def test_what_has_no_stable_form_is_not_hashed() -> None:
    with pytest.raises(TypeError):
        fingerprint({"model": object()})
    with pytest.raises(ValueError):
        fingerprint({"rate": float("nan")})


def test_differences_name_the_fields() -> None:
    assert differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 2}, "d": 3}) == [
        "a.b was 1, is 2",
        "c was 2, is None",
        "d was None, is 3",
    ]


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert read_json(path) is None
    write_json(path, {"a": 1})
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert sorted(file.name for file in tmp_path.iterdir()) == [".record.json.sha256", "record.json"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with locked(path), pytest.raises(UserError, match=rf"in use by process {os.getpid()}"), locked(path):
        pass
    with locked(path):
        pass
