"""Runs that the first round made (commit 2f60a04) are still runs of this harness."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.planning.study import Study
from tests.support import REPOSITORY, harness

KEPT = REPOSITORY / "tests" / "data" / "made-by-2f60a04"


@pytest.fixture
def made_before(tmp_path: Path) -> tuple[Path, Path]:
    """The recipe and the runs folder, to be changed at will."""
    shutil.copytree(KEPT / "runs", tmp_path / "runs")
    data = json.loads((KEPT / "recipe.json").read_text(encoding="utf-8"))
    data["model"]["name"] = str(KEPT / "model")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(data), encoding="utf-8")
    return recipe, tmp_path / "runs"


def test_they_resume_in_the_number_format_they_were_made_in(made_before: tuple[Path, Path]) -> None:
    study = Study(*made_before)
    assert study.recipe.model.dtype == "auto", "the recipe did not say: the default was bfloat16, and is auto"
    assert study.precision.dtype == "bfloat16" and [plan.run.trained for plan in study.plans] == [True, True]


def test_their_rows_are_drawn_by_the_seed_of_training(made_before: tuple[Path, Path]) -> None:
    """As they were before there was a `mixture.seed`, in all cells of the study; in a new one that seed draws them."""
    recipe, runs = made_before
    data = json.loads(recipe.read_text(encoding="utf-8"))
    data["grid"]["seed"] = {"path": "training.seed", "values": [0, 1]}
    for name in ("amount-0", "amount-3"):
        (runs / "small" / name).rename(runs / "small" / f"{name}_seed-0")
    recipe.write_text(json.dumps(data), encoding="utf-8")
    begun, new = Study(recipe, runs), Study(recipe, runs.with_name("elsewhere"))
    assert [plan.run.trained for plan in begun.plans] == [True, False, True, False]
    for study, same in ((begun, False), (new, True)):
        drawn = [{row.id for row in plan.mixture} for plan in study.plans]
        assert (drawn[0] == drawn[1], drawn[2] == drawn[3]) == (same, same)
        assert [plan.run.identity["mixture"].get("seed") for plan in study.plans] == [0 if same else None] * 4
    data["mixture"]["seed"] = 0
    recipe.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UserError, match=r"begun before there was a mixture\.seed"):
        _ = Study(recipe, runs).plans


def test_status_and_report_read_them(made_before: tuple[Path, Path]) -> None:
    recipe, runs = made_before
    status = json.loads(harness("status", recipe, "--runs", runs, "--json").stdout)
    assert [(cell["name"], cell["state"], cell["scored"]) for cell in status["cells"]] == [
        ("base", "untuned", 6),
        ("amount-0", "trained", 6),
        ("amount-3", "trained", 6),
    ]
    report = harness("report", recipe, "--runs", runs, "--json")
    assert report.returncode == 0, report.stderr
    told = "amount-0, amount-3: begun on other items of instructions and word-problems than this release has"
    assert told in report.stderr
    assert {row["cell"] for row in json.loads(report.stdout)["summary"]} == {"base", "amount-0", "amount-3"}


@pytest.mark.parametrize("command", ["run", "eval"])
def test_on_items_that_are_no_more_nothing_goes_on_and_nothing_is_lost(
    made_before: tuple[Path, Path], command: str
) -> None:
    recipe, runs = made_before
    kept = {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    refused = harness(command, recipe, "--runs", runs)
    assert refused.returncode == 2 and "amount-0, amount-3: begun on other items of" in refused.stderr
    assert "give the study another name or choose another --runs folder" in refused.stderr
    assert len(kept) > 8 and all(path.read_bytes() == content for path, content in kept.items())


def test_without_scores_report_and_compare_say_what_to_run(made_before: tuple[Path, Path]) -> None:
    recipe, runs = made_before
    (runs / "small" / "scores.parquet").unlink()
    for command in (["report", recipe], ["compare", recipe, "amount-3", "amount-0"]):
        done = harness(*command, "--runs", runs)
        assert done.returncode == 2 and "no scores yet; run: harness eval RECIPE" in done.stderr, done.stderr


def test_the_plan_says_what_will_be_detected_and_a_pilot_takes_the_place_of_assumptions(
    made_before: tuple[Path, Path], tmp_path: Path
) -> None:
    recipe, runs = made_before
    (figure,) = json.loads(harness("plan", recipe, "--runs", runs, "--json").stdout)["detectable"]
    assert (figure["task"], figure["pilot"], figure["runs"]) == ("math", None, 1)
    assert figure["seeds_assumed"] and figure["from_base"] is None, "no flips of two items have a small p-value"
    shown = " ".join(harness("plan", recipe, "--runs", runs).stdout.split())
    assert "Detectable in math, " in shown and "four times in five after adjustment: nothing (2 items" in shown
    assert "from assumptions" in shown
    assert "one run per mixture: this is of the trained models" in shown
    (planned,) = json.loads(harness("plan", recipe, "--runs", runs, "--pilot", recipe, "--json").stdout)["detectable"]
    assert planned == figure, "in that study all models answer alike, which says nothing"
    refused = harness("plan", recipe, "--runs", tmp_path / "none", "--pilot", recipe)
    assert refused.returncode == 2 and "--pilot" in refused.stderr and "has no scores under" in refused.stderr
