"""Progress with time left: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True)
SECONDS_BETWEEN_LINES = 15.0


@dataclass
class LineProgress:
    """Progress for a log: "training: 40/120, 2:10 left, loss 1.20" every few seconds."""

    label: str
    total: int
    done: int = 0
    before: int = 0
    started: float | None = None
    said: float = field(default_factory=time.monotonic)

    def advance(self, steps: int, note: str = "") -> None:
        """Counts steps and says so if it is time, or if all is done."""
        self.done += steps
        now = time.monotonic()
        if (
            self.started is None
        ):  # what comes before the first steps, such as an engine's start, says nothing of the rest
            self.started, self.before, self.said = now, self.done, now
            return
        if now - self.said >= SECONDS_BETWEEN_LINES or self.done == self.total:
            left = (now - self.started) / max(self.done - self.before, 1) * (self.total - self.done)
            remaining = timedelta(seconds=round(left))
            print(
                f"{self.label}: {self.done}/{self.total}, {remaining} left{note and ', ' + note}",
                file=sys.stderr,
                flush=True,
            )
            self.said = now


@dataclass
class BarProgress:
    """The same as a bar."""

    bar: Progress
    task: TaskID

    def advance(self, steps: int, note: str = "") -> None:
        """Moves the bar."""
        self.bar.update(self.task, advance=steps, note=note)


@contextmanager
def progress(label: str, total: int) -> Generator[LineProgress | BarProgress]:
    """Shows how far a piece of work is, and how long it will still take."""
    if not console.is_terminal:
        yield LineProgress(label, total)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
    )  # fmt: skip
    with Progress(*columns, console=console) as bar:
        yield BarProgress(bar, bar.add_task(label, total=total, note=""))


def say(text: str) -> None:
    """A line for the user, beside what a program may read from standard output."""
    print(text, file=sys.stderr, flush=True)
