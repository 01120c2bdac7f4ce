"""Pictures of a report, by Altair. The only importer of altair.

A picture names its data instead of holding it: the page gives one table to several pictures. Colours are those of
Okabe and Ito, which the colour-blind tell apart; what colour says, shape, dash or text says as well.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import altair
import polars as pl

from eval.analysis.groups import PERFORMANCE, SEEN, UNSEEN, LanguageGroups
from eval.report.grid import Grid, Picture, Scale
from eval.report.theme import CHANGE_COLOURS, GREY, MOST_COLOURS, VERDICT_COLOURS

RIGHT, WRONG, UNTOLD = "right language", "another language", "cannot be told"
AMOUNT_LABEL = "abs(datum.value) < 10000 ? format(datum.value, '~r') : format(datum.value / 1000, '~r') + 'k'"


def overview_picture(grid: Grid, kinds: Collection[str], groups: Sequence[str], tasks: Sequence[str]) -> Picture:
    """Scores of groups of languages, a panel for each task; `kinds` are those of the rows there are."""
    chart = _curves(grid, kinds, groups).properties(height=230) if grid.scale else _dots(grid, groups)
    spec = _faceted(
        chart,
        "overview",
        altair.Facet("task:N", title=None, sort=list(tasks)),
        columns=min(3, len(tasks)),
        narrowest=240,
        own="xy" if grid.scale else "x",
    )
    return Picture(
        "overview",
        f"Scores of groups of languages, with 95 % intervals{_unnamed(grid, kinds)}",
        "Mean scores in English, seen and unseen languages, a panel for each task.",
        spec,
        "overview",
    )


def curves_picture(task: str, metric: str, grid: Grid, kinds: Collection[str], languages: Mapping[str, str]) -> Picture:
    """A task's scores in each language: curves over the axis of numbers, or points with intervals.

    `languages` maps codes to the panels' headings.
    """
    chart = _curves(grid, kinds).properties(height=150) if grid.scale else _dots(grid)
    over = f"over {grid.scale.name}" if grid.scale else "of each cell"
    facet = altair.Facet("group:N", title=None, sort=list(languages), header=_named(languages))
    spec = _faceted(chart, task, facet, columns=4, narrowest=150 if grid.scale else 210)
    single = {"filter": {"field": "group", "oneOf": list(languages)}}
    return Picture(
        f"{task}-curves",
        f"Scores {over} in each language, with 95 % intervals{_unnamed(grid, kinds)}",
        f"Scores in {task} {over}, a panel for each language.",
        _by_metric(spec | {"transform": [single]}, metric),
        task,
    )


def _unnamed(grid: Grid, kinds: Collection[str]) -> str:
    """What the lines that no legend names are."""
    said = {"base": "dotted: the untuned model", "published": "grey: published"} if grid.scale else {}
    return "".join(f"; {words}" for kind, words in said.items() if kind in kinds)


def _curves(grid: Grid, kinds: Collection[str], groups: Sequence[str] = ()) -> Any:
    """Lines with bands, of each group or else of each series; the untuned model and published curves beside them."""
    assert grid.scale is not None
    x = _axis(grid.scale)
    score = altair.Y("mean:Q", title=None, scale=altair.Scale(zero=False), axis=altair.Axis(tickCount=5))
    several = len(grid.series) > 1
    by_series = _marks("series", grid.series) if several else {}
    marks = _marks("group", groups) if groups else by_series
    colour = {name: mark for name, mark in marks.items() if name == "color"}
    dash: dict[str, Any] = (
        {"strokeDash": altair.StrokeDash("series:N", title=None, scale=_domain(grid.series))} if several else {}
    )
    detail = altair.Detail("series:N")
    cells = altair.Chart().transform_filter("datum.kind === 'cell'")
    layers = [
        cells.mark_area(opacity=0.18).encode(
            x=x, y=altair.Y("low:Q", title=None), y2="high:Q", detail=detail, **colour
        ),
        cells.mark_line().encode(x=x, y=score, detail=detail, **colour, **dash),
        cells.mark_point().encode(x=x, y=score, tooltip=TOLD, **marks),
    ]
    if "base" in kinds:
        layers.insert(1, _base_line(score, colour if groups else {}))
    if "published" in kinds:
        layers.insert(1, _published_curves(x, score))
    return altair.layer(*layers)


def _base_line(score: altair.Y, colour: Mapping[str, Any]) -> altair.Chart:
    """The untuned model's score, across the panel."""
    base = altair.Chart().transform_filter("datum.kind === 'base'")
    return base.mark_rule(strokeDash=[2, 3], strokeWidth=1.5).encode(y=score, tooltip=TOLD, **colour)


def _published_curves(x: altair.X, score: altair.Y) -> altair.Chart:
    """Curves from elsewhere, grey and broken."""
    published = altair.Chart().transform_filter("datum.kind === 'published'")
    return published.mark_line(strokeDash=[6, 3], point={"shape": "diamond", "color": GREY}, color=GREY).encode(
        x=x, y=score, detail=altair.Detail("cell:N"), tooltip=["cell:N", "group:N", "x:Q", "shown:N"]
    )


TOLD = [
    altair.Tooltip("cell:N"),
    altair.Tooltip("label:N", title="languages"),
    altair.Tooltip("shown:N", title="mean"),
    altair.Tooltip("interval:N", title="95 %"),
    altair.Tooltip("n:Q", title="predictions"),
]


def _dots(grid: Grid, groups: Sequence[str] = ()) -> Any:
    """Points with their intervals, a line for each cell, or for each of its groups."""
    marks = _marks("group", groups) if groups else {}
    vertical: dict[str, Any] = {"y": altair.Y("cell:N", title=None, sort=list(grid.cells))}
    if groups:
        vertical["yOffset"] = altair.YOffset("group:N", sort=list(groups))
    colour = {name: mark for name, mark in marks.items() if name == "color"}
    score = altair.X("mean:Q", title=None, scale=altair.Scale(zero=False))
    base = altair.Chart()
    spans = base.mark_rule(strokeWidth=2, opacity=0.6).encode(
        x=altair.X("low:Q", title=None), x2="high:Q", **vertical, **colour
    )
    points = base.mark_point().encode(x=score, tooltip=TOLD, **vertical, **marks)
    height = {"step": 11, "for": "offset"} if groups else {"step": 16}
    return altair.layer(spans, points).properties(height=height)


def heatmap_picture(
    task: str,
    metric: str,
    grid: Grid,
    columns: Mapping[str, str],
    compared_with: str,
    reach: Mapping[str, float],
) -> Picture:
    """A task's cells × languages: the score as text, how far it is above the compared model as colour.

    `columns` maps languages and groups to their labels; `reach` is the largest change by each metric.
    """
    data = altair.NamedData(task)
    base = altair.Chart(data).transform_filter("datum.kind !== 'published'")
    base = base.transform_calculate(known="isValid(datum.mean)").transform_filter("datum.known")
    base = base.encode(
        x=altair.X(
            "group:N",
            title=None,
            sort=list(columns),
            axis=altair.Axis(orient="top", labelAngle=0, labelExpr=_short_labels(columns)),
        ),
        y=altair.Y("cell:N", title=None, sort=list(grid.cells)),
    )
    blank = base.mark_rect(color=CHANGE_COLOURS[1])
    boxes = base.mark_rect().encode(
        color=_change_colour(f"change from {compared_with}"),
        tooltip=[*TOLD, altair.Tooltip("change:Q", title=f"change from {compared_with}", format="+.2f")],
    )
    text = base.mark_text(color="#111111", fontSize=11).encode(text="shown:N")
    chart = altair.layer(blank, boxes, text).properties(width=42 * len(columns) + 200, height=24 * len(grid.cells))
    spec = _as_spec(chart, {"narrowest": 42 * len(columns) + 80})
    spec["params"] = [{"name": "reach", "expr": f"({json.dumps(dict(reach))})[metric]"}]
    return Picture(
        f"{task}-heatmap",
        f"Cells × languages; colour: change from {compared_with}",
        f"A heatmap of scores in {task}: cells down, languages across, coloured by the change from {compared_with}.",
        _by_metric(spec, metric),
        task,
    )


def _short_labels(columns: Mapping[str, str]) -> str:
    """Headings of columns, of which there are many beside each other."""
    short = dict(columns)
    if PERFORMANCE in short:
        short[PERFORMANCE] = f"to {short[PERFORMANCE].split()[-1]}"
    return f"({json.dumps(short)})[datum.value]"


def _change_colour(title: str) -> altair.Color:
    """Orange below 0 and blue above, equally strong for changes of equal size; the largest is the signal `reach`."""
    reach: dict[str, Any] = {
        "domainMin": altair.ExprRef("-reach"),
        "domainMid": 0,
        "domainMax": altair.ExprRef("reach"),
    }
    return altair.Color(
        "change:Q",
        title=title,
        scale=altair.Scale(range=CHANGE_COLOURS, **reach),
        legend=altair.Legend(gradientLength=160, format="+.2~r", tickCount=4),
    )


def scatter_picture(task: str, metric: str, grid: Grid) -> Picture:
    """Seen against unseen languages, a point for each cell with both intervals."""
    data = altair.NamedData(f"{task}-pairs")
    marks = _marks("cell", grid.cells, grid.scale is not None)
    colour = marks["color"]
    base = altair.Chart(data)
    x = altair.X(
        "seen:Q", title="mean of seen languages", scale=altair.Scale(zero=False), axis=altair.Axis(tickCount=8)
    )
    y = altair.Y("unseen:Q", title="mean of unseen languages", scale=altair.Scale(zero=False))
    across = base.mark_rule(opacity=0.45).encode(x=altair.X("seen_low:Q"), x2="seen_high:Q", y=y, color=colour)
    upwards = base.mark_rule(opacity=0.45).encode(y=altair.Y("unseen_low:Q"), y2="unseen_high:Q", x=x, color=colour)
    points = base.mark_point(size=90).encode(x=x, y=y, tooltip=["cell:N", "seen_text:N", "unseen_text:N"], **marks)
    chart = altair.layer(across, upwards, points).properties(width=420, height=280)
    return Picture(
        f"{task}-scatter",
        "Seen against unseen languages, with 95 % intervals",
        f"Mean scores in {task}: seen languages across, unseen languages up, a point for each cell.",
        _by_metric(_as_spec(chart, {"widest": 560}), metric),
        f"{task}-pairs",
    )


def confusion_picture(task: str, grid: Grid, languages: Mapping[str, str]) -> Picture:
    """In which language each cell answered: shares of all predictions, a panel for each language."""
    order = [RIGHT, WRONG, UNTOLD]
    bars = (
        altair.Chart()
        .mark_bar()
        .encode(
            x=altair.X("count:Q", stack="normalize", title=None, axis=altair.Axis(format="%", tickCount=3)),
            y=altair.Y("cell:N", title=None, sort=list(grid.cells)),
            color=altair.Color("verdict:N", title=None, scale=altair.Scale(domain=order, range=VERDICT_COLOURS)),
            order=altair.Order("rank:Q"),
            tooltip=["cell:N", "group:N", "verdict:N", "count:Q"],
        )
        .properties(height=altair.Step(16))
    )
    facet = altair.Facet("group:N", title=None, sort=list(languages), header=_named(languages))
    return Picture(
        f"{task}-confusion",
        "The language answered in",
        f"Shares of predictions in {task} in the right language, in another, and where that cannot be told.",
        _faceted(bars, f"{task}-confusion", facet, columns=4, narrowest=210),
        f"{task}-confusion",
    )


def loss_picture(cells: Sequence[str], ordered: bool) -> Picture:
    """Learning curves: the training loss of these cells; colours go by their order if they are in one."""
    chart = (
        altair.Chart(altair.NamedData("losses"))
        .mark_line(strokeWidth=1.5)
        .encode(
            x=altair.X("step:Q", title="optimiser step", axis=altair.Axis(tickCount=8)),
            y=altair.Y("loss:Q", title="loss (nats per supervised token)", scale=altair.Scale(zero=False)),
            color=_marks("cell", cells, ordered)["color"],
            tooltip=["cell:N", "step:Q", altair.Tooltip("loss:Q", format=".3f")],
        )
        .properties(width=640, height=260)
    )
    description = "The training loss of every cell, over optimiser steps."
    return Picture("losses", "Learning curves", description, _as_spec(chart, {"widest": 760}), "losses")


def transfer_picture(task: str, sources: Sequence[str], targets: Sequence[str], reach: float) -> Picture:
    """Sources × targets: what training on the one did to the other."""
    base = altair.Chart(altair.NamedData(f"{task}-transfer")).encode(
        x=altair.X("target:N", sort=list(targets), axis=altair.Axis(orient="top", labelAngle=0), title="tested on"),
        y=altair.Y("source:N", sort=list(sources), title="trained on"),
    )
    boxes = base.mark_rect().encode(
        color=_change_colour("difference"),
        tooltip=["source:N", "target:N", altair.Tooltip("shown:N", title="difference"), TOLD[3]],
    )  # fmt: skip
    text = base.mark_text(color="#111111", fontSize=11).encode(text="shown:N")
    chart = altair.layer(boxes, text).properties(width=46 * len(targets) + 120, height=26 * len(sources))
    spec = _as_spec(chart, {"narrowest": 46 * len(targets) + 80}) | {"params": [{"name": "reach", "value": reach}]}
    return Picture(
        f"{task}-transfer",
        "What training on one language did to another",
        f"A heatmap for {task}: languages trained on down, languages tested on across.",
        spec,
        f"{task}-transfer",
    )


def card_picture(cell: str, card: Sequence[Mapping[str, Any]]) -> Picture:
    """A cell's mixture card, with its data inside."""
    description = f"Supervised tokens of {cell} by language and task, and the lengths of its rows."
    spec = _as_spec(mixture_picture(card), {"stack": True})
    return Picture(f"card-{cell}", "Supervised tokens, and lengths of rows", description, spec, "")


def mixture_picture(card: Sequence[Mapping[str, Any]]) -> Any:
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


def _marks(field: str, names: Sequence[str], ordered: bool = False) -> dict[str, Any]:
    """A colour and a shape for each of the names, which share a legend.

    Where the names are in an order, or many, colours go by the order; many have no shapes.
    """
    many = len(names) > MOST_COLOURS
    legend = altair.Legend(symbolOpacity=1)
    same: dict[str, Any] = {"title": None, "scale": _domain(names), "legend": legend}
    colour = altair.Color(f"{field}:{'O' if ordered or many else 'N'}", **same)
    return {"color": colour} if many else {"color": colour, "shape": altair.Shape(f"{field}:N", **same)}


def _domain(names: Sequence[str]) -> altair.Scale:
    """These names in this order."""
    return altair.Scale(domain=list(names))


def _named(names: Mapping[str, str]) -> altair.Header:
    """Headings in words."""
    return altair.Header(labelExpr=f"({json.dumps(dict(names))})[datum.value]")


def _faceted(chart: Any, data: str, facet: altair.Facet, columns: int, narrowest: int, own: str = "") -> dict[str, Any]:
    """Panels of a chart, as many beside each other as there is room for; the page counts them anew.

    `own` names the axes on which each panel has its own scale.
    """
    panels = altair.FacetChart(
        data=altair.NamedData(data), spec=chart.properties(width=narrowest), facet=facet, columns=columns
    )
    if own:
        scales: dict[str, Any] = dict.fromkeys(own, "independent")
        panels = panels.resolve_scale(**scales)
    if "y" in own:
        panels = panels.properties(bounds="flush", spacing=64)
    return _as_spec(panels, {"columns": columns, "narrowestPanel": narrowest, "widestPanel": 520})


def _by_metric(spec: dict[str, Any], metric: str) -> dict[str, Any]:
    """The chart of one metric at a time, which a signal of that name chooses."""
    return spec | {
        "params": [*spec.get("params", []), {"name": "metric", "value": metric}],
        "transform": [{"filter": "datum.metric === metric"}, *spec.get("transform", [])],
    }


def _as_spec(chart: Any, layout: dict[str, Any]) -> dict[str, Any]:
    """The chart as Vega-Lite, without Altair's own colours; `layout` tells the page how to fit it in."""
    spec: dict[str, Any] = chart.to_dict()
    del spec["config"]
    return spec | {"usermeta": layout}


def groups_shown(groups: LanguageGroups) -> tuple[str, ...]:
    """The columns that the overview is of."""
    return tuple(name for name in (groups.pivot, SEEN, UNSEEN) if name in groups.names or name in groups.all)


def _axis(scale: Scale) -> altair.X:
    """The horizontal axis, marked where there are cells."""
    return altair.X(
        "x:Q",
        title=scale.name,
        scale=altair.Scale(type=scale.kind, nice=False, zero=False),  # pyright: ignore[reportArgumentType]
        axis=altair.Axis(
            values=list(scale.values), labelExpr=AMOUNT_LABEL, labelOverlap="greedy", labelSeparation=4, grid=False
        ),
    )
