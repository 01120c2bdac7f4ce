"""Cells that train on what other models write: these are trained, then they write, until no cell waits for any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import typer

from harness.console import in_groups, say
from harness.executors.begun import Begun, begin


def once_written(begun: Begun, recipe: Path, runs: Path, cells: str | None, train: Callable[[Begun], int]) -> Begun:
    """The study, planned anew where models wrote rows: nothing waits any more for a model that could be trained.

    `train` trains what is pending, and returns an exit status. Raises UserError, CanaryError, and typer.Exit where
    training did not end well.
    """
    while begun.waiting:
        if begun.pending and (status := train(begun)):
            raise typer.Exit(status)
        failed = begun.failed | {plan.name for plan in begun.pending}
        begun = replace(begun, failed=failed)
        from harness.evaluation.written import write_sources

        if not write_sources(begun.study, begun.chosen):
            say_waiting(begun)
            return begun
        begun = replace(begin(recipe, runs, cells, measure_again=False), failed=failed)
    return begun


def say_waiting(begun: Begun) -> None:
    """Says which cells wait for what models have to write."""
    told = (
        (name, f"waits for rows of {', '.join(sources)}, which are not written")
        for name, sources in begun.waiting.items()
    )
    for line in in_groups(told):
        say(line)
