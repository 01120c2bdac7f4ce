"""harness compare: settings are their runs under all seeds, cells are one run each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from harness.planning.study import Study
from tests.support import harness

Write = Callable[[dict[str, Any]], Path]
LUCK = {"0": 0.10, "1": -0.10, "2": 0.0}
"""Seed → what is added to the scores of its run with more French."""


@pytest.fixture
def study(recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path) -> tuple[Path, Path]:
    """Two mixtures under three seeds, scored on forty items: more French is better by 0.2, and by a seed's luck."""
    recipe_data["grid"]["seed"] = {"path": "training.seed", "values": [0, 1, 2]}
    recipe_data["evaluation"] |= {"tasks": ["math"], "max_tokens": {"math": 8}}
    recipe, runs = write_recipe(recipe_data), tmp_path / "runs"
    rng, rows = np.random.default_rng(0), list[dict[str, Any]]()
    hardness = rng.uniform(0.2, 0.6, 40)
    for plan in Study(recipe, runs).plans:
        plan.run.begin()
        plan.run.update(state="trained", adapter=plan.name)
        amount, seed = plan.name.removeprefix("amount-").split("_seed-")
        gain = 0.2 + LUCK[seed] if amount == "3" else 0.0
        for language in ("en", "fr", "ja"):
            for item, value in enumerate(hardness + gain + rng.normal(0, 0.02, 40)):
                rows.append({"cell": plan.name, "adapter": plan.name, "task": "math", "language": language,
                             "item": f"{item}", "id": f"{item}@{language}", "metric": "accuracy", "value": value,
                             "version": "v/1", "answer": None, "reason": None, "main": True})  # fmt: skip
    scores = pl.DataFrame(rows, schema_overrides={"answer": pl.String, "reason": pl.String})
    scores.write_parquet(runs / "small" / "scores.parquet")
    written = scores.select("cell", "adapter", "task", "language", "item", "id")
    written.with_columns(prompt=pl.lit("?"), reference=pl.lit("!"), completion=pl.col("cell")).write_parquet(
        runs / "small" / "predictions.parquet"
    )
    return recipe, runs


def compare(study: tuple[Path, Path], one: str, other: str) -> dict[str, Any]:
    recipe, runs = study
    done = harness("compare", recipe, one, other, "--runs", runs, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_settings_are_compared_over_seeds(study: tuple[Path, Path]) -> None:
    settings, cells = compare(study, "amount-3", "amount-0"), compare(study, "amount-3_seed-0", "amount-0_seed-0")
    for mixture, model in zip(settings["differences"], cells["differences"], strict=True):
        assert mixture["over_seeds"] and mixture["runs"] == 3 and mixture["difference"] == pytest.approx(0.2, abs=0.02)
        assert not model["over_seeds"] and model["runs"] == 1 and model["difference"] == pytest.approx(0.3, abs=0.02)
        wide, narrow = (row["high"] - row["low"] for row in (mixture, model))
        assert wide > 5 * narrow, "the luck of seeds is in the interval of the mixtures"
    flipped = settings["flipped"][0]
    assert flipped["answers"]["amount-3"]["completion"] == "amount-3_seed-0"


def test_the_table_says_what_its_figures_are_of(study: tuple[Path, Path]) -> None:
    recipe, runs = study
    shown = harness("compare", recipe, "amount-3", "amount-0", "--runs", runs, "--show", 0).stdout
    assert "Adjusted: here for a task's languages" in shown
    assert "Over items and seeds" in shown and "Of these two models" not in shown
    shown = harness("compare", recipe, "amount-3_seed-1", "amount-0_seed-1", "--runs", runs, "--show", 0).stdout
    assert "Of these two models" in shown
    refused = harness("compare", recipe, "amount-4", "amount-0", "--runs", runs)
    assert refused.returncode == 2 and "did you mean 'amount-" in refused.stderr
