"""harness train: the cells that are not trained, by the executor that harness run uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.executors import local
from harness.planning.study import Study
from tests.support import harness

Write = Callable[[dict[str, Any]], Path]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], int | None]]:
    """The cells that a training was started for, and by how many processes; it ends with status 3."""
    calls: list[tuple[list[str], int | None]] = []
    monkeypatch.setattr(
        local,
        "launch_training",
        lambda study, names, processes, execution: (calls.append((list(names), processes)), 3)[1],
    )
    return calls


def test_what_is_not_trained_is_trained(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path, launched: list[Any]
) -> None:
    recipe, runs = write_recipe(recipe_data), tmp_path / "runs"
    first = next(plan.run for plan in Study(recipe, runs).plans)
    first.begin()
    first.update(state="diverged")
    ended = harness("train", recipe, "--runs", runs)
    assert launched == [(["amount-3"], None)] and ended.returncode == 3
    assert "amount-0: diverged already" in ended.stderr and "training ended with status 3" in ended.stderr
    assert (runs / "small" / "amount-3" / "job.json").is_file()


def test_nothing_is_started_where_nothing_is_left(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path, launched: list[Any]
) -> None:
    recipe, runs = write_recipe(recipe_data), tmp_path / "runs"
    for plan in Study(recipe, runs).plans:
        plan.run.begin()
        plan.run.update(state="diverged")
    ended = harness("train", recipe, "--runs", runs)
    assert ended.returncode == 0 and not launched and "every cell is already trained" in ended.stderr
