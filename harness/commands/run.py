"""harness run: plan, train, evaluate and report, each phase as far as it is not done."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import typer

from harness.console import counted, duration, output, say, waiting
from harness.errors import not_trained
from harness.executors.local import check_processes, launch_training
from harness.planning.jobs import write_jobs
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
        pending = [plan for plan in study.plans if plan.name in chosen and not plan.run.finished]
        if pending:
            say(f"train: {counted(len(pending), 'cell')}{training_in_words(left)}")
            write_jobs(study, pending)
            status = launch_training(study.folder, [plan.name for plan in pending], processes)
            if any(not plan.run.finished and not plan.run.failure for plan in pending):
                say(f"error: training ended {ending(status)}")
                raise typer.Exit(status if status > 0 else 1)
        else:
            say("train: every cell is already trained")
    with timed("evaluate", times):
        from harness.evaluation.cells import evaluate_cells

        evaluate_cells(study, cells)
    with timed("report", times):
        from harness.reporting.report import report_study

        report_study(planned_study(recipe, runs), output)
    if failed := {plan.name: plan.run.failure for plan in study.plans if plan.name in chosen and plan.run.failure}:
        raise not_trained(failed)
    spent = ", ".join(f"{phase} {duration(seconds)}" for phase, seconds in times.items())
    say(f"time: {spent}, in all {duration(sum(times.values()))}")


def ending(status: int) -> str:
    """How training ended before its time, and where to look for the reason."""
    if status == -signal.SIGKILL:
        return "by SIGKILL, as the system does when memory runs out; the same command goes on from the last checkpoint"
    return f"with status {status}; the messages above say why"


@contextmanager
def timed(phase: str, times: dict[str, float]) -> Generator[None]:
    """Notes how long a phase took."""
    started = time.monotonic()
    yield
    times[phase] = time.monotonic() - started
