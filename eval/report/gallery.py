"""Which pictures a report has, and the tables they are drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from eval.analysis.groups import language_name
from eval.report.grid import Grid, Picture
from eval.report.page import Page
from eval.report.picture_data import (
    LANGUAGE_PASS,
    all_series,
    columns_of,
    compared_with,
    confusion_rows,
    figure_rows,
    loss_rows,
    overview_rows,
    pair_rows,
    reach_by_metric,
    reach_of,
    scale_of,
    transfer_rows,
)
from eval.report.pictures import (
    confusion_picture,
    curves_picture,
    groups_shown,
    heatmap_picture,
    loss_picture,
    overview_picture,
    scatter_picture,
    transfer_picture,
)
from eval.report.tables import TaskTable, metric_tables


@dataclass(frozen=True, slots=True)
class Gallery:
    """A report's tables and pictures; `data` maps names to the tables that pictures name."""

    tables: tuple[TaskTable, ...]
    """Every metric's, by task; those of the metric that a task is judged by are `main`, and come first."""
    pictures: dict[str, tuple[Picture, ...]]
    """Per task; under "" those of the whole study."""
    data: dict[str, pl.DataFrame]
    broken: dict[str, str] = field(default_factory=dict[str, str])
    """Pictures that could not be drawn for papers, and why."""

    @property
    def primary(self) -> list[TaskTable]:
        """The tables that tasks are judged by."""
        return [table for table in self.tables if table.main]

    def of(self, task: str) -> list[TaskTable]:
        """A task's tables."""
        tables = [table for table in self.tables if table.task == task]
        return sorted(tables, key=lambda table: not table.main)

    def whole(self, picture: Picture) -> dict[str, Any]:
        """The picture as Vega-Lite with its data inside, of the metric it begins with alone."""
        data = self.data[picture.data]
        metric = next(
            (parameter["value"] for parameter in picture.spec.get("params", []) if parameter["name"] == "metric"), None
        )
        rows = data if metric is None else data.filter(pl.col("metric") == metric)
        return picture.spec | {"datasets": {picture.data: rows.to_dicts()}}


def gallery(page: Page) -> Gallery:
    """All tables and pictures of a study."""
    shown = Gallery(tuple(metric_tables(page.summary, page.groups, page.names)), {"": ()}, {})
    grid = Grid(page.names, scale_of(page), tuple(dict.fromkeys(all_series(page))))
    groups = groups_shown(page.groups)
    overview = overview_rows(page, shown.primary, groups)
    tasks = overview["task"].unique(maintain_order=True).to_list()
    shown.data["overview"] = overview
    shown.pictures[""] = (overview_picture(grid, set(overview["kind"]), groups, tasks),)
    losses = loss_rows(page)
    if losses.height:
        shown.data["losses"] = losses
        shown.pictures[""] += (
            loss_picture(losses["cell"].unique(maintain_order=True).to_list(), grid.scale is not None),
        )
    for table in shown.primary:
        shown.pictures[table.task] = tuple(_of_task(shown, page, table, grid))
    return shown


def _of_task(shown: Gallery, page: Page, table: TaskTable, grid: Grid) -> Iterator[Picture]:
    """The pictures of one task, as far as there is something to see in them; adds their data."""
    task, metric, languages = table.task, table.metric, headings(page, table)
    rows = figure_rows(page, task)
    shown.data[task] = rows
    yield curves_picture(task, metric, grid, set(rows["kind"]), languages)
    compared = compared_with(page, page.summary.filter(pl.col("task") == task))
    yield heatmap_picture(task, metric, grid, table.labels, compared, reach_by_metric(rows))
    pairs = pair_rows(shown.of(task))
    if pairs.height:
        shown.data[f"{task}-pairs"] = pairs
        yield scatter_picture(task, metric, grid)
    passes = next((table for table in shown.of(task) if table.metric == LANGUAGE_PASS), None)
    if passes:
        shown.data[f"{task}-confusion"] = confusion_rows(passes, list(languages))
        yield confusion_picture(task, grid, languages)
    matrix = pl.DataFrame() if page.transfer is None else transfer_rows(page.transfer.transfer.filter(task=task))
    if matrix.height:
        shown.data[f"{task}-transfer"] = matrix
        sources, targets = (matrix[name].unique(maintain_order=True).to_list() for name in ("source", "target"))
        yield transfer_picture(task, sources, targets, reach_of(matrix))


def headings(page: Page, table: TaskTable) -> dict[str, str]:
    """The languages of a table, and what panels call them."""
    there = [code for code in page.groups.all if code in table.columns]
    return {code: language_name(code) + (", unseen" if code in page.groups.unseen else "") for code in there}


def data_columns(data: dict[str, pl.DataFrame]) -> dict[str, dict[str, list[Any]]]:
    """Every table by columns, which is a third of the size of rows."""
    return {name: columns_of(table) for name, table in data.items()}
