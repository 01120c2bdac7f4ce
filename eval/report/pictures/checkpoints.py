"""Steps of training: scores along them, when languages are learned, what is forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair

from eval.report.grid import Picture
from eval.report.pictures.parts import (
    INTERVAL_TOOLTIP,
    MEAN_TOOLTIP,
    as_spec,
    domain,
    faceted,
    headings,
    marks,
    whole_numbers,
)
from eval.report.theme import AMOUNT_COLOURS


def along_picture(
    task: str,
    title: str,
    cells: Sequence[str],
    languages: Mapping[str, str],
    metric: str,
    with_bands: bool,
    steps: Sequence[int],
) -> Picture:
    """A task's scores over the steps of training, a panel for each language; `title` is the metric's with its unit."""
    told_apart = marks("cell", cells)
    colour = {"color": told_apart["color"]}
    base = altair.Chart().encode(x=altair.X("step:Q", title="optimiser step", axis=whole_numbers(steps, 6)))
    score = altair.Y("mean:Q", title=title, scale=altair.Scale(zero=False), axis=altair.Axis(tickCount=5))
    tooltip = ["cell:N", "step:Q", MEAN_TOOLTIP, INTERVAL_TOOLTIP, altair.Tooltip("n:Q", title="predictions")]
    layers = [
        base.mark_line().encode(y=score, **colour),
        base.mark_point().encode(y=score, tooltip=tooltip, **told_apart),
    ]
    if with_bands:
        band = base.mark_area(opacity=0.16).encode(y=altair.Y("low:Q", title=title), y2="high:Q", **colour)
        layers.insert(0, band)
    facet = altair.Facet("group:N", title=None, sort=list(languages), header=headings(languages))
    name, bands = f"{task}-along", ", with 95 % intervals" if with_bands else ""
    before = "" if min(steps) else "; step 0 is the model before training"
    return Picture(
        name,
        f"{metric[:1].upper()}{metric[1:]} over the steps of training{bands}{before}",
        f"Scores in {task} over steps of training, a panel for each language.",
        faceted(altair.layer(*layers).properties(height=150), name, facet, len(languages), columns=4, narrowest=150),
        name,
    )


def learning_picture(
    task: str, cells: Sequence[str], languages: Sequence[str], kinds: Sequence[str], steps: Sequence[int]
) -> Picture:
    """When each language is learned: a strip for languages that are trained on, and one for others."""
    told_apart = marks("cell", cells)
    vertical: dict[str, Any] = {"y": altair.Y("language:N", title=None, sort=list(languages))}
    if len(cells) > 1:
        vertical["yOffset"] = altair.YOffset("cell:N", sort=list(cells))
    base, colour = altair.Chart(), {"color": told_apart["color"]}
    step = altair.X(
        "learn_step:Q", title="optimiser step", scale=altair.Scale(domain=[min(steps), max(steps)]),
        axis=whole_numbers(steps),
    )  # fmt: skip
    spans = base.mark_rule(strokeWidth=2, opacity=0.6).encode(
        x=altair.X("low:Q", title="optimiser step"), x2="high:Q", **vertical, **colour
    )
    tooltip = ["cell:N", "language:N", altair.Tooltip("shown:N", title="learn step"),
               altair.Tooltip("before:Q", title="not yet at"), altair.Tooltip("items:Q", title="items")]  # fmt: skip
    sure = altair.condition("isValid(datum.low)", altair.value(1.0), altair.value(0.35))
    points = base.mark_point().encode(x=step, opacity=sure, tooltip=tooltip, **vertical, **told_apart)
    height = altair.Step(11, **{"for": "offset"}) if len(cells) > 1 else altair.Step(18)
    chart = altair.layer(spans, points).properties(height=height)
    facet = altair.Facet("kind:N", title=None, sort=list(kinds))
    return Picture(
        f"{task}-learning",
        "Learn step of each language: the first checkpoint with 98 % of the best score, with 95 % intervals over items",
        f"The steps at which languages are learned in {task}.",
        faceted(chart, f"{task}-learning", facet, len(kinds), columns=2, narrowest=240),
        f"{task}-learning",
    )


def amounts_picture(
    name: str, title: str, description: str, rows: tuple[str, Sequence[Any]], columns: tuple[str, Sequence[Any]]
) -> Picture:
    """A heatmap of amounts, written in its boxes: `rows` and `columns` are the titles of the sides and what is on them.

    The data has `row`, `column`, `value`, `shown` and `told`, which the pointer tells.
    """
    base = altair.Chart(altair.NamedData(name)).encode(
        x=altair.X(
            "column:O", title=columns[0], scale=domain(columns[1]), axis=altair.Axis(orient="top", labelAngle=0)
        ),
        y=altair.Y("row:O", title=rows[0], scale=domain(rows[1])),
    )
    boxes = base.mark_rect().encode(
        color=altair.Color("value:Q", title=None, scale=altair.Scale(range=AMOUNT_COLOURS, zero=False), legend=None),
        tooltip=[altair.Tooltip("told:N", title=description)],
    )
    text = base.mark_text(color="#111111", fontSize=11).encode(text="shown:N")
    chart = altair.layer(boxes, text).properties(width=52 * len(columns[1]) + 100, height=26 * len(rows[1]))
    spec = as_spec(chart, {"narrowest": 46 * len(columns[1]) + 80, "widest": 90 * len(columns[1]) + 160})
    return Picture(name, title, title, spec, name)
