"""Cells that come out alike are one: trained once, with all of their names and places."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.planning.design import design_of, other_places
from harness.planning.kept_plan import planned_study
from harness.planning.study import Study
from harness.recipe.grid import choose, name_of
from tests.support import harness

Write = Callable[[dict[str, Any]], Path]


@pytest.fixture
def scripts(recipe_data: dict[str, Any]) -> dict[str, Any]:
    """Three sets of languages by two amounts, of which one is 0."""
    recipe_data["languages"] = {"seen": ["en", "fr", "es", "ja"]}
    sets = {"latin": ["fr", "es"], "other": ["ja"], "all": ["fr", "es", "ja"]}
    recipe_data["grid"] = {
        "scripts": {"path": "mixture.others.languages", "values": sets},
        "amount": {"path": "mixture.others.amount", "values": [0, 2]},
    }
    return recipe_data


def test_nothing_of_three_languages_is_nothing_of_two(
    scripts: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe(scripts)
    study = Study(recipe, tmp_path / "runs")
    assert [cell.names for cell in study.cells] == [
        ("scripts-latin_amount-0", "scripts-other_amount-0", "scripts-all_amount-0"),
        ("scripts-latin_amount-2",),
        ("scripts-other_amount-2",),
        ("scripts-all_amount-2",),
    ]
    assert planned_study(recipe, tmp_path / "runs").cells == study.cells, "those of the kept plan are the same"
    assert planned_study(recipe, tmp_path / "runs").cells == study.cells
    assert [cell.name for cell in choose(study.cells, "scripts-all_amount-0")] == ["scripts-latin_amount-0"]
    assert name_of(study.cells, "scripts-all_amount-0") == "scripts-latin_amount-0"
    curves = design_of(study.recipe, study.cells).curves
    assert [curve.settings for curve in curves] == [
        ("scripts-latin_amount-0", f"scripts-{name}_amount-2") for name in ("latin", "other", "all")
    ]
    places = other_places(study.recipe, study.cells)
    assert places == {"scripts-latin_amount-0": [{"scripts": name, "amount": 0} for name in ("other", "all")]}


def test_the_plan_says_so_and_each_pair_differs_in_one_factor(
    scripts: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    done = harness("plan", write_recipe(scripts), "--runs", tmp_path / "runs")
    assert "scripts-latin_amount-0 is also scripts-other_amount-0, scripts-all_amount-0" in done.stdout
    assert "each in one factor" in done.stdout, done.stdout
    plan = json.loads(harness("plan", write_recipe(scripts), "--runs", tmp_path / "runs", "--json").stdout)
    assert [len(cell["also"]) for cell in plan["cells"]] == [2, 0, 0, 0]
    pairs = {(each["before"], each["after"]): each["changes"] for each in plan["differences"]}
    assert pairs["scripts-latin_amount-0", "scripts-other_amount-2"] == ["mixture.others.amount 0 → 2"]


def test_a_run_that_is_begun_stays_the_one(scripts: dict[str, Any], write_recipe: Write, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for plan in Study(write_recipe(scripts), runs).plans:
        plan.run.begin()
    sets = scripts["grid"]["scripts"]["values"]
    scripts["grid"]["scripts"]["values"] = {"all": sets["all"], "latin": sets["latin"]}
    study = Study(write_recipe(scripts), runs)
    assert [plan.name for plan in study.plans if plan.run.record] == [
        "scripts-all_amount-2", "scripts-latin_amount-0", "scripts-latin_amount-2"
    ]  # fmt: skip
    assert len(study.plans) == 3


def test_another_training_on_the_same_rows_is_another_cell(
    scripts: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    scripts["grid"]["scripts"] = {"path": "adapter.rank", "values": [2, 4]}
    assert [len(cell.names) for cell in Study(write_recipe(scripts), tmp_path).cells] == [1, 1, 1, 1]
    scripts["grid"]["scripts"] = {"path": "training.micro_batch", "values": [1, 2]}
    assert [len(cell.names) for cell in Study(write_recipe(scripts), tmp_path).cells] == [2, 2], "no other result"
