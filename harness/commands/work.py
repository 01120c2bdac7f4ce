"""harness work: one worker of a study, beside others on this machine or elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import typer

from harness.console import waiting
from harness.errors import Problem, UserError
from harness.executors.begun import Begun, begin
from harness.executors.local import launch_training, train_pending
from harness.executors.rounds import once_written
from harness.recipe.grid import choose
from harness.recipe.mothello import is_mothello
from harness.runs.folder import StudyFolder
from harness.runs.job import read_job
from harness.training.forecast import check_disk, training_in_words

Phase = Literal["train", "evaluate"]


def work(target: Path, runs: Path, cells: str | None, phase: Phase | None) -> None:
    """Trains cells that nobody holds until all chosen ones are trained, then answers chunks of requests likewise.

    A folder of a planned study has the jobs of its cells, which is all that training takes. Tables and the report are
    not written: `harness run` does so. Raises UserError, MachineError, and typer.Exit.
    """
    if target.is_dir():
        train_planned(target, cells)
        return
    if is_mothello(target):
        from harness.othello.answers import work_on_mothello

        work_on_mothello(target, runs, cells, processes=1)
        return
    with waiting("planning"):
        begun = begin(target, runs, cells, measure_again=False)
        check_disk(begun.left)
    if phase != "evaluate":
        begun = once_written(begun, target, runs, cells, lambda begun: train_pending(by_one_worker(begun)))
        if status := train_pending(by_one_worker(begun), training_in_words(begun.left)):
            raise typer.Exit(status)
    if phase != "train":
        from harness.evaluation.cells import generate_cells

        generate_cells(begun.study, cells)


def by_one_worker(begun: Begun) -> Begun:
    """The same, trained in one process beside this one."""
    return replace(begun, execution=begun.execution.model_copy(update={"workers": 1}))


def train_planned(study: Path, cells: str | None) -> None:
    """Trains the planned cells of a study's folder that nobody holds. Raises UserError, and typer.Exit."""
    planned = list(StudyFolder(study).planned_cells())
    if not planned:
        message = "has no planned cell that is left to train; plan and train from a recipe: harness work RECIPE"
        raise UserError([Problem(str(study), message)])
    names = [cell.path.name for cell in choose(planned, cells)]
    execution = read_job(study, names[0]).execution.model_copy(update={"workers": 1})
    if status := launch_training(study, names, None, execution):
        raise typer.Exit(status)
