"""harness eval: generate with every trained cell and the base model, and score."""

from __future__ import annotations

from pathlib import Path

from harness.console import say
from harness.evaluation.cells import evaluate_cells
from harness.planning.study import Study
from harness.runs.folder import StudyFolder


def eval_study(recipe: Path, runs: Path, cells: str | None) -> None:
    """Evaluates the chosen cells, and says where their scores are. Raises UserError."""
    study = Study(recipe, runs)
    for note in study.begin():
        say(note)
    evaluate_cells(study, cells)
    say(f"scores: {StudyFolder(study.folder).scores}; what they say: harness report {recipe}")
