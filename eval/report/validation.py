"""Scores or losses on validation rows, by which the step whose weights a cell has was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import polars as pl

from eval.report.page import CellFacts, Page, Selection
from eval.report.picture_data import place_marks
from eval.report.tables import TextTable
from eval.report.units import metric_title, shown
from eval.scorers.metrics import Metric, metric_of

COLUMNS: dict[str, Any] = {
    "cell": pl.String, "task": pl.String, "metric": pl.String, "language": pl.String, "step": pl.Int64,
    "value": pl.Float64, "rows": pl.Int64, "kept": pl.Boolean,
}  # fmt: skip
By: TypeAlias = tuple[str, str]
"""Task and metric; of the loss, no task and its name."""


def selections_by(cells: Sequence[CellFacts]) -> dict[By, list[CellFacts]]:
    """The cells whose step was chosen, by what chose it."""
    chosen: dict[By, list[CellFacts]] = {}
    for cell in cells:
        if cell.selection and cell.selection.curve:
            chosen.setdefault((cell.selection.task, cell.selection.metric), []).append(cell)
    return chosen


def selection_table(cells: Sequence[CellFacts]) -> pl.DataFrame:
    """Every comparison: cell, task and metric (or the loss), language, step, value, rows it is over, and if kept."""
    rows = [
        (cell.name, task, metric, language, step, value, selection.rows.get(language), step == selection.step)
        for (task, metric), chosen in selections_by(cells).items()
        for cell, selection in selections_of(chosen)
        for step, language, value in points(selection)
    ]
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def selection_rows(page: Page, cells: Sequence[CellFacts]) -> pl.DataFrame:
    """The same of cells chosen by one thing, as it is drawn: cell, group (the language), step, value, kept."""
    return pl.DataFrame(
        [
            {"cell": cell.name, "group": language, "step": step, "kept": step == selection.step}
            | {"value": float(f"{unit_of(selection).factor * value:.4g}")}
            | place_marks(page, cell.setting or cell.name)
            for cell, selection in selections_of(cells)
            for step, language, value in points(selection)
        ]
    )


def selection_text_table(cells: Sequence[CellFacts]) -> TextTable:
    """The values at the step whose weights are kept, and at the last that was compared."""
    rows: list[tuple[str, ...]] = []
    for cell, selection in selections_of(cells):
        kept = next((point for point in selection.curve if point["step"] == selection.step), {})
        last = selection.curve[-1]
        rows += [
            (cell.name, language, f"{selection.rows[language]:,}" if language in selection.rows else "",
             f"{selection.step:,}", written(kept.get(language), selection), f"{int(last['step']):,}",
             written(last.get(language), selection))
            for language in languages_of(cell)
        ]  # fmt: skip
    title = quantity_of(cells[0].selection) if cells and cells[0].selection else ""
    return TextTable(("cell", "language", "rows", "kept step", title, "last step", "there"), tuple(rows))


def quantity_of(selection: Selection) -> str:
    """What was compared, with its unit."""
    return metric_title(selection.metric) if selection.task else "loss, nats per supervised token"


def selections_of(cells: Sequence[CellFacts]) -> Iterator[tuple[CellFacts, Selection]]:
    """Cells with what chose their step."""
    return ((cell, cell.selection) for cell in cells if cell.selection)


def points(selection: Selection) -> Iterator[tuple[int, str, float]]:
    """Step, language and value."""
    return (
        (int(point["step"]), language, value)
        for point in selection.curve
        for language, value in point.items()
        if language != "step"
    )


def languages_of(*cells: CellFacts) -> list[str]:
    """The languages that chose."""
    return list(dict.fromkeys(language for _, chosen in selections_of(cells) for _, language, _ in points(chosen)))


def unit_of(selection: Selection) -> Metric:
    """The unit of what was compared; losses are shown as they are."""
    return metric_of(selection.metric) if selection.task else Metric(factor=1.0)


def written(value: float | None, selection: Selection) -> str:
    """A value in its unit: of a loss three decimals, else as tables of scores have it."""
    if value is None:
        return ""
    return shown(value, unit_of(selection)) if selection.task else f"{value:.3f}"
