"""Damaged files of a study: named in a line, set aside, and only what was damaged is made again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data_mixes.storage import checksum_file
from harness.runs.damage import damage_in, mend
from harness.runs.record import read_json
from tests.support import REPOSITORY, harness

CELLS = ["amount-0", "amount-3"]


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 8)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


WAYS: list[Callable[[Path], None]] = [half, empty, flipped, garbage, folder]
FILES = (
    "amount-3/record.json", "amount-3/adapter/adapter_config.json", "amount-3/adapter/adapter_model.safetensors",
    "study.json", "plan.json", "evaluation/canary.json", "predictions.parquet", "scores.parquet",
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A recipe's folder with a whole study, evaluated and sealed."""
    from tests.support import small_recipe

    place = tmp_path_factory.mktemp("finished")
    (place / "recipe.yaml").write_text(json.dumps(small_recipe(tiny_model)), encoding="utf-8")
    done = harness("run", place / "recipe.yaml", "--runs", place / "runs")
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished / "runs" / "small", tmp_path / "small")
    return tmp_path / "small"


def chunk(study: Path) -> Path:
    return next((study / "evaluation" / "generations").glob("*.jsonl"))


def test_a_finished_study_has_no_damage_and_a_checksum_beside_every_file(study: Path) -> None:
    assert damage_in(study, CELLS) == []
    assert all(checksum_file(study / name).is_file() for name in FILES) and checksum_file(chunk(study)).is_file()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", [*FILES, "chunk"])
def test_every_damage_is_named_and_set_aside(name: str, way: Callable[[Path], None], study: Path) -> None:
    path = chunk(study) if name == "chunk" else study / name
    way(path)
    (damage,) = damage_in(study, CELLS)
    assert str(damage).startswith(f"{path.relative_to(study)} is damaged: ")
    (told,) = mend(study, CELLS)
    assert f"set aside as {path.name}.damaged" in told
    assert not path.exists() and path.with_name(f"{path.name}.damaged").exists()
    assert damage_in(study, CELLS) == [] and mend(study, CELLS) == []
    if "adapter" in name:
        assert read_json(study / "amount-3" / "record.json")["state"] == "training"


def test_an_adapter_that_is_gone_is_trained_again(study: Path) -> None:
    (study / "amount-3" / "adapter" / "adapter_model.safetensors").unlink()
    assert mend(study, CELLS) == [
        "amount-3/adapter/adapter_model.safetensors is damaged: it is missing; amount-3 is to be trained again"
    ]


@pytest.mark.parametrize("name", ["amount-0", "evaluation", "amount-3/adapter"])
def test_a_file_where_a_folder_should_be(name: str, study: Path) -> None:
    shutil.rmtree(study / name)
    (study / name).write_text("x")
    assert f"{name} is damaged: a file stands in its place; set aside as" in mend(study, CELLS)[0]
    assert mend(study, CELLS) == []


def test_files_without_a_checksum_are_believed(study: Path) -> None:
    for seal in study.rglob(".*.sha256"):
        seal.unlink()
    assert damage_in(study, CELLS) == []


def copied(finished: Path, tmp_path: Path) -> tuple[Path, Path]:
    shutil.copytree(finished / "runs", tmp_path / "runs")
    return finished / "recipe.yaml", tmp_path / "runs"


def test_status_and_report_say_it_and_go_on_with_the_rest(finished: Path, tmp_path: Path) -> None:
    recipe, runs = copied(finished, tmp_path)
    half(runs / "small" / "amount-3" / "record.json")
    flipped(runs / "small" / "predictions.parquet")
    status = harness("status", recipe, "--runs", runs, "--json")
    assert status.returncode == 0 and "amount-3/record.json is damaged" in status.stderr
    states = {cell["name"]: cell["state"] for cell in json.loads(status.stdout)["cells"]}
    assert states == {"base": "untuned", "amount-0": "trained", "amount-3": "damaged"}
    report = harness("report", recipe, "--runs", runs, "--json")
    assert report.returncode == 0 and "predictions.parquet is damaged" in report.stderr
    assert "amount-0" in report.stdout and "Traceback" not in report.stderr


@pytest.mark.parametrize(
    ("name", "way", "redone"),
    [
        ("amount-3/adapter/adapter_model.safetensors", flipped, "train: 1 cell"),
        ("amount-3/record.json", garbage, "train: 1 cell"),
        ("chunk", half, "every cell is already trained"),
        ("scores.parquet", folder, "every cell is already trained"),
        ("study.json", empty, "every cell is already trained"),
    ],
)
def test_run_makes_again_what_was_damaged_and_nothing_else(
    name: str, way: Callable[[Path], None], redone: str, finished: Path, tmp_path: Path
) -> None:
    recipe, runs = copied(finished, tmp_path)
    study = runs / "small"
    untouched = (study / "amount-0" / "record.json").read_bytes()
    way(chunk(study) if name == "chunk" else study / name)
    done = harness("run", recipe, "--runs", runs)
    assert done.returncode == 0, done.stderr
    assert "is damaged" in done.stderr and redone in done.stderr
    assert (study / "amount-0" / "record.json").read_bytes() == untouched
    for table in ("scores.parquet", "predictions.parquet"):
        before, after = (pl.read_parquet(place / "small" / table) for place in (finished / "runs", runs))
        assert before.equals(after), table
    assert REPOSITORY.is_dir() and damage_in(study, CELLS) == []
