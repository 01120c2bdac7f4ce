"""Pictures of mOthello: alignment by setting, curves of fine-tuning, probes of every language in every language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair
import polars as pl

from eval.report.pictures.parts import as_spec, domain

COLUMNS = 3
"""Panels beside each other."""
WIDE = 120
"""Pixels that the name of a setting may take."""


def alignment_picture(rows: pl.DataFrame, settings: Sequence[str], lines: Mapping[str, float]) -> dict[str, Any]:
    """Squares read right by a probe of the source, in both languages, with what chance gives.

    `rows` has setting, language (source or target), mean, low and high, in percent.
    """
    base = altair.Chart(rows).encode(
        x=altair.X("setting:N", title=None, sort=list(settings), axis=altair.Axis(labelAngle=0, labelLimit=WIDE)),
        xOffset=altair.XOffset("language:N", sort=["source", "target"]),
        color=altair.Color("language:N", title="read in the", scale=domain(["source", "target"])),
    )
    value = altair.Y("mean:Q", title="squares read right, %", scale=altair.Scale(zero=False))
    marks = base.mark_point().encode(
        y=value, shape=altair.Shape("language:N", title="read in the", scale=domain(["source", "target"]))
    )
    bars = base.mark_rule(strokeWidth=2).encode(y=altair.Y("low:Q"), y2="high:Q")
    chance = pl.DataFrame({"line": list(lines), "y": [100 * share for share in lines.values()]})
    rules = altair.Chart(chance).mark_rule(strokeDash=[4, 3]).encode(y="y:Q")
    names = altair.Chart(chance).mark_text(align="left", dx=4, dy=-5, fontSize=10).encode(
        y="y:Q", text="line:N", x=altair.value(0)
    )  # fmt: skip
    chart = altair.layer(rules, names, bars, marks)
    return as_spec(chart.properties(width=(WIDE + 10) * len(settings), height=260), {})


def curves_picture(rows: pl.DataFrame, settings: Sequence[str], published: pl.DataFrame) -> dict[str, Any]:
    """Rates of legal moves over steps of fine-tuning, a panel a setting; squares that a probe reads right, dashed.

    `rows` has setting, curve, step, mean, low and high, in percent; `published` setting, curve, step and mean.
    """
    curves = ["source", "target", "probe, in the target"]
    colours = altair.Color("curve:N", title=None, scale=domain(curves))
    base = altair.Chart().encode(x=altair.X("step:Q", title="steps of fine-tuning", axis=altair.Axis(tickCount=5)))
    value = altair.Y("mean:Q", title="%", scale=altair.Scale(domain=[0, 100]))
    dashes = altair.StrokeDash("curve:N", title=None, scale=altair.Scale(domain=curves, range=[[1, 0], [1, 0], [5, 3]]))
    own = base.transform_filter("!datum.published")
    bands = own.mark_area(opacity=0.18).encode(y="low:Q", y2="high:Q", color=colours)
    lines = own.mark_line(strokeWidth=2).encode(y=value, color=colours, strokeDash=dashes)
    theirs = base.transform_filter("datum.published").mark_point(shape="cross", size=70).encode(y=value, color=colours)
    data = pl.concat([rows.with_columns(published=False), published.with_columns(published=True)], how="diagonal")
    chart = altair.layer(bands, lines, theirs).properties(width=210, height=190)
    whole = altair.FacetChart(
        data=data, spec=chart, facet=altair.Facet("setting:N", title=None, sort=list(settings)), columns=COLUMNS
    )
    return as_spec(whole, {})


def probes_picture(rows: pl.DataFrame, settings: Sequence[str], languages: Sequence[str]) -> dict[str, Any]:
    """Probes of every language in every language before fine-tuning, a panel a setting: source, language, mean in %."""
    base = altair.Chart().encode(
        x=altair.X("language:N", title="read in", sort=list(languages), axis=altair.Axis(orient="top", labelAngle=0)),
        y=altair.Y("source:N", title="probe of", sort=list(languages)),
    )
    boxes = base.mark_rect().encode(
        color=altair.Color(
            "mean:Q", title="squares read right, %", scale=altair.Scale(range=["#f5f8fc", "#7fb2e5"], zero=False)
        )
    )
    words = base.mark_text(fontSize=11, color="#111111").encode(text=altair.Text("mean:Q", format=".0f"))
    side = max(44 * len(languages), WIDE)
    chart = altair.layer(boxes, words).properties(width=side, height=side)
    whole = altair.FacetChart(
        data=rows, spec=chart, facet=altair.Facet("setting:N", title=None, sort=list(settings)), columns=COLUMNS
    )
    return as_spec(whole, {})
