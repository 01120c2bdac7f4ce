"""The tables behind the pictures: rows of a summary as they are drawn, in the units that tables show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from eval.analysis.groups import SEEN, UNSEEN
from eval.report.grid import Scale
from eval.report.page import Page
from eval.report.pictures import RIGHT, UNTOLD, WRONG
from eval.report.tables import Figure, TaskTable, difference, shown, unit_of
from eval.scorers.metrics import Metric, metric_of

LANGUAGE_PASS = "language_pass"
MOST_POINTS = 200
"""Of a learning curve; beyond, neighbouring steps are averaged."""


def scale_of(page: Page) -> Scale | None:
    """The axis that curves go over, if cells stand on at least two places of it."""
    if page.axis is None:
        return None
    values = sorted(
        {value for place in page.settings.values() if isinstance(value := place.get(page.axis), (int, float))}
    )
    return Scale(page.axis, tuple(values)) if len(values) > 1 else None


def series_of(page: Page, place: Mapping[str, float | str]) -> str:
    """What the other axes say of a place: settings that are alike in these are one curve."""
    return ", ".join(f"{axis} {value}" for axis, value in place.items() if axis != page.axis)


def all_series(page: Page) -> list[str]:
    """What the other axes say of every place where a setting stands."""
    return [series_of(page, place) for name in page.settings for place in places_of(page, name)]


def places_of(page: Page, cell: str) -> list[Mapping[str, float | str]]:
    """Where a setting stands in the grid; on curves it may stand at several places."""
    return [page.settings.get(cell, {}), *(page.also.get(cell, ()) if page.axis else ())]


def figure_rows(page: Page, task: str) -> pl.DataFrame:
    """One row per metric, cell, group and place of the cell: the place, mean, interval, and change.

    Changes are from what the cell is compared with.
    """
    part = page.summary.filter(pl.col("task") == task)
    compared = compared_with(page, part)
    before = {(row["metric"], row["group"]): row["mean"] for row in part.filter(cell=compared).iter_rows(named=True)}
    rows: list[dict[str, Any]] = []
    for row in part.filter(pl.col("cell").is_in(page.names)).iter_rows(named=True):
        metric = unit_of(row["metric"], row["kind"])
        figure = Figure(row["mean"], row["low"], row["high"], row["scored"], row["unscored"], row["no_answer"], metric)
        earlier = before.get((row["metric"], row["group"]))
        rows += [{
            "metric": row["metric"],
            "cell": row["cell"],
            "group": row["group"],
            "label": page.groups.label(row["group"]),
            "kind": "base" if row["cell"] == page.base else "cell",
            "x": _number(place.get(page.axis or "")),
            "series": series_of(page, place),
            **drawn(row["mean"], row["low"], row["high"], metric),
            "change": None if row["mean"] is None or earlier is None else metric.factor * (row["mean"] - earlier),
            "shown": figure.text,
            "interval": figure.interval,
            "n": row["scored"],
        } for place in places_of(page, row["cell"])]  # fmt: skip
    return pl.DataFrame(rows + published_rows(page, task), schema=FIGURES, orient="row")


FIGURES: dict[str, Any] = {
    "metric": pl.String, "cell": pl.String, "group": pl.String, "label": pl.String, "kind": pl.String, "x": pl.Float64,
    "series": pl.String,
    "mean": pl.Float64, "low": pl.Float64, "high": pl.Float64, "change": pl.Float64, "shown": pl.String,
    "interval": pl.String, "n": pl.Int64,
}  # fmt: skip


def published_rows(page: Page, task: str) -> list[dict[str, Any]]:
    """Published curves of a task, as rows beside the study's own."""
    if page.reference is None:
        return []
    return [
        dict.fromkeys(FIGURES)
        | {
            "metric": row["metric"],
            "cell": row["name"],
            "group": row["language"],
            "label": row["language"],
            "kind": "published",
            "series": "",
        }
        | {"x": row["x"], "mean": metric_of(row["metric"]).factor * row["score"]}
        | {"shown": shown(row["score"], metric_of(row["metric"]))}
        for row in page.reference.filter(pl.col("task") == task).iter_rows(named=True)
    ]


def compared_with(page: Page, part: pl.DataFrame) -> str:
    """What changes are from: the untuned model, or the first cell that has scores."""
    there = set(part["cell"])
    return next(name for name in page.names if name in there)


def overview_rows(page: Page, tables: Sequence[TaskTable], groups: Sequence[str]) -> pl.DataFrame:
    """The rows of every task's first metric for some groups of languages."""
    parts = [
        figure_rows(page, table.task)
        .filter(pl.col("metric") == table.metric, pl.col("group").is_in(groups), pl.col("kind") != "published")
        .with_columns(task=pl.lit(f"{table.task}: {table.title}"))
        for table in tables
    ]
    return pl.concat(parts)


def pair_rows(tables: Sequence[TaskTable]) -> pl.DataFrame:
    """Per metric and cell of one task, the means over seen and over unseen languages."""
    rows: list[dict[str, Any]] = []
    for table in tables:
        for cell in table.rows:
            seen, unseen = table.figure(cell, SEEN), table.figure(cell, UNSEEN)
            if seen is None or unseen is None or seen.mean is None or unseen.mean is None:
                continue
            row: dict[str, Any] = {"metric": table.metric, "cell": cell}
            for name, figure in (("seen", seen), ("unseen", unseen)):
                interval = drawn(figure.mean, figure.low, figure.high, figure.metric)
                row |= {name: interval["mean"], f"{name}_low": interval["low"], f"{name}_high": interval["high"]}
                row[f"{name}_text"] = f"{figure.text} ({figure.interval})"
            rows.append(row)
    return pl.DataFrame(rows)


def confusion_rows(table: TaskTable, languages: Sequence[str]) -> pl.DataFrame:
    """Per cell and language, how many predictions are in the right language, in another, and cannot be told."""
    rows: list[dict[str, Any]] = []
    for cell in table.rows:
        for language in languages:
            figure = table.figure(cell, language)
            if figure is None:
                continue
            right = round(figure.scored * (figure.mean or 0.0))
            counts = {RIGHT: right, WRONG: figure.scored - right, UNTOLD: figure.unscored}
            rows += [
                {"cell": cell, "group": language, "verdict": verdict, "count": count, "rank": rank}
                for rank, (verdict, count) in enumerate(counts.items())
            ]
    return pl.DataFrame(rows)


def loss_rows(page: Page) -> pl.DataFrame:
    """The learning curves: cell, step (the last of those averaged) and loss."""
    rows: list[dict[str, Any]] = []
    for cell in page.cells:
        for steps in np.array_split(np.arange(len(cell.loss)), min(len(cell.loss), MOST_POINTS) or 1):
            if len(steps):
                loss = float(np.mean([cell.loss[step] for step in steps]))
                rows.append({"cell": cell.name, "step": int(steps[-1]) + 1, "loss": round(loss, 4)})
    return pl.DataFrame(rows)


def transfer_rows(part: pl.DataFrame) -> pl.DataFrame:
    """One task's transfer matrix as it is drawn: source, target, change, its text and interval.

    Sources are called by their language where that tells them apart, else as their cells.
    """
    cells = part.select("cell", "source").unique()
    by_language = cells["source"].is_unique().all()
    rows: list[dict[str, Any]] = []
    for row in part.iter_rows(named=True):
        metric = metric_of(row["metric"])
        interval = drawn(row["difference"], row["low"], row["high"], metric)
        ends = " to ".join(filter(None, (shown(row[end], metric) for end in ("low", "high"))))
        rows.append({
            "source": row["source"] if by_language else row["cell"],
            "target": row["target"],
            "change": interval["mean"],
            "shown": difference(row["difference"], 0.0, metric),
            "interval": ends,
        })  # fmt: skip
    return pl.DataFrame(rows)


def reach_by_metric(rows: pl.DataFrame) -> dict[str, float]:
    """Metric → the largest change, up or down."""
    return {str(metric): reach_of(part) for (metric,), part in rows.partition_by("metric", as_dict=True).items()}


def reach_of(rows: pl.DataFrame) -> float:
    """The largest change, up or down; 1 where nothing changed."""
    reach: Any = rows["change"].abs().max()
    return float(reach or 1.0)


def drawn(mean: float | None, low: float | None, high: float | None, metric: Metric) -> dict[str, float | None]:
    """A mean and its interval times the metric's factor."""
    values = {"mean": mean, "low": low, "high": high}
    return {name: None if value is None else metric.factor * value for name, value in values.items()}


def columns_of(table: pl.DataFrame) -> dict[str, list[Any]]:
    """The table's columns as plain lists, numbers to four decimals."""
    return table.with_columns(pl.col(pl.Float64).round(4)).to_dict(as_series=False)


def _number(value: float | str | None) -> float | None:
    return None if isinstance(value, str) else value
