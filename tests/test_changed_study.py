"""A study whose grid changes: what is trained is found again, and what is no cell any more is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.planning.study import Study
from harness.recipe.grid import choose
from harness.runs.cells import open_cells, orphans, rename
from harness.runs.locks import locked
from tests.support import harness, train_here

Write = Callable[[dict[str, Any]], Path]


def begun(study: Path, **experiments: int) -> None:
    """Runs in folders of these names, told apart by a number."""
    for name, number in experiments.items():
        run = open_cells(study, {name: {"rows": number}})[name]
        run.begin()
        (run.folder / "told").write_text(f"{number}")


def folders(study: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in study.glob("*/told")}


def test_names_follow_what_the_runs_are(tmp_path: Path) -> None:
    begun(tmp_path, a=1, b=2, c=3)
    runs = open_cells(tmp_path, {"a": {"rows": 2}, "b": {"rows": 1}, "c": {"rows": 3}, "d": {"rows": 4}})
    assert {name: run.folder.name for name, run in runs.items()} == {"a": "b", "b": "a", "c": "c", "d": "d"}
    assert len(rename(runs)) == 2
    assert folders(tmp_path) == {"a": "2", "b": "1", "c": "3"}
    assert rename(open_cells(tmp_path, {"a": {"rows": 2}, "b": {"rows": 1}})) == []


def test_a_folder_of_something_else_is_still_refused(tmp_path: Path) -> None:
    begun(tmp_path, a=1)
    with pytest.raises(UserError, match="rows was 1, is 2"):
        open_cells(tmp_path, {"a": {"rows": 2}, "b": {"rows": 3}})


def test_a_run_in_use_keeps_its_name(tmp_path: Path) -> None:
    begun(tmp_path, a=1)
    runs = open_cells(tmp_path, {"b": {"rows": 1}})
    with locked(tmp_path / "a" / ".lock"), pytest.raises(UserError, match="in use"):
        rename(runs)
    assert folders(tmp_path) == {"a": "1"}


def test_what_no_cell_is_any_more_is_named(tmp_path: Path) -> None:
    begun(tmp_path, a=1, b=2)
    runs = open_cells(tmp_path, {"c": {"rows": 1}})
    assert [cell.path.name for cell in orphans(tmp_path, runs.values())] == ["b"]


def test_more_seeds_and_another_axis_keep_what_is_trained(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    recipe_data["grid"]["amount"]["values"] = [0, 2, 3]
    for plan in Study(write_recipe(recipe_data), runs).plans:
        plan.run.begin()
        plan.run.update(state="diverged")
    recipe_data["grid"] = {
        "rank": {"path": "adapter.rank", "values": [8, 16]},
        "amount": {"path": "mixture.others.amount", "values": [0, 3]},
        "seed": {"path": ["training.seed", "mixture.seed"], "values": [0, 1]},
    }
    recipe = write_recipe(recipe_data)
    status = json.loads(harness("status", recipe, "--runs", runs, "--json").stdout)
    states = {cell["name"]: cell["state"] for cell in status["cells"]}
    kept = {"rank-8_amount-0_seed-0", "rank-8_amount-3_seed-0"}
    assert {name for name, state in states.items() if state == "diverged"} == kept
    assert status["orphans"] == ["amount-2"]
    assert (runs / "small" / "amount-0").is_dir(), "a command that only looks renames nothing"
    assert "amount-2: in the study's folder, but in no cell" in harness("plan", recipe, "--runs", runs).stdout
    study = Study(recipe, runs)
    told = study.begin()
    assert "amount-3 is called rank-8_amount-3_seed-0 now, as the recipe names it" in told
    assert {plan.name for plan in study.plans if plan.run.finished} == kept
    assert all(plan.run.folder.name == plan.name for plan in study.plans)


def test_cells_are_chosen_by_patterns(recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path) -> None:
    recipe_data["grid"]["seed"] = {"path": "training.seed", "values": [0, 1]}
    study = Study(write_recipe(recipe_data), tmp_path / "runs")
    chosen = [cell.name for cell in choose(study.cells, "amount-0_*, *_seed-1")]
    assert chosen == ["amount-0_seed-0", "amount-0_seed-1", "amount-3_seed-1"]
    with pytest.raises(UserError, match=r"no cell 'rank-\*'"):
        choose(study.cells, "rank-*")


def test_what_another_study_trained_is_taken_from_there(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    recipe_data["grid"]["amount"]["values"] = [0, 2]
    assert train_here(write_recipe(recipe_data), tmp_path / "runs").returncode == 0
    recipe_data |= {"study": "larger", "share": ["small", "not-there"]}
    recipe_data["grid"]["amount"]["values"] = [0, 2, 3]
    study = Study(write_recipe(recipe_data), tmp_path / "runs")
    told = study.begin()
    assert [line for line in told if "trained already as" in line] == [
        "amount-0: trained already as small/amount-0",
        "amount-2: trained already as small/amount-2",
    ]
    assert [plan.name for plan in study.plans if not plan.run.finished] == ["amount-3"]
    taken, there = (tmp_path / "runs" / name / "amount-2" for name in ("larger", "small"))
    assert json.loads((taken / "record.json").read_text())["shared_from"] == "small/amount-2"
    assert "shared_from" not in json.loads((there / "record.json").read_text())
    weights = [folder / "adapter" / "adapter_model.safetensors" for folder in (taken, there)]
    assert weights[0].samefile(weights[1]), "weights are on the disk once"
    assert all(plan.run.weights.hash == plan.run.weights_hash for plan in study.plans if plan.run.trained)
    assert not any("trained already as" in line for line in study.begin())


def test_a_shared_study_is_a_name(recipe_data: dict[str, Any], write_recipe: Write) -> None:
    refused = harness("plan", write_recipe(recipe_data | {"share": ["../elsewhere"]}))
    assert refused.returncode == 2 and "share.0: got '../elsewhere'; a name is of letters" in refused.stderr
