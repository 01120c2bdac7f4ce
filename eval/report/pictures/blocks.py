"""Decoder blocks that began with new weights: what that changes over the depth of the model."""

from __future__ import annotations

from collections.abc import Sequence

import altair

from eval.report.grid import Picture
from eval.report.pictures.parts import INTERVAL_TOOLTIP, domain, faceted, marks


def block_picture(
    task: str, metric: str, series: Sequence[str], lines: Sequence[str], blocks: Sequence[str]
) -> Picture:
    """Lines of differences over the depth, a panel for each place on the other axes."""
    title = f"difference in {metric}"
    told_apart = marks("line", lines)
    base = altair.Chart().encode(
        x=altair.X("block:O", title="blocks with new weights", scale=domain(blocks), axis=altair.Axis(labelAngle=0)),
        color=told_apart["color"],
    )
    zero = altair.Chart().mark_rule(strokeDash=[2, 3]).encode(y=altair.datum(0))
    told = ["cell:N", "languages:N", altair.Tooltip("shown:N", title="difference"), INTERVAL_TOOLTIP]
    spans = base.mark_rule(opacity=0.5).encode(y=altair.Y("low:Q", title=title), y2="high:Q")
    chart = altair.layer(
        zero,
        spans,
        base.mark_line().encode(y=altair.Y("difference:Q", title=title)),
        base.mark_point().encode(y="difference:Q", tooltip=told, **told_apart),
    ).properties(height=200)
    facet = altair.Facet("series:N", title=None, sort=list(series))
    return Picture(
        f"{task}-blocks",
        f"What new weights in blocks change in {task}, with 95 % intervals",
        f"Differences in {task} over the depth of the blocks that began with new weights.",
        faceted(chart, f"{task}-blocks", facet, len(series), columns=3, narrowest=240),
        f"{task}-blocks",
    )
