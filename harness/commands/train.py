"""harness train: the cells that are not trained yet, and nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import typer

from harness.console import waiting
from harness.executors.begun import begin, say_finished
from harness.executors.local import check_complete, train_pending
from harness.executors.processes import check_processes
from harness.executors.rounds import once_written
from harness.training.forecast import check_disk, training_in_words


def train_study(recipe: Path, runs: Path, cells: str | None, processes: int | None) -> None:
    """Trains the chosen cells, and says which already are. Raises UserError, MachineError, and typer.Exit."""
    if processes:
        check_processes("--processes", processes)
    with waiting("planning"):
        begun = begin(recipe, runs, cells)
        check_disk(begun.left)
    say_finished(begun)
    begun = once_written(begun, recipe, runs, cells, partial(train_pending, processes=processes))
    if status := train_pending(begun, training_in_words(begun.left), processes):
        raise typer.Exit(status)
    check_complete(begun.study, begun.chosen)
