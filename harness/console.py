"""What commands print: unframed tables, lines of text, and progress with the time left."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from rich.box import SIMPLE_HEAD
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
from rich.table import Table

console = Console(stderr=True)
output = Console()
"""What a command prints as its result, and a program may read."""
SECONDS_BETWEEN_LINES = 15.0
SECONDS_OF_SILENCE = 30.0
"""After this many seconds without output, a line says that work continues."""


@dataclass
class LineProgress:
    """Progress for a log: the first step when it is done, then "training: 40/120, 0:02:10 left" now and then."""

    label: str
    total: int
    done: int = 0
    uncounted: int = 0
    """Steps that do not count for the pace: those of an earlier start, and the first, which warms up."""
    stage: str = ""
    """What was announced last."""
    started: float | None = None
    """When the steps that are counted for the pace began."""
    moved: float = field(default_factory=lambda: time.monotonic())
    """When the step under way began."""
    said: float = field(default_factory=lambda: time.monotonic())

    def advance(self, steps: int, note: str = "") -> None:
        """Counts steps and says so for the first, when it is time, and when all is done."""
        if not steps:
            return
        now = time.monotonic()
        self.done += steps
        where, note = f"{self.label}: {self.done}/{self.total}", note and f", {note}"
        if self.started is None:
            self._line(f"{where} after {duration(now - self.moved)}{note}")
            self.started, self.uncounted = now, self.done
        elif now - self.said >= SECONDS_BETWEEN_LINES or self.done == self.total:
            left = (now - self.started) / (self.done - self.uncounted) * (self.total - self.done)
            self._line(f"{where}, {duration(left)} left{note}")
        self.moved, self.stage = now, ""

    def resume(self, steps: int) -> None:
        """Counts the steps of an earlier start."""
        self.done = self.uncounted = steps
        self._line(f"{self.label}: goes on after {steps}/{self.total}")

    def say(self, text: str) -> None:
        """Says what comes now."""
        self.stage, self.moved = text, time.monotonic()
        self._line(text)

    def sign_of_life(self) -> None:
        """Says that the work goes on, after a long silence."""
        now = time.monotonic()
        if now - self.said >= SECONDS_OF_SILENCE:
            stage = self.stage or f"{self.label}: {self.done}/{self.total}, the next step"
            self._line(f"{stage}: {duration(now - self.moved)} so far")

    def _line(self, text: str) -> None:
        say(text)
        self.said = time.monotonic()


@dataclass
class BarProgress:
    """The same as a progress bar, whose clock shows that it is alive."""

    bar: Progress
    task: TaskID

    def advance(self, steps: int, note: str = "") -> None:
        """Moves the bar."""
        self.bar.update(self.task, advance=steps, note=note)

    def resume(self, steps: int) -> None:
        """Counts the steps of an earlier start."""
        self.advance(steps, "resumed")

    def say(self, text: str) -> None:
        """A line on what comes now, above the bar."""
        self.bar.console.print(text, markup=False, highlight=False)


@contextmanager
def progress(label: str, total: int) -> Generator[LineProgress | BarProgress]:
    """Shows how far a piece of work is, and how long it will still take."""
    if not console.is_terminal:
        lines = LineProgress(label, total)
        with every_second(lines.sign_of_life):
            yield lines
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
    )  # fmt: skip
    with Progress(*columns, console=console) as bar:
        yield BarProgress(bar, bar.add_task(label, total=total, note=""))


@contextmanager
def waiting(text: str) -> Generator[None]:
    """Says what comes now, and occasionally that it continues; only the first of several processes prints."""
    if not is_first_process():
        yield
        return
    lines = LineProgress(text, 1)
    lines.say(text)
    with every_second(lines.sign_of_life):
        yield


@contextmanager
def every_second(call: Callable[[], None]) -> Generator[None]:
    """Calls a function every second, from a thread of its own."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(1.0):
            call()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def is_first_process() -> bool:
    """Whether this is the process that speaks, of those that train together."""
    return os.environ.get("RANK", "0") == "0"


def counted(number: int, thing: str) -> str:
    """A number of things in words: "1 cell", "3 cells"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def in_groups(messages: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Messages about things of a name, equal ones in one line: "amount-0, amount-20 and 94 others: trained already"."""
    names: dict[str, list[str]] = {}
    for name, message in messages:
        names.setdefault(message, []).append(name)
    return (f"{some_of(named)}: {message}" for message, named in names.items())


def some_of(names: Sequence[str], most: int = 4) -> str:
    """Names, and how many others there are."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} others"


def size(of_bytes: int) -> str:
    """Bytes in the unit that suits: "3.2 MB"."""
    unit, name = next(
        (unit, name) for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if of_bytes >= unit or name == "kB"
    )
    return f"{of_bytes / unit:,.1f} {name}"


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds: "0:02:10"."""
    return str(timedelta(seconds=round(seconds)))


def say(text: str) -> None:
    """Prints a line for the user on standard error, as programs may read standard output."""
    print(text, file=sys.stderr, flush=True)


WIDER_THAN_ANY = 10_000
"""Columns of a terminal, for tables, which take no more than they need."""


def plain_table(title: str, words: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    """A table without a frame: columns of words, then columns of numbers."""
    table = Table(title=title or None, box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in words:
        table.add_column(column, no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def show_table(table: Table) -> None:
    """Prints a table as wide as it is: a figure that wraps can be read, one that is cut off cannot.

    Its title may be wider than the table: it is a line of its own.
    """
    if isinstance(table.title, str):
        line(table.title)
        table.title = None
    Console(width=WIDER_THAN_ANY, markup=False).print(table)


def line(text: str) -> None:
    """Prints a line as it is."""
    output.print(text, highlight=False, markup=False, soft_wrap=True)
