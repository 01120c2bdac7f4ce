"""The tables of a study: per task, cells down and languages across."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from eval.transfer import LanguageGroups


@dataclass(frozen=True, slots=True)
class Figure:
    """One entry: the mean in points of 100 (a ratio too), its interval, and what it rests on."""

    mean: float | None
    low: float | None
    high: float | None
    scored: int
    unscored: int
    no_answer: int

    @property
    def text(self) -> str:
        """The mean, or a blank where there is none."""
        return "" if self.mean is None else f"{100 * self.mean:.1f}"

    @property
    def interval(self) -> str:
        """The 95 % interval, or a blank."""
        return "" if self.low is None or self.high is None else f"{100 * self.low:.0f}–{100 * self.high:.0f}"


@dataclass(frozen=True, slots=True)
class TaskTable:
    """One task's scores: `rows` maps a cell's name to a figure per column."""

    task: str
    metric: str
    version: str
    items: int
    columns: tuple[str, ...]
    rows: dict[str, list[Figure | None]]


def task_tables(summary: pl.DataFrame, groups: LanguageGroups, cells: Sequence[str]) -> list[TaskTable]:
    """A table per task; columns are languages, then group means, then performance to English."""
    wanted = (*groups.all, *groups.means(), groups.performance)
    tables: list[TaskTable] = []
    for task in summary["task"].unique(maintain_order=True):
        part = summary.filter(pl.col("task") == task)
        part = part.filter(pl.col("metric") == part["metric"][0])  # a task's first metric is the one it is judged by
        present = set(part["group"].to_list())
        columns = tuple(name for name in wanted if name in present)
        figures = {
            (row["cell"], row["group"]): Figure(
                row["mean"], row["low"], row["high"], row["scored"], row["unscored"], row["no_answer"]
            )
            for row in part.iter_rows(named=True)
        }
        single = part.filter(pl.col("group").is_in(groups.all))
        tables.append(
            TaskTable(
                task=str(task),
                metric=part["metric"][0],
                version=", ".join(single["version"].unique(maintain_order=True)),
                items=int(single.select((pl.col("scored") + pl.col("unscored")).max()).item()),
                columns=columns,
                rows={
                    cell: [figures.get((cell, column)) for column in columns]
                    for cell in cells
                    if cell in set(part["cell"])
                },
            )
        )
    return tables


def percent(share: float | None) -> str:
    """A share in percent; blank if there is none."""
    return "" if share is None else f"{100 * share:.1f} %"
