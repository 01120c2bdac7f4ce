"""Heatmaps: cells × languages, and languages trained on × languages tested on."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import altair

from eval.analysis.groups import PERFORMANCE
from eval.report.grid import Grid, Picture
from eval.report.pictures.parts import INTERVAL_TOOLTIP, TOOLTIPS, as_spec, by_metric
from eval.report.theme import CHANGE_COLOURS
from eval.report.verdicts import Verdict

LINE = 12
"""Pixels of a heading's second line."""
NARROW = 7
"""Letters that a heading's line has room for in any case."""
FAINT = 0.16
"""How much of its colour a change has that is within noise, or not tested."""


def heatmap_picture(
    task: str,
    metric: str,
    grid: Grid,
    columns: Mapping[str, str],
    compared_with: str,
    reach: Mapping[str, float],
    sure: str,
) -> Picture:
    """A task's cells × languages: the score as text, how far it is above the compared model as colour.

    `columns` maps languages and groups to their labels; `reach` is the largest change by each metric; `sure` says which
    changes are shown.
    """
    there = "datum.kind !== 'published' && datum.own && isValid(datum.mean)"
    base = altair.Chart(altair.NamedData(task)).transform_filter(there)
    base = base.transform_filter(altair.FieldOneOfPredicate("group", oneOf=list(columns)))
    base = base.encode(
        x=altair.X(
            "group:N",
            title=None,
            sort=list(columns),
            axis=altair.Axis(orient="top", labelAngle=0, labelExpr=_short_labels(columns), labelPadding=LINE + 4),
        ),
        y=altair.Y("cell:N", title=None, sort=list(grid.cells)),
    )
    boxes = _boxes(
        base,
        f"change from {compared_with}",
        [
            *TOOLTIPS,
            altair.Tooltip("change:Q", title=f"change from {compared_with}", format="+.2f"),
            "verdict:N",
            "p:N",
        ],
    )
    chart = altair.layer(*boxes).properties(width=46 * len(columns) + 200, height=24 * len(grid.cells))
    spec = as_spec(chart, {"narrowest": 46 * len(columns) + 80})
    spec["params"] = [{"name": "reach", "expr": f"({json.dumps(dict(reach))})[metric]"}]
    return Picture(
        f"{task}-heatmap",
        f"Cells × languages; colour: change from {compared_with}, strong with ▲ or ▼ where {sure}, else faint",
        f"A heatmap of scores in {task}: cells down, languages across, coloured by the change from {compared_with}.",
        by_metric(spec, metric),
        task,
    )


def _boxes(base: Any, title: str, tooltip: Sequence[Any]) -> tuple[Any, Any, Any]:
    """Boxes in a change's colour on plain ones, and the figures on them."""
    told = altair.FieldOneOfPredicate("verdict", oneOf=[Verdict.BETTER.value, Verdict.WORSE.value])
    blank = base.mark_rect(color=CHANGE_COLOURS[1])
    boxes = base.mark_rect().encode(
        color=_change_colour(title),
        opacity=altair.condition(told, altair.value(1.0), altair.value(FAINT)),
        tooltip=list(tooltip),
    )
    return blank, boxes, base.mark_text(color="#111111", fontSize=11).encode(text="marked:N")


def _short_labels(columns: Mapping[str, str]) -> str:
    """Headings of columns, of which there are many beside each other."""
    short = dict(columns)
    if PERFORMANCE in short:
        short[PERFORMANCE] = f"to {short[PERFORMANCE].split()[-1]}"
    lines = {column: textwrap.wrap(label, max(NARROW, (len(label) + 4) // 2))[:2] for column, label in short.items()}
    return f"({json.dumps(lines)})[datum.value]"


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


def transfer_picture(task: str, sources: Sequence[str], targets: Sequence[str], reach: float, sure: str) -> Picture:
    """Sources × targets: what training on the one did to the other; `sure` as for `heatmap_picture`."""
    base = altair.Chart(altair.NamedData(f"{task}-transfer")).encode(
        x=altair.X("target:N", sort=list(targets), axis=altair.Axis(orient="top", labelAngle=0), title="tested on"),
        y=altair.Y("source:N", sort=list(sources), title="trained on"),
    )
    told = ["source:N", "target:N", altair.Tooltip("shown:N", title="difference"), INTERVAL_TOOLTIP, "verdict:N", "p:N"]
    chart = altair.layer(*_boxes(base, "difference", told))
    chart = chart.properties(width=46 * len(targets) + 120, height=26 * len(sources))
    labels = 7 * max(map(len, sources))
    spec = as_spec(chart, {"narrowest": 46 * len(targets) + 40 + labels}) | {
        "params": [{"name": "reach", "value": reach}]
    }
    return Picture(
        f"{task}-transfer",
        f"What training on one language did to another; strong with ▲ or ▼ where {sure}, else faint",
        f"A heatmap for {task}: languages trained on down, languages tested on across.",
        spec,
        f"{task}-transfer",
    )
