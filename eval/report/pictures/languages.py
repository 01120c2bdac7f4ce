"""Seen against unseen languages, accuracy against consistency, and the languages that cells answer in."""

from __future__ import annotations

from collections.abc import Mapping

import altair

from eval.report.grid import Grid, Picture
from eval.report.pictures.parts import as_spec, by_metric, faceted, headings, marks_of_cells, stand_on_axis
from eval.report.theme import RIGHT, UNTOLD, VERDICT_COLOURS, WRONG


def scatter_picture(task: str, metric: str, titles: Mapping[str, str], grid: Grid, seen: str, unseen: str) -> Picture:
    """Seen against unseen languages, a point for each cell with both intervals.

    `titles` maps metrics to their names with units; `seen` and `unseen` are what the two groups are called.
    """
    told_apart = marks_of_cells(grid, grid.cells)
    colour = told_apart["color"]
    base = altair.Chart(altair.NamedData(f"{task}-pairs"))
    near = altair.Scale(zero=False)
    x = altair.X("seen:Q", title=f"{titles[metric]}: {seen}", scale=near, axis=altair.Axis(tickCount=8))
    y = altair.Y("unseen:Q", title=f"{titles[metric]}: {unseen}", scale=near)
    tooltip = ["cell:N", "seen_text:N", "unseen_text:N"]
    layers: list[altair.Chart] = []
    if stand_on_axis(grid, grid.cells):  # what has no amount, as the untuned model, has its name there
        named = base.transform_filter("datum.at === datum.cell")
        layers.append(named.mark_text(fontWeight="bold").encode(x=x, y=y, text="cell:N", tooltip=tooltip))
        base = base.transform_filter("datum.at !== datum.cell")
    across = base.mark_rule(opacity=0.45).encode(x=altair.X("seen_low:Q"), x2="seen_high:Q", y=y, color=colour)
    upwards = base.mark_rule(opacity=0.45).encode(y=altair.Y("unseen_low:Q"), y2="unseen_high:Q", x=x, color=colour)
    points = base.mark_point(size=90).encode(x=x, y=y, tooltip=tooltip, **told_apart)
    chart = altair.layer(across, upwards, points, *layers).properties(width=420, height=260)
    layout = {"widest": 560, "titles": dict(titles)}
    return Picture(
        f"{task}-scatter",
        f"Languages {seen} against languages {unseen}, with 95 % intervals",
        f"Mean scores in {task}: languages {seen} across, languages {unseen} up, a point for each cell.",
        by_metric(as_spec(chart, layout), metric),
        f"{task}-pairs",
    )


def plane_picture(task: str, label: str, size: int, grid: Grid) -> Picture:
    """Accuracy against consistency, a point for each cell with both intervals, and a tick at chance."""
    told_apart = marks_of_cells(grid, grid.cells)
    colour = told_apart["color"]
    base = altair.Chart(altair.NamedData(f"{task}-consistency"))
    near = altair.Scale(zero=False)
    x = altair.X("accuracy:Q", title="accuracy, %", scale=near, axis=altair.Axis(tickCount=8))
    y = altair.Y("consistency:Q", title=f"the same answer in {size} languages, %", scale=near)
    tooltip = ["cell:N", "accuracy_text:N", "consistency_text:N", altair.Tooltip("chance_text:N", title="by chance")]
    across = base.mark_rule(opacity=0.45).encode(x=altair.X("accuracy_low:Q"), x2="accuracy_high:Q", y=y, color=colour)
    low, high = altair.Y("consistency_low:Q"), "consistency_high:Q"
    upwards = base.mark_rule(opacity=0.45).encode(y=low, y2=high, x=x, color=colour)
    chance = base.mark_tick(thickness=2, width=14).encode(x=x, y=altair.Y("chance:Q"), color=colour)
    points = base.mark_point(size=90).encode(x=x, y=y, tooltip=tooltip, **told_apart)
    chart = altair.layer(across, upwards, chance, points).properties(width=420, height=260)
    return Picture(
        f"{task}-consistency",
        f"{label}: accuracy and consistency, with 95 % intervals; the tick is consistency by chance",
        f"Accuracy in {task} across, the share of equal answers in {size} languages up, a point for each cell.",
        as_spec(chart, {"widest": 560}),
        f"{task}-consistency",
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
        .properties(height=altair.Step(14))
    )
    facet = altair.Facet("group:N", title=None, sort=list(languages), header=headings(languages))
    return Picture(
        f"{task}-confusion",
        "The language answered in, as shares of predictions",
        f"Shares of predictions in {task} in the right language, in another, and where that cannot be told.",
        faceted(bars, f"{task}-confusion", facet, len(languages), columns=4, narrowest=210),
        f"{task}-confusion",
    )
