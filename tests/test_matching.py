"""Cells hold one length constant: epochs, steps or supervised tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.planning.study import CellPlan, Study


def plans(data: dict[str, Any], length: dict[str, int], write: Callable[..., Path], runs: Path) -> list[CellPlan]:
    del data["training"]["epochs"]
    data["training"] |= length
    return Study(write(data), runs).plans


def supervised(plan: CellPlan) -> int:
    return int(plan.lengths.supervised_tokens.sum())


def test_steps_can_be_held(recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    small, large = plans(recipe_data, {"steps": 5}, write_recipe, tmp_path)
    assert small.steps == large.steps == 5 and len(small.rows) == len(large.rows) == 20
    assert (small.epochs, large.epochs) == (2.0, 20 / 16)


@pytest.mark.parametrize("budget", [200, 900])
def test_supervised_tokens_can_be_held(
    budget: int, recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    for plan in plans(recipe_data, {"supervised_tokens": budget}, write_recipe, tmp_path):
        longest = plan.lengths.supervised_tokens.max()
        assert budget - longest < supervised(plan) <= budget


def test_the_rows_trained_on_are_those_of_the_mixture(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    whole = Study(write_recipe(recipe_data), tmp_path).plans
    held = plans(recipe_data, {"steps": 9}, write_recipe, tmp_path / "held")
    for one, other in zip(whole, held, strict=True):
        assert {row.id for row in one.rows} == {row.id for row in other.rows}
        assert one.rows[:] == other.rows[: len(one.rows)]
