"""Which pictures a report has, and the tables they are drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from eval.analysis.groups import GAP, HELD_OUT, SEEN, STUDY_SEEN, UNSEEN, LanguageGroups, language_name
from eval.report.block_pictures import block_pictures
from eval.report.checkpoint_pictures import checkpoint_pictures
from eval.report.consistency import plane_rows
from eval.report.grid import Grid, Picture
from eval.report.layer_pictures import layer_pictures
from eval.report.page import CellFacts, Page
from eval.report.picture_data import (
    LANGUAGE_PASS,
    all_series,
    columns_of,
    compared_with,
    confusion_rows,
    figure_rows,
    overview_rows,
    pair_rows,
    reach_by_metric,
    reach_of,
    scale_of,
    training_rows,
    transfer_rows,
)
from eval.report.pictures.curves import curves_picture, overview_picture
from eval.report.pictures.heatmaps import heatmap_picture, transfer_picture
from eval.report.pictures.languages import confusion_picture, plane_picture, scatter_picture
from eval.report.pictures.training import training_picture, validation_picture
from eval.report.tables import TaskTable, TextTable, metric_tables
from eval.report.theme import UNTOLD
from eval.report.validation import languages_of, selection_rows, selection_text_table, selections_by
from eval.report.verdicts import Changes, level


@dataclass(frozen=True)
class Gallery:
    """A report's tables and pictures; `data` maps names to the tables that pictures name."""

    tables: tuple[TaskTable, ...]
    """Every metric's, by task; those of the metric that a task is judged by are `main`, and come first."""
    changes: Changes
    """Differences from the untuned model, or else from the first cell, that were tested."""
    overview: list[Picture] = field(default_factory=list[Picture])
    """Groups of languages, a picture for each task."""
    tasks: dict[str, list[Picture]] = field(default_factory=dict[str, list[Picture]])
    consistency: list[Picture] = field(default_factory=list[Picture])
    """Accuracy against consistency, a picture for each task that has both."""
    training: list[Picture] = field(default_factory=list[Picture])
    checkpoints: list[Picture] = field(default_factory=list[Picture])
    """Along steps of training that are evaluated."""
    blocks: list[Picture] = field(default_factory=list[Picture])
    """Of blocks that began with new weights."""
    layers: list[Picture] = field(default_factory=list[Picture])
    """Of what layers hold."""
    behind: dict[str, TextTable] = field(default_factory=dict[str, TextTable])
    """The figures of pictures of layers, and of the steps that are kept, by the picture's name."""
    data: dict[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])
    broken: dict[str, str] = field(default_factory=dict[str, str])
    """Pictures that could not be drawn for papers, and why."""

    @cached_property
    def primary(self) -> list[TaskTable]:
        """The tables that tasks are judged by."""
        return [table for table in self.tables if table.main]

    @property
    def pictures(self) -> list[Picture]:
        """All pictures."""
        of_tasks = [picture for shown in self.tasks.values() for picture in shown]
        of_models = [*self.checkpoints, *self.blocks, *self.layers, *self.training]
        return [*self.overview, *of_tasks, *self.consistency, *of_models]

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
    """All tables and pictures of a study; a task without scores has none."""
    changes = Changes.of_comparisons(compared_with(page, page.summary), page.comparisons, page.bases)
    shown = Gallery(tuple(metric_tables(page.summary, page.groups, page.names)), changes)
    grid = Grid(page.names, scale_of(page), tuple(dict.fromkeys(all_series(page))))
    training = training_rows(page)
    if training.height:
        shown.data["training"] = training
        quantities, cells = (training[name].unique(maintain_order=True).to_list() for name in ("quantity", "cell"))
        shown.training.append(training_picture(quantities, cells, grid))
    for chosen in selections_by(page.cells).values():
        picture, rows = _selection(page, chosen, grid)
        shown.data[picture.data], shown.behind[picture.name] = rows, selection_text_table(chosen)
        shown.training.append(picture)
    for picture, rows in checkpoint_pictures(page.checkpoints, page.groups.all) if page.checkpoints else ():
        shown.data[picture.data] = rows
        shown.checkpoints.append(picture)
    for picture, rows, table in layer_pictures(page.layers) if page.layers else ():
        shown.data[picture.data], shown.behind[picture.name] = rows, table
        shown.layers.append(picture)
    for picture, rows in block_pictures(page.blocks) if page.blocks is not None else ():
        shown.data[picture.data] = rows
        shown.blocks.append(picture)
    for table in shown.primary:
        shown.tasks[table.task] = []
        if table.scored:
            shown.data[table.task] = figure_rows(page, table.task, changes)
            shown.overview.append(_overview(shown, page, table, grid))
            shown.tasks[table.task] += _of_task(shown, page, table, grid)
    for task, rows in plane_rows(page).items():
        shown.data[f"{task}-consistency"] = rows
        shown.consistency.append(plane_picture(task, page.label(task), rows["s"][0], grid))
    return shown


def _selection(page: Page, cells: Sequence[CellFacts], grid: Grid) -> tuple[Picture, pl.DataFrame]:
    """The picture of what one quantity was on validation rows, which chose the step of these cells; and its rows."""
    selection = cells[0].selection
    assert selection is not None
    rows = selection_rows(page, cells)
    languages = {code: panel_name(page, code) for code in languages_of(*cells)}
    task = page.label(selection.task)
    return validation_picture(selection, task, languages, [cell.name for cell in cells], grid), rows


def _overview(shown: Gallery, page: Page, table: TaskTable, grid: Grid) -> Picture:
    """The picture of groups of languages."""
    scored = shown.data[table.task].filter(pl.col("mean").is_not_null())
    groups = [group for group in groups_shown(page.groups) if group in set(scored["group"])]
    rows = overview_rows(page, table, scored, groups)
    picture = overview_picture(table.task, table.title, grid, set(rows["kind"]), groups)
    shown.data[picture.data] = rows
    return picture


def _of_task(shown: Gallery, page: Page, table: TaskTable, grid: Grid) -> Iterator[Picture]:
    """The pictures of one task, as far as there is something to see in them; adds their data."""
    task, metric, rows = table.task, table.metric, shown.data[table.task]
    scored = set(rows.filter(pl.col("mean").is_not_null())["group"])
    languages = {code: name for code, name in headings(page, table).items() if code in scored}
    titles = {one.metric: one.title for one in shown.of(task)}
    yield curves_picture(task, metric, titles, grid, set(rows["kind"]), languages)
    apart = (SEEN, UNSEEN, GAP) if page.groups.differ else ()
    columns = {column: label for column, label in table.labels.items() if column in scored and column not in apart}
    compared = compared_with(page, page.summary.filter(pl.col("task") == task))
    yield heatmap_picture(task, metric, grid, columns, compared, reach_by_metric(rows), level(page.one_seed))
    seen, unseen = (STUDY_SEEN, HELD_OUT) if page.groups.differ else (SEEN, UNSEEN)
    pairs = pair_rows(page, shown.of(task), (seen, unseen))
    if pairs.height:
        shown.data[f"{task}-pairs"] = pairs
        yield scatter_picture(task, metric, titles, grid, page.groups.label(seen), page.groups.label(unseen))
    passes = next((table for table in shown.of(task) if table.metric == LANGUAGE_PASS), None)
    confusion = pl.DataFrame() if passes is None else confusion_rows(passes, list(languages))
    if confusion.height and confusion.filter(pl.col("verdict") != UNTOLD)["count"].sum():
        shown.data[f"{task}-confusion"] = confusion
        yield confusion_picture(task, grid, languages)
    matrix = pl.DataFrame() if page.transfer is None else transfer_rows(page.transfer.transfer.filter(task=task))
    if matrix.height:
        shown.data[f"{task}-transfer"] = matrix
        sources, targets = (matrix[name].unique(maintain_order=True).to_list() for name in ("source", "target"))
        yield transfer_picture(task, sources, targets, reach_of(matrix), level(page.one_seed))


def headings(page: Page, table: TaskTable) -> dict[str, str]:
    """The languages of a table, and what panels call them."""
    there = [code for code in page.groups.all if code in table.columns]
    return {code: panel_name(page, code) for code in there}


def panel_name(page: Page, code: str) -> str:
    """What the panel of a language is called."""
    return language_name(code) + (", unseen" if code in page.groups.unseen else "")


def groups_shown(groups: LanguageGroups) -> tuple[str, ...]:
    """The columns that the overview is of."""
    return tuple(name for name in (groups.pivot, SEEN, UNSEEN) if name in groups.names or name in groups.all)


def data_columns(data: dict[str, pl.DataFrame]) -> dict[str, dict[str, list[Any]]]:
    """Every table by columns, which is a third of the size of rows."""
    return {name: columns_of(table) for name, table in data.items()}
