"""The tables of a study: per task and metric, cells down and languages across."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from eval.analysis.groups import GAP, PERFORMANCE, LanguageGroups
from eval.report.units import depends_on_language, metric_name, metric_title, shown, unit_of
from eval.report.verdicts import Change, Changes
from eval.scorers.metrics import SHARE, Metric

ALL_ALIKE = "all alike"


@dataclass(frozen=True, slots=True)
class Figure:
    """One entry: the mean with its interval, in the metric's own unit, and what it rests on."""

    mean: float | None
    low: float | None
    high: float | None
    scored: int
    unscored: int
    no_answer: int
    metric: Metric = SHARE
    languages: int = 1
    """How many languages it is of."""
    runs: int = 1
    """How many runs it is of."""

    @property
    def text(self) -> str:
        """The mean as tables show it, or a blank where there is none."""
        return shown(self.mean, self.metric)

    @property
    def interval(self) -> str:
        """The 95 % interval, or a blank."""
        if self.low is None or self.high is None:
            return ""
        decimals = 0 if self.metric.factor == SHARE.factor else 2
        return "–".join(f"{self.metric.factor * end:.{decimals}f}" for end in (self.low, self.high))


@dataclass(frozen=True, slots=True)
class TaskTable:
    """One task's scores by one metric: `rows` maps a cell's name to a figure per column."""

    task: str
    metric: str
    version: str
    items: int
    columns: tuple[str, ...]
    rows: dict[str, list[Figure | None]]
    main: bool
    """Whether this is the task's main metric."""
    labels: Mapping[str, str]
    """Column → what readers see."""

    @property
    def headings(self) -> tuple[str, ...]:
        """The columns as readers see them."""
        return tuple(self.labels[column] for column in self.columns)

    @property
    def title(self) -> str:
        """The metric in words, with its unit."""
        return metric_title(self.metric)

    @property
    def scored(self) -> bool:
        """Whether there is any figure."""
        return any(figure and figure.mean is not None for figures in self.rows.values() for figure in figures)

    @property
    def caution(self) -> str:
        """What to heed where figures of different languages are set against each other; blank where they may be."""
        compared = [self.labels[column] for column in (PERFORMANCE, GAP) if column in self.columns]
        if not compared or not depends_on_language(self.metric):
            return ""
        return (
            f"{metric_name(self.metric)} depends on how a language is cut into words or characters, so figures of "
            "different languages are not on one scale; "
            f"read {' and '.join(compared)} only as differences between settings"
        )

    def count(self, figure: Figure) -> str:
        """ "n=9" where a figure rests on fewer predictions, or more, than its runs have items in its languages."""
        return "" if figure.scored == self.items * figure.languages * figure.runs else f"n={figure.scored:,}"

    def figure(self, cell: str, column: str) -> Figure | None:
        """The figure of a cell in a column, if there is one."""
        return self.rows[cell][self.columns.index(column)] if cell in self.rows and column in self.columns else None


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of text: column names, and rows whose first entries name them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Best:
    """The cell with the highest mean in a group of languages."""

    task: str
    metric: str
    group: str
    cell: str
    figure: Figure
    change: Change | None
    """From the untuned model, where that is compared."""


def metric_tables(summary: pl.DataFrame, groups: LanguageGroups, cells: Sequence[str]) -> list[TaskTable]:
    """A table per task and metric; columns are languages, then group means, then performance to English.

    A metric beside the main one that is not defined for any item, as word pass where all languages have Latin letters,
    has none; why it is blank is among what is missing.
    """
    by_metric = summary.partition_by("task", "metric", maintain_order=True)
    defined = [part for part in by_metric if part["main"].any() or part["mean"].is_not_null().any()]
    return [_table(part, groups, cells) for part in defined]


def _table(part: pl.DataFrame, groups: LanguageGroups, cells: Sequence[str]) -> TaskTable:
    """The table of one task and metric."""
    task, metric = part.select("task", "metric").row(0)
    wanted = (*groups.all, *groups.names, PERFORMANCE, GAP)
    present = set(part["group"])
    columns = tuple(name for name in wanted if name in present)
    figures = {
        (row["cell"], row["group"]): Figure(
            row["mean"], row["low"], row["high"], row["scored"], row["unscored"], row["no_answer"],
            unit_of(metric, row["kind"]), len(row["languages"].split()), row["runs"],
        )
        for row in part.iter_rows(named=True)
    }  # fmt: skip
    single = part.filter(pl.col("group").is_in(groups.all))
    there = set(part["cell"])
    return TaskTable(
        task=task,
        metric=metric,
        version=", ".join(single["version"].unique(maintain_order=True)),
        items=int(single.select(((pl.col("scored") + pl.col("unscored")) // pl.col("runs")).max()).item()),
        columns=columns,
        rows={cell: [figures.get((cell, column)) for column in columns] for cell in cells if cell in there},
        main=bool(part["main"].any()),
        labels={column: groups.label(column) for column in columns},
    )


def best_cells(
    tables: Sequence[TaskTable], groups: LanguageGroups, untuned: Sequence[str], changes: Changes
) -> list[Best]:
    """Per task, for English and each group of the same languages, the trained cell with the highest mean.

    Of equal ones it is the first.
    """
    bests: list[Best] = []
    for table in tables:
        for group in (name for name in (groups.pivot, *groups.comparable()) if name in table.columns):
            figures = {cell: table.figure(cell, group) for cell in table.rows if cell not in untuned}
            means = {cell: figure.mean for cell, figure in figures.items() if figure and figure.mean is not None}
            if not means:
                continue
            best = max(means, key=lambda cell: means[cell])
            figure = figures[best]
            assert figure is not None
            name = ALL_ALIKE if len(means) > 1 and len(set(means.values())) == 1 else best
            change = changes.of(table.task, table.metric, best, group) if untuned else None
            bests.append(Best(table.task, table.metric, group, name, figure, change))
    return bests
