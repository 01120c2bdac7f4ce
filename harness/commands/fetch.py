"""harness fetch: all that a study needs from elsewhere, so that it runs where there is no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub.constants import HF_HOME

from data_mixes.storage import cache_folder
from harness.console import counted, say, waiting
from harness.models.base import fetch_model
from harness.planning.kept_plan import just_planned
from harness.planning.revisions import load_study
from harness.planning.study import Study
from harness.recipe.grid import Cell, cells_of
from harness.recipe.schema import Recipe


def fetch_study(recipe: Path, runs: Path) -> None:
    """Downloads the models, the data and lm_eval's sets, tokenizes all rows, and says where it is. Raises UserError."""
    settings, raw = load_study(recipe, runs)
    models = models_named(settings, cells_of(settings, raw))
    for name, revision in models:
        with waiting(f"fetching {name}"):
            fetch_model(name, revision)
    judge = settings.evaluation.judge
    if judge and judge.endpoint is None:
        with waiting(f"fetching {judge.model}"):
            fetch_model(judge.model, None, "evaluation.judge.model")
    with waiting("fetching data, and tokenizing it"):
        study = Study(recipe, runs)
        plan = just_planned(study).kept.overview
    rows = sum(cell.rows for cell in plan.cells)
    names = ", ".join(name for name, _ in models)
    trained = f", the rows of {counted(len(plan.cells), 'cell')} ({rows:,})" if plan.cells else ""
    say(f"here: {names}{trained} and all test items")
    say("Where there is no network, bring these folders to the same places, or name their new ones in these variables:")
    say(f"  HF_HOME={HF_HOME}")
    say(f"  HARNESS_CACHE={cache_folder()}")
    say(f"and run with HF_HUB_OFFLINE=1: HF_HUB_OFFLINE=1 harness run {recipe} --runs {runs}")


def models_named(recipe: Recipe, cells: Sequence[Cell]) -> list[tuple[str, str | None]]:
    """The models that a recipe names, with their revisions, each once."""
    bases = [cell.recipe.base_model for cell in cells] or ([recipe.model] if recipe.model else [])
    named = [(base.name, base.revision) for base in bases]
    named += [(name, given.commit) for given in recipe.models.values() if (name := given.name or given.base)]
    return list(dict.fromkeys(named))
