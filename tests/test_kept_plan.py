"""What is kept of a plan: read while nothing has changed that it follows from, and by light commands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.planning import kept_plan
from harness.planning import study as study_of_planning
from harness.planning.kept_plan import planned_study
from harness.planning.study import Study
from harness.planning.time_left import TimeLeft
from harness.training.forecast import time_left
from tests.support import REPOSITORY
from tests.test_made_before import made_before  # noqa: F401  # a fixture

HEAVY = ("torch", "transformers", "tokenizers", "trl", "peft", "accelerate", "datasets", "vllm", "sklearn", "evaluate")


@pytest.fixture
def recipe(recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path) -> Path:
    rows = [{"prompt": f"Say {number}", "target": f"{number}"} for number in range(9)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe_data["sources"] = {"own": {"task": "instructions", "languages": ["fr"], "files": "own.jsonl"}}
    recipe_data["mixture"]["others"]["sources"] = ["own"]
    return write_recipe(recipe_data)


@pytest.fixture
def planned(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Planned once; the list gets an entry whenever it is planned again."""
    planned_study(recipe, tmp_path / "runs")
    again: list[str] = []
    keep = kept_plan.keep_plan
    monkeypatch.setattr(kept_plan, "keep_plan", lambda study: (again.append("again"), keep(study))[1])
    return again


def test_what_is_kept_is_what_was_planned(recipe: Path, tmp_path: Path) -> None:
    study, kept = Study(recipe, tmp_path / "runs"), planned_study(recipe, tmp_path / "runs")
    for plan, cell in zip(study.plans, kept.plans, strict=True):
        assert (plan.name, plan.steps, plan.run.identity) == (cell.name, cell.steps, cell.run.identity)
        assert list(plan.counts) == list(cell.counts)
    assert kept.kept.items == sum(len(each.examples) for each in study.evaluation_sets)
    assert kept.kept.model == study.bases[0].files.identity and kept.kept.bases[0].token_overlap["en"]["en"] == 1


def test_nothing_changed_nothing_is_planned(recipe: Path, tmp_path: Path, planned: list[str]) -> None:
    planned_study(recipe, tmp_path / "runs")
    assert planned == []


def test_a_plan_that_cannot_be_kept_is_used_anyway(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("no folder can be made in it")
    assert planned_study(recipe, tmp_path / "a-file" / "runs").plans


@pytest.mark.parametrize("change", ["recipe", "source", "model", "begun", "damage", "code"])
def test_whatever_a_plan_follows_from_makes_it_anew(
    change: str, recipe: Path, tmp_path: Path, planned: list[str], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    if change == "recipe":
        recipe.write_text(recipe.read_text().replace('"epochs": 1', '"epochs": 2'))
    elif change == "source":
        (tmp_path / "own.jsonl").write_text((tmp_path / "own.jsonl").read_text() + '{"prompt": "a", "target": "b"}\n')
    elif change == "model":
        monkeypatch.setattr(kept_plan, "stated_models", lambda *of: "another")
    elif change == "begun":
        (runs / "small" / "study.json").write_text('{"dtype": "bfloat16", "reason": "it was"}')
    elif change == "damage":
        (runs / "small" / "plan.json").write_text("{")
    else:
        monkeypatch.setattr(kept_plan, "DECIDING_PACKAGES", ("transformers",))
    planned_study(recipe, runs)
    assert planned == ["again"]


def test_another_experiment_of_the_name_is_refused_from_what_is_kept(recipe: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    kept = planned_study(recipe, runs)
    record = {"fingerprint": "x", "identity": kept.plans[0].run.identity | {"rows": "others"}}
    (runs / "small" / "amount-0").mkdir()
    (runs / "small" / "amount-0" / "record.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="rows was 'others'"):
        _ = planned_study(recipe, runs).plans


def test_another_machine_plans_anew_what_it_will_do_itself(
    recipe: Path, tmp_path: Path, planned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_plan, "machine", lambda: "one with eight GPUs")
    planned_study(recipe, tmp_path / "runs")
    assert planned == [], "status and report say nothing of machines"
    planned_study(recipe, tmp_path / "runs", here=True)
    planned_study(recipe, tmp_path / "runs", here=True)
    assert planned == ["again"]


def test_a_kept_plan_shows_what_was_planned_and_how_far_it_is(recipe: Path, tmp_path: Path) -> None:
    new, again = planned_study(recipe, tmp_path / "runs"), planned_study(recipe, tmp_path / "runs")
    assert again.kept == new.kept
    again.plans[0].run.begin()
    shown = again.overview(["amount-0"], TimeLeft(training=3.0))
    assert [(cell.name, cell.state) for cell in shown.cells] == [("amount-0", "training")]
    assert shown.time.total == 3.0


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "report", "plan"])
def test_light_commands_import_nothing_heavy_and_need_no_model(
    command: str,
    made_before: tuple[Path, Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    """Of a planned study; the first time it is planned, which takes the model."""
    import shutil

    recipe, runs = made_before
    data = json.loads(recipe.read_text())
    shutil.copytree(data["model"]["name"], tmp_path / "model")
    data["model"]["name"] = str(tmp_path / "model")
    recipe.write_text(json.dumps(data))
    time_left(planned_study(recipe, runs, here=True), None)
    shutil.rmtree(tmp_path / "model")
    code = f"""
import sys
sys.argv = ["harness", {command!r}, {str(recipe)!r}, "--runs", {str(runs)!r}, "--json"]
from harness.cli import app
try:
    app()
finally:
    print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == 1 and done.stderr.splitlines()[-1] == "[]", done.stderr


def test_what_cells_learned_is_told_once_and_not_for_each_cell(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    learned = study_of_planning.learned_languages
    monkeypatch.setattr(study_of_planning, "learned_languages", lambda *of: (told.append(len(of[0])), learned(*of))[1])
    planned_study(recipe, tmp_path / "runs")
    assert told == [2], "a grid of 3,000 cells is planned in time linear in them"
