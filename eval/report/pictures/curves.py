"""Scores over an axis of amounts, or of cells that stand on none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import altair

from eval.report.grid import Grid, Picture
from eval.report.pictures.parts import TOOLTIPS, amounts_axis, as_spec, by_metric, faceted, headings, marks
from eval.report.theme import GREY

MOST_WITH_BANDS = 4
"""Curves in a panel; bands around more would hide each other."""
DASHES = {
    "base": ("untuned model", [2, 3]),
    "published": ("published", [6, 3]),
    "law": ("a + b · log10(1 + n)", [1, 3]),
}
"""Lines that are no curve of the study: what the legend calls them, and how they are broken."""


def overview_picture(task: str, title: str, grid: Grid, kinds: Collection[str], groups: Sequence[str]) -> Picture:
    """A task's scores in groups of languages; with further axes, a panel for each place on these.

    `title` is the metric's with its unit, and `kinds` are those of the rows there are.
    """
    data = f"overview-{task}"
    chart = _curves(grid, kinds, title, groups, height=230) if grid.scale else _dots(grid, title, groups)
    if grid.several:
        facet = altair.Facet("series:N", title=None, sort=list(grid.series))
        spec = faceted(chart, data, facet, len(grid.series), columns=4, narrowest=210)
    else:
        spec = as_spec(chart.properties(data=altair.NamedData(data), width=300), {"widest": 560})
    return Picture(data, task, f"Mean scores in {task} over groups of languages, with 95 % intervals.", spec, data)


def curves_picture(
    task: str, metric: str, titles: Mapping[str, str], grid: Grid, kinds: Collection[str], languages: Mapping[str, str]
) -> Picture:
    """A task's scores in each language: curves over the axis of numbers, or points with intervals.

    `languages` maps codes to the panels' headings, and `titles` metrics to what the axis of scores is called.
    """
    chart = _curves(grid, kinds, titles[metric], height=150) if grid.scale else _dots(grid, titles[metric])
    over = f"over {grid.scale.title}" if grid.scale else "of each cell"
    facet = altair.Facet("group:N", title=None, sort=list(languages), header=headings(languages))
    spec = faceted(chart, task, facet, len(languages), columns=4, narrowest=150 if grid.scale else 210)
    single = {"filter": {"field": "group", "oneOf": list(languages)}}
    spec["usermeta"] |= {"titles": dict(titles)}
    bands = "" if _too_many(grid) else ", with 95 % intervals"
    return Picture(
        f"{task}-curves",
        f"Scores {over} in each language{bands}",
        f"Scores in {task} {over}, a panel for each language.",
        by_metric(spec | {"transform": [single]}, metric),
        task,
    )


def _too_many(grid: Grid) -> bool:
    """Whether there are too many curves in a panel for bands around them."""
    return grid.several and len(grid.series) > MOST_WITH_BANDS


def _curves(grid: Grid, kinds: Collection[str], title: str, groups: Sequence[str] = (), height: int = 150) -> Any:
    """Lines with bands, of each group or else of each series; the untuned model and published curves beside them."""
    assert grid.scale is not None
    x = amounts_axis(grid.scale)
    score = altair.Y("mean:Q", title=title, scale=altair.Scale(zero=False), axis=altair.Axis(tickCount=5))
    told_apart = marks("group", groups) if groups else marks("series", grid.series) if grid.several else {}
    colour = {name: mark for name, mark in told_apart.items() if name == "color"}
    detail = altair.Detail("series:N")
    cells = altair.Chart().transform_filter("datum.kind === 'cell'")
    layers = [
        cells.mark_line().encode(x=x, y=score, detail=detail, **colour),
        cells.mark_point().encode(x=x, y=score, tooltip=TOOLTIPS, **told_apart),
    ]
    named = [DASHES[kind] for kind in DASHES if kind in kinds]
    dashes = altair.Scale(domain=[name for name, _ in named], range=[dash for _, dash in named])
    if "base" in kinds:
        layers.insert(0, _base_line(score, colour if groups else {}, dashes))
    if "published" in kinds:
        layers.insert(0, _published_curves(x, score, dashes))
    if "law" in kinds:
        laws, dash = _lines("law", dashes)
        layers.insert(0, laws.mark_line().encode(x=x, y=score, detail=detail, strokeDash=dash, **colour))
    if groups or not _too_many(grid):
        band = cells.mark_area(opacity=0.16)
        layers.insert(0, band.encode(x=x, y=altair.Y("low:Q", title=title), y2="high:Q", detail=detail, **colour))
    return altair.layer(*layers).properties(height=height)


def _lines(kind: str, dashes: altair.Scale) -> tuple[altair.Chart, altair.StrokeDash]:
    """The rows of a kind of line, and how it is broken; the legend has its name."""
    legend = altair.Legend(symbolType="stroke", symbolSize=300, symbolStrokeWidth=1.5)
    rows = altair.Chart().transform_filter(f"datum.kind === '{kind}'").transform_calculate(line=repr(DASHES[kind][0]))
    return rows, altair.StrokeDash("line:N", title=None, scale=dashes, legend=legend)


def _base_line(score: altair.Y, colour: Mapping[str, Any], dashes: altair.Scale) -> altair.Chart:
    """The untuned model's score, across the panel."""
    base, dash = _lines("base", dashes)
    return base.mark_rule(strokeWidth=1.5).encode(y=score, tooltip=TOOLTIPS, strokeDash=dash, **colour)


def _published_curves(x: altair.X, score: altair.Y, dashes: altair.Scale) -> altair.Chart:
    """Curves from elsewhere, grey and broken."""
    published, dash = _lines("published", dashes)
    return published.mark_line(point={"shape": "diamond", "color": GREY}, color=GREY).encode(
        x=x,
        y=score,
        detail=altair.Detail("cell:N"),
        strokeDash=dash,
        tooltip=["cell:N", "group:N", "x:Q", "shown:N"],
    )


def _dots(grid: Grid, title: str, groups: Sequence[str] = ()) -> Any:
    """Points with their intervals, a line for each cell, or for each of its groups."""
    told_apart = marks("group", groups) if groups else {}
    vertical: dict[str, Any] = {"y": altair.Y("cell:N", title=None, sort=list(grid.cells))}
    if groups:
        vertical["yOffset"] = altair.YOffset("group:N", sort=list(groups))
    colour = {name: mark for name, mark in told_apart.items() if name == "color"}
    score = altair.X("mean:Q", title=title, scale=altair.Scale(zero=False))
    base = altair.Chart()
    spans = base.mark_rule(strokeWidth=2, opacity=0.6).encode(
        x=altair.X("low:Q", title=title), x2="high:Q", **vertical, **colour
    )
    points = base.mark_point().encode(x=score, tooltip=TOOLTIPS, **vertical, **told_apart)
    height = {"step": 11, "for": "offset"} if groups else {"step": 16}
    return altair.layer(spans, points).properties(height=height)
