"""What pictures share: marks, axes, panels, and how a picture becomes a specification."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair

from eval.report.grid import Grid, Scale
from eval.report.theme import MOST_COLOURS

AMOUNT_LABEL = "abs(datum.value) < 10000 ? format(datum.value, '~r') : format(datum.value / 1000, '~r') + 'k'"
MOST_IN_A_LEGEND = 24
"""Names; more are told by the pointer alone."""
MEAN_TOOLTIP = altair.Tooltip("shown:N", title="mean")
INTERVAL_TOOLTIP = altair.Tooltip("interval:N", title="95 %")
TOOLTIPS = [
    altair.Tooltip("cell:N"),
    altair.Tooltip("label:N", title="languages"),
    MEAN_TOOLTIP,
    INTERVAL_TOOLTIP,
    altair.Tooltip("n:Q", title="predictions"),
]


def marks(field: str, names: Sequence[str], ordered: bool = False) -> dict[str, Any]:
    """A colour and a shape for each of the names, which share a legend.

    Where the names are in an order, or many, colours go by the order; many have no shapes.
    """
    many = len(names) > MOST_COLOURS
    legend = altair.Legend(symbolOpacity=1) if len(names) <= MOST_IN_A_LEGEND else None
    same: dict[str, Any] = {"title": None, "scale": domain(names), "legend": legend}
    colour = altair.Color(f"{field}:{'O' if ordered or many else 'N'}", **same)
    return {"color": colour} if many else {"color": colour, "shape": altair.Shape(f"{field}:N", **same)}


def marks_of_cells(grid: Grid, cells: Sequence[str], lines: bool = False) -> dict[str, Any]:
    """What tells cells apart: their names, or where these are many and stand on an axis, their places on it.

    Then colour is for the amount (`at` in the data), and shape, or the dash of lines, for the other axes.
    """
    if grid.scale is None or not stand_on_axis(grid, cells):
        by_name = marks("cell", cells, ordered=grid.scale is not None)
        return {"color": by_name["color"]} if lines else by_name
    amounts = [f"{value:g}" for value in grid.scale.values]
    same: dict[str, Any] = {"scale": domain(amounts), "title": grid.scale.title}
    colour = {"color": altair.Color("at:O", legend=altair.Legend(symbolOpacity=1), **same)}
    if len(grid.series) < 2:
        return colour
    other: dict[str, Any] = {"scale": domain(grid.series), "title": None}
    if lines:
        return colour | {"strokeDash": altair.StrokeDash("series:N", **other)}
    return colour | {"shape": altair.Shape("series:N", **other)}


def stand_on_axis(grid: Grid, cells: Sequence[str]) -> bool:
    """Whether cells are too many to be told apart by their names, and can be by their places on an axis."""
    return grid.scale is not None and len(cells) > MOST_COLOURS


def domain(names: Sequence[str]) -> altair.Scale:
    """These names in this order."""
    return altair.Scale(domain=list(names))


def headings(names: Mapping[str, str]) -> altair.Header:
    """Headings of panels in words."""
    return altair.Header(labelExpr=f"({json.dumps(dict(names))})[datum.value]")


def faceted(
    chart: Any, data: str, facet: altair.Facet, panels: int, columns: int, narrowest: int, own: str = ""
) -> dict[str, Any]:
    """So many panels of a chart, as many beside each other as there is room for; the page counts them anew.

    `own` names the axes on which each panel has its own scale. Where the last row is not full, each panel has its own
    horizontal axis: a shared one would also stand below the places that are empty.
    """
    columns = min(columns, panels)
    whole = altair.FacetChart(
        data=altair.NamedData(data), spec=chart.properties(width=narrowest), facet=facet, columns=columns
    )
    scales: dict[str, Any] = dict.fromkeys(own, "independent")
    whole = whole.resolve_scale(**scales)
    whole = whole.resolve_axis(x="independent" if panels % columns else "shared")
    if "y" in own:
        whole = whole.properties(bounds="flush", spacing=64)
    return as_spec(whole, {"panels": panels, "columns": columns, "narrowestPanel": narrowest, "widestPanel": 520})


def by_metric(spec: dict[str, Any], metric: str) -> dict[str, Any]:
    """The chart of one metric at a time, which a signal of that name chooses."""
    return spec | {
        "params": [*spec.get("params", []), {"name": "metric", "value": metric}],
        "transform": [{"filter": "datum.metric === metric"}, *spec.get("transform", [])],
    }


def as_spec(chart: Any, layout: dict[str, Any]) -> dict[str, Any]:
    """The chart as Vega-Lite, without Altair's own colours; `layout` tells the page how to fit it in."""
    spec: dict[str, Any] = chart.to_dict()
    del spec["config"]
    return spec | {"usermeta": layout}


def whole_numbers(values: Sequence[int], most: int = 8, **axis: Any) -> altair.Axis:
    """An axis that is marked at these numbers, or at every second or third of them where they are many."""
    return altair.Axis(values=[*values][:: -(-len(values) // most)], labelExpr=AMOUNT_LABEL, grid=False, **axis)


def amounts_axis(scale: Scale) -> altair.X:
    """The horizontal axis, marked where there are cells."""
    axis: dict[str, Any] = {"labelExpr": AMOUNT_LABEL, "labelOverlap": "greedy", "labelSeparation": 4, "grid": False}
    if scale.kind == "categorical":
        return altair.X("x:O", title=scale.title, axis=altair.Axis(labelAngle=0, **axis))
    form: dict[str, Any] = {"type": scale.kind, "nice": False, "zero": False}
    if scale.kind == "symlog":
        form["constant"] = scale.smallest
    return altair.X(
        "x:Q", title=scale.title, scale=altair.Scale(**form), axis=altair.Axis(values=list(scale.values), **axis)
    )
