"""harness status: how far every cell is."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table

from data_mixes.holds import holder_of
from data_mixes.storage import DamagedError
from harness.console import duration, in_groups, line, output, plain_table, show_table
from harness.errors import Problem, UserError
from harness.planning.kept_plan import PlannedCell, PlannedStudy, planned_study
from harness.planning.overview import orphans_in_words
from harness.recipe.mothello import is_mothello
from harness.reporting.current import scored_items
from harness.results import Answer, Result
from harness.runs.checkpoints import last_whole_checkpoint, steps_of
from harness.runs.progress import progress_of
from harness.runs.record import FINISHED, CellRun

NEVER_SCORED = ("diverged", "failed")
"""States of cells that nothing more will come of by itself."""
SECONDS_BETWEEN_LOOKS = 5.0
LINES_OF_LOG = 3
MOST_ROWS = 60
"""Cells that are shown one by one."""


class CellStatus(Result):
    """How far a cell is, or the base model."""

    name: str
    state: str
    """new, training, trained, diverged, failed or damaged; untuned for the base model, from elsewhere for one that was
    there already."""
    reason: str | None = None
    """Why training failed or diverged."""
    held_by: str | None = None
    """The process that trains it."""
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    """Of its training, by the pace so far."""
    log: tuple[str, ...] = ()
    """The last lines of the log of a cell that failed."""
    steps_done: int | None
    """Those of a trained cell, or the last that is known of; None for the base model."""
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


def show_status(recipe: Path, runs: Path, as_json: bool, verbose: bool = False) -> None:
    """Prints how far the cells of a study are, with `verbose` every one of a large one. Raises UserError."""
    if is_mothello(recipe):
        from harness.othello.answers import show_mothello_status

        show_mothello_status(recipe, runs, as_json)
        return
    with collecting_nothing():
        status = status_of(planned_study(recipe, runs))
    if as_json:
        print(status.as_json())
        return
    shown = status.cells if verbose else worth_a_row(status.cells)
    if shown:
        show_table(table_of(status.study, shown))
    for told in left_out(status, shown):
        line(told)
    for told in in_groups((cell.name, f"{cell.state}: {cell.reason}") for cell in status.cells if cell.reason):
        line(told)
    for cell in status.cells:
        for logged in cell.log:
            line(f"  {cell.name}: {logged}")
    if status.orphans:
        line(orphans_in_words(status.orphans))


@contextmanager
def collecting_nothing() -> Generator[None]:
    """Spares collections, which would go over all cells of a grid again and again: what is read stays to the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def watch_status(recipe: Path, runs: Path) -> None:
    """Shows how far every cell is, anew every few seconds, until nothing is left or the user has seen enough.

    Raises UserError.
    """
    if is_mothello(recipe):
        raise UserError([Problem("--watch", "a study of mothello cannot be watched; leave it out")])
    with Live(console=output, auto_refresh=False) as screen:
        while True:
            status = status_of(planned_study(recipe, runs))
            shown = worth_a_row(status.cells)
            screen.update(Group(table_of(status.study, shown), *left_out(status, shown)), refresh=True)
            if all(cell.state in NEVER_SCORED or cell.scored or not cell.wanted for cell in status.cells):
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)


def worth_a_row(cells: Sequence[CellStatus]) -> Sequence[CellStatus]:
    """All cells, or of many those that are being trained, or that something is wrong with."""
    if len(cells) <= MOST_ROWS:
        return cells
    return [cell for cell in cells if cell.held_by or cell.state in (*NEVER_SCORED, "damaged")]


def left_out(status: StudyStatus, shown: Sequence[CellStatus]) -> list[str]:
    """Lines that stand for the cells that are not shown one by one."""
    if len(shown) == len(status.cells):
        return []
    return [f"{status.study}: {in_numbers(status.cells)}", "Every cell: harness status RECIPE -v"]


def in_numbers(cells: Sequence[CellStatus]) -> str:
    """How many cells are in which state, and how many test items are scored."""
    states = Counter(cell.state for cell in cells)
    scored, wanted = sum(cell.scored for cell in cells), sum(cell.wanted for cell in cells)
    told = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
    return f"{told}; {scored:,} of {wanted:,} test items scored"


def table_of(study: str, cells: Sequence[CellStatus]) -> Table:
    """A row for each cell, with who trains it and how fast."""
    table = plain_table(study, ("cell", "state"), ("steps", "tokens/s", "left", "evaluated"))
    for cell in cells:
        steps = "" if cell.steps is None else f"{cell.steps_done}/{cell.steps}"
        pace = "" if cell.tokens_per_second is None else f"{cell.tokens_per_second:,.0f}"
        left = "" if cell.seconds_left is None else duration(cell.seconds_left)
        state = f"{cell.state} by {cell.held_by}" if cell.held_by else cell.state
        table.add_row(cell.name, state, steps, pace, left, f"{cell.scored}/{cell.wanted}")
    return table


def status_of(study: PlannedStudy) -> StudyStatus:
    """State, steps done and items scored of every cell, and of the base model where it is evaluated."""
    scored: dict[str, int] = {}
    with suppress(DamagedError):  # it was already reported
        scored = scored_items(study)
    wanted = study.kept.items

    damaged = {damage.cell for damage in study.damage}
    cells = [
        cell_status(plan, plan.name in damaged, scored.get(plan.name, 0), wanted if plan.name in study.evaluated else 0)
        for plan in study.plans
    ]
    if study.recipe.evaluation.base:
        cells = [*(elsewhere(name, "untuned", scored, wanted) for name in study.untuned), *cells]
    cells += [elsewhere(name, "from elsewhere", scored, wanted) for name in study.outside]
    return StudyStatus(study=study.recipe.study, folder=str(study.folder), cells=tuple(cells), orphans=study.orphans)


def elsewhere(name: str, state: str, scored: Mapping[str, int], wanted: int) -> CellStatus:
    """How far a model that is not trained here is in evaluation."""
    return CellStatus(name=name, state=state, steps_done=None, steps=None, scored=scored.get(name, 0), wanted=wanted)


def cell_status(plan: PlannedCell, damaged: bool, scored: int, wanted: int) -> CellStatus:
    """How far a cell is in training, of which so many of the wanted items are scored."""
    run, record = plan.run, plan.run.record
    state = record.get("state", "new")
    holder = None if state in FINISHED else holder_of(run.files.lock)
    progress = progress_of(run.files) if holder else None
    return CellStatus(
        name=plan.name,
        state="damaged" if damaged else state,
        reason=record.get("reason"),
        held_by=str(holder) if holder else None,
        steps_done=max(progress.step if progress else 0, steps_done(run, record, plan.steps)),
        steps=plan.steps,
        tokens_per_second=progress.tokens_per_second if progress else None,
        seconds_left=progress.seconds_left if progress else None,
        log=log_tail(run) if state == "failed" else (),
        scored=scored,
        wanted=wanted,
    )


def log_tail(run: CellRun) -> tuple[str, ...]:
    """The last lines of a cell's log."""
    try:
        lines = run.files.log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(lines[-LINES_OF_LOG:])


def steps_done(run: CellRun, record: Mapping[str, Any], steps: int) -> int:
    """The steps that a trained cell took, or those of its last whole checkpoint."""
    if record.get("state") == "trained":
        return record.get("steps", steps)
    checkpoint = last_whole_checkpoint(run.checkpoints)
    return steps_of(checkpoint) if checkpoint else 0
