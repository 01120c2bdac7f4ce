"""What layers hold: measures of similarity and probes over the depth of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair

from eval.report.grid import Picture
from eval.report.pictures.parts import faceted, marks, whole_numbers
from eval.report.theme import GREY


def depth(layers: Sequence[int]) -> altair.X:
    """The axis of layers."""
    return altair.X("layer:Q", title="layer (0: embeddings)", axis=whole_numbers(layers))


DASHES = altair.Scale(domain=["cell", "base"], range=[[1, 0], [4, 3]])


def similarity_picture(
    measure: str,
    pivot: str,
    models: Sequence[str],
    languages: Mapping[str, str],
    sentences: int,
    layers: Sequence[int],
) -> Picture:
    """A measure over the layers, a line for each language, a panel for each model; its base model's is broken.

    The data has `model`, `kind` (cell or base), `language`, `layer`, `value`, and of languages together `by_chance`.
    """
    told_apart = marks("language", [*languages])
    lines = altair.Chart().transform_filter("isValid(datum.value)")
    value = altair.Y("value:Q", title=measure.upper(), axis=altair.Axis(tickCount=5))
    band = altair.Chart().transform_filter("isValid(datum.by_chance)").mark_area(color=GREY, opacity=0.25).encode(
        x=depth(layers), y=altair.Y("floor:Q", title=measure.upper()), y2="by_chance:Q"
    )  # fmt: skip
    drawn = lines.mark_line().encode(
        x=depth(layers),
        y=value,
        color=told_apart["color"],
        strokeDash=altair.StrokeDash("kind:N", title=None, scale=DASHES, legend=altair.Legend(symbolType="stroke")),
        tooltip=["kind:N", "language:N", "layer:Q", altair.Tooltip("value:Q", format=".2f")],
    )
    facet = altair.Facet("model:N", title=None, sort=list(models))
    name = f"similarity-{measure}"
    return Picture(
        name,
        f"{measure.upper()} of each language with {pivot}, layer by layer, of {sentences} sentences; "
        "grey: what 95 % of random orders stay below",
        f"{measure.upper()} over layers, a panel for each model and a line for each language.",
        faceted(altair.layer(band, drawn).properties(height=170), name, facet, len(models), columns=3, narrowest=220),
        name,
    )


def probe_picture(task: str, models: Sequence[str], lines: Sequence[str], rows: str, layers: Sequence[int]) -> Picture:
    """How often probes are right over the layers, a panel for each model; `rows` says of how many tests that is.

    The data has `model`, `line`, `layer` and `value` in percent.
    """
    scale = altair.Scale(domain=[*lines], range=[[1, 0], [1, 0], [4, 3], [1, 3]][: len(lines)])
    chart = altair.Chart().mark_line(point=True).encode(
        x=depth(layers),
        y=altair.Y("value:Q", title="accuracy, %", axis=altair.Axis(tickCount=5)),
        color=marks("line", lines)["color"],
        strokeDash=altair.StrokeDash("line:N", title=None, scale=scale),
        tooltip=["line:N", "layer:Q", altair.Tooltip("value:Q", format=".1f")],
    )  # fmt: skip
    facet = altair.Facet("model:N", title=None, sort=list(models))
    name = f"probe-{task}"
    return Picture(
        name,
        f"Linear probes of {task}, layer by layer; means over languages, or pairs of them; {rows}",
        f"Accuracy of linear probes of {task} over layers, a panel for each model.",
        faceted(chart.properties(height=170), name, facet, len(models), columns=3, narrowest=220),
        name,
    )
