"""harness status: how far every cell is."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import polars as pl

from data_mixes.storage import DamagedError
from eval.analysis.design import BASE
from harness.console import in_groups, line, plain_table, show_table
from harness.planning.kept_plan import PlannedStudy, planned_study
from harness.planning.overview import orphans_in_words
from harness.reporting.current import current_scores
from harness.results import Answer, Result
from harness.runs.checkpoints import last_whole_checkpoint, steps_of
from harness.runs.folder import StudyFolder
from harness.runs.record import CellRun


class CellStatus(Result):
    """How far a cell is, or the base model."""

    name: str
    state: str
    """new, training, trained, diverged, failed or damaged; untuned for the base model."""
    reason: str | None = None
    """Why training failed or diverged."""
    steps_done: int | None
    """Those of a trained cell, or of its last checkpoint; None for the base model."""
    steps: int | None
    scored: int
    """Test items with a score."""
    wanted: int


class StudyStatus(Answer):
    """How far a study is."""

    study: str
    folder: str
    cells: tuple[CellStatus, ...]
    orphans: tuple[str, ...] = ()
    """Folders with a run that is no cell of the recipe as it is now."""


def show_status(recipe: Path, runs: Path, as_json: bool) -> None:
    """Prints how far every cell of a study is. Raises UserError."""
    status = status_of(planned_study(recipe, runs))
    if as_json:
        print(status.as_json())
        return
    table = plain_table(status.study, ("cell", "state"), ("steps", "evaluated"))
    for cell in status.cells:
        steps = "" if cell.steps is None else f"{cell.steps_done}/{cell.steps}"
        table.add_row(cell.name, cell.state, steps, f"{cell.scored}/{cell.wanted}")
    show_table(table)
    for told in in_groups((cell.name, f"{cell.state}: {cell.reason}") for cell in status.cells if cell.reason):
        line(told)
    if status.orphans:
        line(orphans_in_words(status.orphans))


def status_of(study: PlannedStudy) -> StudyStatus:
    """State, steps done and items scored of every cell, and of the base model where it is evaluated."""
    scored: dict[str, int] = {}
    if StudyFolder(study.folder).scores.is_file():
        with suppress(DamagedError):  # it was already reported
            scores, _ = current_scores(study)
            examples = scores.filter(pl.col("value").is_not_null()).unique(["cell", "task", "id"])
            scored = dict(examples.group_by("cell").len().iter_rows())
    wanted = study.kept.items

    def status(name: str, state: str, done: int | None, steps: int | None, reason: str | None = None) -> CellStatus:
        return CellStatus(
            name=name, state=state, reason=reason, steps_done=done, steps=steps,
            scored=scored.get(name, 0), wanted=wanted,
        )  # fmt: skip

    states = {plan.name: plan.run.record.get("state", "new") for plan in study.plans}
    states |= {damage.cell: "damaged" for damage in study.damage if damage.cell}
    cells = [
        status(
            plan.name, states[plan.name], steps_done(plan.run, plan.steps), plan.steps, plan.run.record.get("reason")
        )
        for plan in study.plans
    ]
    if study.recipe.evaluation.base:
        cells = [status(BASE, "untuned", None, None), *cells]
    return StudyStatus(study=study.recipe.study, folder=str(study.folder), cells=tuple(cells), orphans=study.orphans)


def steps_done(run: CellRun, steps: int) -> int:
    """The steps that a trained cell took, or those of its last whole checkpoint."""
    if run.trained:
        return run.record.get("steps", steps)
    checkpoint = last_whole_checkpoint(run.checkpoints)
    return steps_of(checkpoint) if checkpoint else 0
