"""harness run: plan, train, evaluate and report, each phase as far as it is not done."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from harness.console import counted, duration, output, say, waiting
from harness.executors.local import check_processes, launch_training
from harness.planning.cells import CellPlan
from harness.planning.jobs import write_jobs
from harness.planning.kept_plan import just_planned, planned_study
from harness.planning.overview import show_plan
from harness.planning.study import Study
from harness.recipe.grid import choose
from harness.training.forecast import refuse_full_disk, time_left, training_in_words


def run_study(recipe: Path, runs: Path, cells: str | None, processes: int | None) -> None:
    """Takes the chosen cells through all phases, and says how long each took. Raises UserError, and typer.Exit."""
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
        refuse_full_disk(study.folder, left)
    pending = [plan for plan in study.plans if plan.name in chosen and not plan.run.finished]
    if pending:
        say(f"train: {counted(len(pending), 'cell')}{training_in_words(left)}")
    else:
        say("train: every cell is already trained")
    for plans, evaluated in rounds(pending, cells):
        if plans:
            with timed("train", times):
                train_plans(study, plans, processes)
        with timed("evaluate", times):
            from harness.evaluation.cells import evaluate_cells

            evaluate_cells(study, evaluated)
    with timed("report", times):
        from harness.reporting.report import report_study

        report_study(planned_study(recipe, runs), output)
    spent = ", ".join(f"{phase} {duration(seconds)}" for phase, seconds in times.items())
    say(f"time: {spent}, in all {duration(sum(times.values()))}")


def rounds(pending: Sequence[CellPlan], cells: str | None) -> Iterator[tuple[list[CellPlan], str | None]]:
    """What is trained before what is evaluated: each cell that keeps nothing alone, as two might not fit on the disk.

    In the last round come all other cells, and the evaluation of all that are chosen.
    """
    removed = [plan for plan in pending if plan.cell.recipe.training.keep == "nothing-after-evaluation"]
    yield from (([plan], plan.name) for plan in removed)
    yield [plan for plan in pending if plan not in removed], cells


def train_plans(study: Study, plans: Sequence[CellPlan], processes: int | None) -> None:
    """Trains cells in a process of its own. Raises typer.Exit with its status where it fails."""
    write_jobs(study, plans)
    if status := launch_training(study.folder, [plan.name for plan in plans], processes, study.recipe.execution):
        say(f"error: training ended with status {status}; the messages above say why")
        raise typer.Exit(status if status > 0 else 1)


@contextmanager
def timed(phase: str, times: dict[str, float]) -> Generator[None]:
    """Notes how long a phase took."""
    started = time.monotonic()
    yield
    times[phase] = times.get(phase, 0.0) + time.monotonic() - started
