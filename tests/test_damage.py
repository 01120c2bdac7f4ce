"""Damaged files of a study: named in a line, set aside, and only what was damaged is made again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_mixes.storage import checksum_file, seal, sha256_of
from harness.runs.checkpoints import STATE, last_whole_checkpoint, seal_checkpoint
from harness.runs.damage import damage_in, mend
from harness.runs.record import read_json, write_json
from tests.attacks import (
    FOLDERS,
    KINDS,
    WAYS,
    deleted,
    file_of,
    flipped,
    folder,
    garbage,
    half,
    lasting,
    made_again,
    no_hang,
    train_in_this_process,
)
from tests.support import Ended, harness, small_recipe

CELLS = ["amount-0", "amount-3"]
SEALED = (
    "amount-3/record.json", "amount-3/adapter/adapter_config.json", "amount-3/adapter/adapter_model.safetensors",
    "study.json", "plan.json", "pace.json", "evaluation/canary.json", "evaluation/generations/*.jsonl",
    "prompts.parquet", "predictions.parquet", "scores.parquet",
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A recipe's folder with a whole study, evaluated and sealed."""
    folder = tmp_path_factory.mktemp("finished")
    recipe = small_recipe(tiny_model)
    del recipe["evaluation"]["max_tokens"]  # the study notes the lengths that it begins with
    recipe["evaluation"]["decoding"] = {"math": {"stop": ["\n"]}}
    (folder / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        train_in_this_process(patched)
        done = harness("run", folder / "recipe.yaml", "--runs", folder / "runs")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished / "runs" / "small", tmp_path / "runs" / "small")
    return tmp_path / "runs" / "small"


@pytest.fixture
def trained_here(monkeypatch: pytest.MonkeyPatch) -> None:
    train_in_this_process(monkeypatch)


def run_again(finished: Path, study: Path) -> Ended:
    with no_hang(120):
        ended = harness("run", finished / "recipe.yaml", "--runs", study.parent)
    assert ended.returncode == 0, ended.stderr
    assert damage_in(study, CELLS) == []
    for table in ("scores.parquet", "predictions.parquet"):
        assert pl.read_parquet(study / table).equals(pl.read_parquet(finished / "runs" / "small" / table)), table
    return ended


def test_a_finished_study_has_no_damage_and_a_checksum_beside_every_file(study: Path) -> None:
    assert damage_in(study, CELLS) == []
    assert all(checksum_file(file_of(study, kind)).is_file() for kind in SEALED)


@pytest.mark.parametrize("way", [way for way in WAYS if way is not deleted], ids=lambda way: way.__name__)
@pytest.mark.parametrize("kind", SEALED)
def test_every_damage_is_named_and_set_aside(kind: str, way: Callable[[Path], None], study: Path) -> None:
    path = file_of(study, kind)
    way(path)
    (damage,) = damage_in(study, CELLS)
    assert str(damage).startswith(f"{path.relative_to(study)} is damaged: ")
    (told,) = mend(study, CELLS)
    assert f"set aside as {path.name}.damaged" in told
    assert not path.exists() and path.with_name(f"{path.name}.damaged").exists()
    assert damage_in(study, CELLS) == [] and mend(study, CELLS) == []
    if "adapter" in kind:
        assert read_json(study / "amount-3" / "record.json")["state"] == "training"


@pytest.mark.parametrize("name", ["record.json", "adapter/adapter_model.safetensors", "adapter/adapter_config.json"])
def test_what_is_gone_of_a_trained_cell_is_trained_again(name: str, study: Path) -> None:
    (study / "amount-3" / name).unlink()
    assert mend(study, CELLS) == [f"amount-3/{name} is damaged: it is missing; amount-3 is to be trained again"]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_where_a_folder_should_be(name: str, study: Path) -> None:
    shutil.rmtree(study / name)
    (study / name).write_text("x")
    assert f"{name} is damaged: a file stands in its place; set aside as" in mend(study, CELLS)[0]
    assert mend(study, CELLS) == []


def test_a_file_where_the_study_should_be(study: Path) -> None:
    shutil.rmtree(study)
    study.write_text("x")
    assert mend(study, CELLS) == ["small is damaged: a file stands in its place; set aside as small.damaged"]


def test_files_without_a_checksum_are_believed(study: Path) -> None:
    for checksum in study.rglob(".*.sha256"):
        checksum.unlink()
    assert damage_in(study, CELLS) == []


def test_weights_are_read_once(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, read = study / "amount-3" / "adapter" / "adapter_model.safetensors", list[str]()
    digest = hashlib.file_digest

    def noting(file: Any, name: str) -> Any:
        read.append(Path(file.name).name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", noting)
    damage_in(study, CELLS)
    assert read.count(weights.name) == 2, "once for each cell"
    damage_in(study, CELLS)
    assert read.count(weights.name) == 2
    flipped(weights)
    assert [damage.path for damage in damage_in(study, CELLS)] == [weights]


def checkpoint(folder: Path, steps: int, sealed: bool = True) -> Path:
    path = folder / f"checkpoint-{steps}"
    path.mkdir(parents=True)
    for name in ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
        (path / name).write_bytes(f"{name} {steps}".encode() * 99)
    (path / STATE).write_text(json.dumps({"global_step": steps}))
    if sealed:
        seal_checkpoint(path)
    return path


@pytest.fixture
def unfinished(study: Path) -> Path:
    """The checkpoints of a cell in training: two that are whole, and one that was being written."""
    record = study / "amount-3" / "record.json"
    write_json(record, read_json(record) | {"state": "training"})
    for steps, sealed in ((2, True), (10, True), (12, False)):
        checkpoint(study / "amount-3" / "checkpoints", steps, sealed)
    return study / "amount-3" / "checkpoints"


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", ["optimizer.pt", "adapter_model.safetensors", "rng_state.pth", STATE])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_next(
    name: str, way: Callable[[Path], None], unfinished: Path, study: Path
) -> None:
    assert last_whole_checkpoint(unfinished) == unfinished / "checkpoint-10"
    way(unfinished / "checkpoint-10" / name)
    assert last_whole_checkpoint(unfinished) == unfinished / "checkpoint-2"
    (told,) = mend(study, CELLS)
    assert told.startswith(f"amount-3/checkpoints/checkpoint-10 is damaged: {name}")
    assert told.endswith("; set aside as checkpoint-10.damaged")
    assert damage_in(study, CELLS) == []
    way(unfinished / "checkpoint-2" / name)
    assert last_whole_checkpoint(unfinished) is None, "training goes back to the start"


def test_a_file_where_a_checkpoint_should_be(unfinished: Path, study: Path) -> None:
    shutil.rmtree(unfinished / "checkpoint-10")
    (unfinished / "checkpoint-10").write_text("x")
    assert last_whole_checkpoint(unfinished) == unfinished / "checkpoint-2"
    assert "checkpoint-10 is damaged: a file stands in its place" in mend(study, CELLS)[0]


def test_rows_and_jobs_of_a_cell_in_training(study: Path) -> None:
    rows = study / "plan" / "rows-0.arrow"
    rows.parent.mkdir()
    rows.write_bytes(b"rows")
    seal(rows, sha256_of(rows))
    flipped(rows)
    (study / "amount-3" / "job.json").mkdir()
    told = mend(study, CELLS)
    assert any(line.startswith("plan/rows-0.arrow is damaged") for line in told)
    assert any(line.startswith("amount-3/job.json is damaged: a folder stands in its place") for line in told)
    assert not any("trained again" in line for line in told)


def test_status_and_report_say_it_and_go_on_with_the_rest(finished: Path, study: Path) -> None:
    half(study / "amount-3" / "record.json")
    flipped(study / "predictions.parquet")
    (study / "report.html").unlink()
    (study / "report.html").mkdir()
    status = harness("status", finished / "recipe.yaml", "--runs", study.parent, "--json")
    assert status.returncode == 0 and "amount-3/record.json is damaged" in status.stderr
    states = {cell["name"]: cell["state"] for cell in json.loads(status.stdout)["cells"]}
    assert states == {"base": "untuned", "amount-0": "trained", "amount-3": "damaged"}
    report = harness("report", finished / "recipe.yaml", "--runs", study.parent, "--json")
    assert report.returncode == 0 and "predictions.parquet is damaged" in report.stderr
    assert "amount-0" in report.stdout and (study / "report.html").is_file()


def test_what_needs_a_table_that_is_gone_says_so(finished: Path, study: Path) -> None:
    (study / "predictions.parquet").unlink()
    compared = harness("compare", finished / "recipe.yaml", "amount-3", "base", "--runs", study.parent)
    assert compared.returncode == 1 and "predictions.parquet is damaged: it is missing; harness run" in compared.stderr


def test_a_folder_in_the_place_of_a_table_is_set_aside_once(finished: Path, study: Path) -> None:
    (study / "summary.csv").unlink(missing_ok=True)
    (study / "summary.csv").mkdir()
    report = harness("report", finished / "recipe.yaml", "--runs", study.parent)
    assert report.returncode == 0 and (study / "summary.csv").is_file() and (study / "summary.csv.damaged").is_dir()


@pytest.mark.usefixtures("trained_here")
@pytest.mark.parametrize("way", [deleted, flipped, folder], ids=lambda way: way.__name__)
def test_every_file_damaged_at_once(way: Callable[[Path], None], finished: Path, study: Path) -> None:
    """One cell's files and all that is shared: the other cell stays as it is, and the scores end the same."""
    before = lasting(study)
    for kind in KINDS:
        way(file_of(study, kind))
    for command in (("status",), ("report", "--json"), ("compare", "amount-3", "base"), ("plan", "--json")):
        with no_hang(60):
            ended = harness(command[0], finished / "recipe.yaml", *command[1:], "--runs", study.parent)
        assert ended.returncode in (0, 1, 2) and "Traceback" not in ended.stderr
    run_again(finished, study)
    assert made_again(before, study, [path for redone in KINDS.values() for path in redone]) == []


@pytest.mark.usefixtures("trained_here")
@pytest.mark.parametrize(
    ("kind", "way", "redone"),
    [
        ("amount-3/adapter/adapter_model.safetensors", flipped, "train: 1 cell"),
        ("amount-3/record.json", deleted, "train: 1 cell"),
        ("evaluation/generations/*.jsonl", half, "36 to generate"),
        ("evaluation/canary.json", garbage, "all there already"),
        ("study.json", garbage, "every cell is already trained"),
    ],
)
def test_run_makes_again_what_was_damaged_and_nothing_else(
    kind: str, way: Callable[[Path], None], redone: str, finished: Path, study: Path
) -> None:
    before = lasting(study)
    way(file_of(study, kind))
    said = run_again(finished, study).stderr
    assert "is damaged" in said and redone in said
    assert made_again(before, study, KINDS[kind]) == []
    assert set(read_json(study / "evaluation" / "canary.json")) == {"base", *CELLS}
