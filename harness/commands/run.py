"""harness run: plan, train, evaluate and report, each phase as far as it is not done."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import typer

from harness.console import duration, output, say, waiting
from harness.executors.local import check_complete, check_processes, train_pending
from harness.planning.kept_plan import just_planned, planned_study
from harness.planning.overview import show_plan
from harness.planning.study import Study
from harness.recipe.grid import choose
from harness.training.forecast import check_disk, time_left, training_in_words


def run_study(recipe: Path, runs: Path, cells: str | None, processes: int | None) -> None:
    """Takes the chosen cells through all phases, and says how long each took.

    Raises UserError; MachineError where the disk is too small, and at the end for cells that could not be trained.
    """
    if processes:
        check_processes("--processes", processes)
    times: dict[str, float] = {}
    with timed("plan", times), waiting("planning"):
        study = Study(recipe, runs)
        chosen = {cell.name for cell in choose(study.cells, cells)}
        for note in study.begin():
            say(note)
        planned = just_planned(study)
        left = time_left(planned, cells, measure_again=True)
        show_plan(planned.overview(chosen, left))
        check_disk(left)
    with timed("train", times):
        if status := train_pending(study, chosen, training_in_words(left), processes):
            raise typer.Exit(status)
    with timed("evaluate", times):
        from harness.evaluation.cells import evaluate_cells

        evaluate_cells(study, cells)
    with timed("report", times):
        from harness.reporting.report import report_study

        report_study(planned_study(recipe, runs), output)
    check_complete(study, chosen)
    spent = ", ".join(f"{phase} {duration(seconds)}" for phase, seconds in times.items())
    say(f"time: {spent}, in all {duration(sum(times.values()))}")


@contextmanager
def timed(phase: str, times: dict[str, float]) -> Generator[None]:
    """Notes how long a phase took."""
    started = time.monotonic()
    yield
    times[phase] = time.monotonic() - started
