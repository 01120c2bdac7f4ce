"""What harness plan prints: a large grid in one screen, and mistakes all at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.console import in_groups, size
from tests.support import harness

Write = Callable[[dict[str, Any]], Path]


def large_grid(data: dict[str, Any]) -> dict[str, Any]:
    """96 cells."""
    data["grid"] = {
        "amount": {"path": "mixture.others.amount", "values": [0, 3, 6, 9]},
        "rank": {"path": "adapter.rank", "values": [4, 8, 16]},
        "rate": {"path": "training.learning_rate", "values": [0.01, 0.001]},
        "seed": {"path": "training.seed", "values": [0, 1, 2, 3]},
    }
    return data


def test_a_large_grid_is_shown_by_its_axes_in_one_screen(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe(large_grid(recipe_data))
    shown = harness("plan", recipe, "--runs", tmp_path / "runs").stdout
    lines = shown.splitlines()
    assert len(lines) <= 40, shown
    assert lines[0].strip() == "small: 96 cells (96 new)"
    plan = json.loads(harness("plan", recipe, "--runs", tmp_path / "runs", "--json").stdout)
    in_all = next(line.split() for line in lines if line.startswith("in all"))
    assert in_all[2:] == [
        f"{sum(cell[key] for cell in plan['cells']):,}" for key in ("steps", "rows", "tokens", "supervised_tokens")
    ]
    by_axis = {line.split()[0]: line for line in lines if " " in line and line.split()[0] in plan["cells"][0]["name"]}
    assert "mixture.others.amount" in by_axis["amount"] and by_axis["amount"].rstrip().endswith("+6 fr")
    assert by_axis["rank"].rstrip().endswith("the same rows")
    assert "each in one factor" in shown and "Disk: about " in shown
    everything = harness("plan", recipe, "--runs", tmp_path / "runs", "-v").stdout
    assert all(cell["name"] in everything for cell in plan["cells"])
    assert everything.count("\n    rows ") == len(plan["differences"])


def test_only_neighbours_with_more_than_one_factor_are_shown(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    recipe_data["grid"] = {
        "rank": {"path": "adapter.rank", "values": [4, 8]},
        "both": {"path": ["training.global_batch", "adapter.alpha"], "values": [4, 8]},
    }
    shown = harness("plan", write_recipe(recipe_data), "--runs", tmp_path / "runs").stdout
    assert "2 of them in more than one factor" in shown
    pairs = [line for line in shown.splitlines() if " | " in line]
    assert len(pairs) == 2 and all("MORE THAN ONE FACTOR: both: " in pair for pair in pairs)


def test_everything_that_cannot_be_opened_is_told_at_once(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    recipe_data["model"]["name"] = "./no-model"
    recipe_data["sources"] = {"own": {"task": "math", "languages": ["fr"], "files": "missing.jsonl"}}
    recipe_data["mixture"]["others"]["sources"] = ["own"]
    recipe_data["reference"] = [{"name": "x", "file": "missing.csv", "x": "amount"}]
    done = harness("plan", write_recipe(recipe_data), "--runs", tmp_path / "runs")
    assert done.returncode == 2
    for key in ("sources.own", "model.name", "reference.0.file"):
        assert f"error: {key}: " in done.stderr
    assert "Not checked before this is mended: the rows" in done.stderr


def test_mistakes_in_the_recipe_say_that_more_is_checked_after_them(
    recipe_data: dict[str, Any], write_recipe: Write
) -> None:
    recipe_data["training"]["epochs"] = 0
    assert "Not checked before this is mended: how the keys fit" in harness("plan", write_recipe(recipe_data)).stderr
    recipe_data["training"]["epochs"] = None
    assert "Not checked before this is mended: the files and the model" in (
        harness("plan", write_recipe(recipe_data)).stderr
    )


def test_equal_messages_are_grouped() -> None:
    messages = [(f"cell-{number}", "trained already") for number in range(6)] + [("other", "diverged already")]
    assert list(in_groups(messages)) == [
        "cell-0, cell-1, cell-2 and 3 others: trained already",
        "other: diverged already",
    ]


def test_bytes_are_told_in_the_unit_that_suits() -> None:
    assert [size(of_bytes) for of_bytes in (512, 1_500, 3_200_000, 4_000_000_000)] == [
        "0.5 kB", "1.5 kB", "3.2 MB", "4.0 GB",
    ]  # fmt: skip
