"""Files of predictions that any program made, as commands meet them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eval.prediction_files.tally import Tallies
from harness.console import line, plain_table, say, show_table
from harness.errors import Problem
from harness.results import Answer, Result

SHOWN_BAD = 20


def same_file_problems(file: Path, out: Path | None) -> list[Problem]:
    """Results that would be written over what they are of."""
    if out and out.resolve() == file.resolve():
        return [Problem("--out", f"{out} is the file of predictions itself; name another")]
    return []


def report_bad(tallies: Tallies) -> None:
    """Says which rows are bad, the first of them by line."""
    for row in tallies.bad[:SHOWN_BAD]:
        say(f"bad row: {row}")
    if tallies.bad:
        more = f", {len(tallies.bad) - SHOWN_BAD} of them not shown" if len(tallies.bad) > SHOWN_BAD else ""
        say(f"{len(tallies.bad)} bad rows were left out{more}")


class Figures(Result):
    """What the rows of one language come to by one metric; what is not known is None."""

    scored: int | None = None
    unscored: int | None = None
    no_answer: int | None = None
    """Scored rows in which no answer was found."""
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    """The ends of the 95 % interval, over rows taken as independent."""
    version: str | None = None
    """Of the scorer."""


class BadRowFound(Result):
    """A row that cannot be scored."""

    line: int
    id: Any
    problem: str


class FileScores(Answer):
    """What the rows of a file come to."""

    languages: dict[str, dict[str, Figures]]
    """By language and metric."""
    bad: tuple[BadRowFound, ...]


def show_scores(title: str, found: FileScores, note: str | None = None) -> None:
    """A row per language and metric: the mean with its interval, and how many rows it is of; then a note, if any."""
    table = plain_table(title, ("language", "metric"), ("mean", "95 %", "scored", "unscored", "no answer"))
    for language, metrics in found.languages.items():
        for place, (metric, each) in enumerate(metrics.items()):
            mean, low, high = (written(value, ".3f") for value in (each.mean, each.low, each.high))
            counts = [written(value, ",") for value in (each.scored, each.unscored, each.no_answer)]
            table.add_row("" if place else language, metric, mean, f"{low}–{high}" if low else "", *counts)
    show_table(table)
    versions = dict.fromkeys(each.version for metrics in found.languages.values() for each in metrics.values())
    if note:
        line(note)
    line(f"versions: {'; '.join(filter(None, versions))}")


def written(value: float | None, form: str) -> str:
    """A figure, or nothing."""
    return "" if value is None else format(value, form)
