"""Files of predictions that any program made, as commands meet them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.prediction_files.file import KEYS, LINE, PredictionFile, Repeats
from eval.prediction_files.tally import Tallies
from harness.console import line, plain_table, say, show_table
from harness.errors import Problem, suggestion
from harness.results import Answer, NumberOrText, Result

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


def report_repeats(repeats: Repeats, word: str) -> None:
    """Says which ids are there more than once, the first of them by line."""
    for (number, language, *group), lines in [*repeats.lines.items()][:SHOWN_BAD]:
        what = ", ".join([language, *group])
        say(f"repeated id {number}: {word}s {', '.join(map(str, lines))} ({what}); the first of them counts")
    if repeats.lines:
        left_out = sum(len(lines) - 1 for lines in repeats.lines.values())
        say(
            f"rows left out because their id, language and group were there before: {left_out}; "
            "if they are of several models or runs, name the columns that tell these apart: --group COLUMN,…"
        )


def named_file(path: Path, columns: Sequence[str], group: Sequence[str]) -> tuple[PredictionFile, list[Problem]]:
    """The file, with columns given as "key=column"; and what is wrong with these."""
    problems: list[Problem] = []
    named: dict[str, str] = {}
    for given in columns:
        key, equals, column = given.partition("=")
        if not equals or not column:
            problems.append(Problem("--column", f"got {given!r}; write KEY=COLUMN, as in prediction=model_output"))
        elif key not in KEYS:
            problems.append(Problem("--column", f"got {key!r}; {suggestion(key, KEYS)}"))
        elif column == LINE and key != "id":
            problems.append(Problem("--column", f"got {given!r}; only an id can be {LINE}, the number of the row"))
        else:
            named[key] = column
    return PredictionFile(path, named, tuple(group)), problems


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
    """Its line, or its number among the rows of an array or a Parquet file."""
    id: Any
    problem: str


class GroupScores(Result):
    """What the rows of one group come to."""

    group: Mapping[str, NumberOrText]
    """The values of the columns that tell it apart."""
    languages: dict[str, dict[str, Figures]]


class FileScores(Answer):
    """What the rows of a file come to."""

    languages: dict[str, dict[str, Figures]]
    """By language and metric; empty where there are groups."""
    groups: tuple[GroupScores, ...] = ()
    bad: tuple[BadRowFound, ...]


def show_scores(title: str, scores: FileScores, note: str | None = None) -> None:
    """A table, of each group where there are some, a note if any, and the versions of the scorers."""
    parts = [(part.group, part.languages) for part in scores.groups] or [({}, scores.languages)]
    for group, languages in parts:
        show_languages(", ".join((title, *(f"{name} {value}" for name, value in group.items()))), languages)
    figures = (figures for _, languages in parts for metrics in languages.values() for figures in metrics.values())
    if note:
        line(note)
    line(f"versions: {'; '.join(filter(None, dict.fromkeys(one.version for one in figures)))}")


def show_languages(title: str, languages: dict[str, dict[str, Figures]]) -> None:
    """A row per language and metric: the mean with its interval, and how many rows it is of."""
    table = plain_table(title, ("language", "metric"), ("mean", "95 %", "scored", "unscored", "no answer"))
    for language, metrics in languages.items():
        for number, (metric, figures) in enumerate(metrics.items()):
            mean, low, high = (written(value, ".3f") for value in (figures.mean, figures.low, figures.high))
            counts = [written(value, ",") for value in (figures.scored, figures.unscored, figures.no_answer)]
            table.add_row("" if number else language, metric, mean, f"{low}–{high}" if low else "", *counts)
    show_table(table)


def written(value: float | None, form: str) -> str:
    """A figure, or nothing."""
    return "" if value is None else format(value, form)
