"""harness run: plan, train, evaluate and report, each phase as far as it is not done."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import typer

from harness.console import duration, output, say, waiting
from harness.executors.begun import Begun, begin
from harness.executors.local import check_complete, helpers_generating, train_pending
from harness.executors.processes import check_processes
from harness.executors.rounds import once_written
from harness.planning.kept_plan import planned_study
from harness.planning.overview import show_plan
from harness.recipe.mothello import is_mothello
from harness.training.forecast import check_disk, training_in_words


def run_study(recipe: Path, runs: Path, cells: str | None, processes: int | None, only_failed: bool) -> None:
    """Takes the chosen cells through all phases, and says how long each took; of these only such as failed, if asked.

    Raises UserError; MachineError where the disk is too small, and at the end for cells that could not be trained.
    """
    if processes:
        check_processes("--processes", processes)
    if is_mothello(recipe):
        from harness.othello.answers import run_mothello

        run_mothello(recipe, runs, cells, processes)
        return
    if only_failed and not (cells := failed_cells(recipe, runs, cells)):
        say("run: no cell failed")
        return
    times: dict[str, float] = {}
    with timed("plan", times), waiting("planning"):
        begun = begin(recipe, runs, cells)
        study, chosen = begun.study, begun.chosen
        show_plan(begun.planned.overview(chosen, begun.left))
        check_disk(begun.left)
    with timed("train", times):
        begun = once_written(begun, recipe, runs, cells, partial(train_pending, processes=processes))
        study, chosen = begun.study, begun.chosen
    alone = kept_by_none(begun)
    for names, evaluated in [*((frozenset({name}), name) for name in alone), (chosen, cells)]:
        with timed("train", times):
            expected = "" if alone else training_in_words(begun.left)
            if status := train_pending(replace(begun, chosen=names), expected, processes):
                raise typer.Exit(status)
        with timed("evaluate", times):
            from harness.evaluation.cells import evaluate_cells

            with helpers_generating(begun, recipe, evaluated):
                evaluate_cells(study, evaluated)
    with timed("report", times):
        from harness.reporting.report import report_study

        report_study(planned_study(recipe, runs), output)
    check_complete(study, chosen)
    spent = ", ".join(f"{phase} {duration(seconds)}" for phase, seconds in times.items())
    say(f"time: {spent}, in all {duration(sum(times.values()))}")


def failed_cells(recipe: Path, runs: Path, cells: str | None) -> str:
    """The names of the chosen cells whose training failed, as --cells takes them."""
    study = planned_study(recipe, runs)
    chosen = study.choice(cells).cells
    return ",".join(plan.name for plan in study.plans if plan.name in chosen and plan.run.failure)


def kept_by_none(begun: Begun) -> list[str]:
    """Cells to train whose weights go after evaluation: each is evaluated before the next, as two might not fit."""
    return [plan.name for plan in begun.pending if plan.cell.recipe.training.keep == "nothing-after-evaluation"]


@contextmanager
def timed(phase: str, times: dict[str, float]) -> Generator[None]:
    """Notes how long a phase took."""
    started = time.monotonic()
    yield
    times[phase] = times.get(phase, 0.0) + time.monotonic() - started
