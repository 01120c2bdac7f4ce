"""How cells were trained: curves over optimiser steps, and what mixtures hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair
import polars as pl

from eval.report.grid import Grid, Picture
from eval.report.page import Selection
from eval.report.pictures.parts import AMOUNT_LABEL, as_spec, faceted, headings, marks_of_cells
from eval.report.units import metric_name, metric_title


def training_picture(quantities: Sequence[str], cells: Sequence[str], grid: Grid) -> Picture:
    """What was recorded of these cells at each optimiser step, a panel for each quantity."""
    chart = _over_steps(cells, grid).properties(height=220)
    facet = altair.Facet("quantity:N", title=None, sort=list(quantities))
    spec = faceted(chart, "training", facet, len(quantities), columns=3, narrowest=240, own="y")
    return Picture(
        "training", "Training curves", "What was recorded in training, over optimiser steps.", spec, "training"
    )


def validation_picture(
    selection: Selection, task: str, languages: Mapping[str, str], cells: Sequence[str], grid: Grid
) -> Picture:
    """What chose the steps of these cells on validation rows, a panel for each language, and the steps themselves.

    `task` is what readers see for the task, if one chose, and `languages` maps codes to the panels' headings.
    """
    if selection.task:
        name, quantity = f"validation-{selection.task}-{selection.metric}", metric_title(selection.metric)
        title = f"{task}, {metric_name(selection.metric)} on validation rows"
    else:
        name, quantity, title = "validation", "nats per supervised token", "Losses on validation rows"
    lines = _over_steps(cells, grid, quantity)
    kept = lines.mark_point(filled=True, size=70, opacity=1).transform_filter("datum.kept")
    facet = altair.Facet("group:N", title=None, sort=list(languages), header=headings(languages))
    chart = altair.layer(lines, kept).properties(height=180)
    return Picture(
        name,
        f"{title}; a point marks the step whose weights are kept",
        f"{title} over optimiser steps, a panel for each language.",
        faceted(chart, name, facet, len(languages), columns=4, narrowest=210),
        name,
    )


def _over_steps(cells: Sequence[str], grid: Grid, title: str | None = None) -> altair.Chart:
    """A line of values for each cell."""
    return (
        altair.Chart()
        .mark_line(strokeWidth=1.5)
        .encode(
            x=altair.X("step:Q", title="optimiser step", axis=altair.Axis(tickCount=6)),
            y=altair.Y("value:Q", title=title, scale=altair.Scale(zero=False), axis=altair.Axis(format="~g")),
            detail=altair.Detail("cell:N"),
            tooltip=["cell:N", "step:Q", altair.Tooltip("value:Q", format=".4g")],
            **marks_of_cells(grid, cells, lines=True),
        )
    )


def card_picture(cell: str, card: Sequence[Mapping[str, Any]]) -> Picture:
    """A cell's mixture card, with its data inside."""
    description = f"Supervised tokens of {cell} by language and task, and the lengths of its rows."
    spec = as_spec(_mixture(card), {"stack": True})
    return Picture(f"card-{cell}", "Supervised tokens, and lengths of rows", description, spec, "")


def _mixture(card: Sequence[Mapping[str, Any]]) -> Any:
    """A cell's mixture: supervised tokens by language and task, and how long rows are (5 %, median, 95 %)."""
    rows = [
        {
            "task": row["task"],
            "language": row["language"],
            "supervised tokens": row["supervised_tokens"],
            "rows": row["rows"],
            "tokens per character": round(row["fertility"], 3),
            **dict(zip(("short", "median", "long"), row["lengths"], strict=False)),
        }
        for row in card
    ]
    tasks_there = len({row["task"] for row in rows})
    base = altair.Chart(pl.DataFrame(rows)).properties(width=260, height=altair.Step(8 + 12 * tasks_there))
    language = altair.Y("language:N", title=None)
    tasks = altair.Color("task:N", title=None)
    amount = base.mark_bar().encode(
        x=altair.X("supervised tokens:Q", axis=altair.Axis(labelExpr=AMOUNT_LABEL, tickCount=5)),
        y=language,
        color=tasks,
        tooltip=["task", "language", "rows", "supervised tokens", "tokens per character"],
    )
    offset = altair.YOffset("task:N")
    lengths = base.properties(height=altair.Step(12))
    ranges = lengths.mark_rule(strokeWidth=3).encode(
        x=altair.X("short:Q", title="tokens of a row (5 % to 95 %, median)"),
        x2="long:Q",
        y=language,
        yOffset=offset,
        color=tasks,
    )
    medians = lengths.mark_tick(thickness=3, height=9).encode(x="median:Q", y=language, yOffset=offset, color=tasks)
    return amount | altair.layer(ranges, medians)
