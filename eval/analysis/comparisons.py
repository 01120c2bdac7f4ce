"""Whether one setting is better than another, and by how much."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from eval.analysis.design import BASE, Design
from eval.analysis.groups import LanguageGroups
from eval.analysis.panel import Panel
from eval.analysis.stats import (
    Difference,
    Floats,
    differences,
    holm,
)

COMPARISONS = {
    "task": pl.String, "metric": pl.String, "group": pl.String, "cell": pl.String, "other": pl.String,
    "items": pl.Int64, "runs": pl.Int64, "difference": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "p": pl.Float64, "p_adjusted": pl.Float64, "detectable": pl.Float64, "test": pl.String,
}  # fmt: skip


def compare(panels: Sequence[Panel], groups: LanguageGroups, design: Design) -> pl.DataFrame:
    """Every setting against its reference and the base in each group of languages; `panels` are `main_panels`.

    Columns: task, metric, group, cell, other, items, runs, difference, low, high, p, p_adjusted, detectable, test.
    `p_adjusted` is Holm's over the settings and groups compared with the same kind of other (the base, or references)
    in one task.
    """
    found: list[dict[str, object]] = []
    for panel in panels:
        there = design.there(panel)
        to_base = [(name, BASE) for name in there if name != BASE] if BASE in there else []
        to_reference = [
            (name, other) for name in there if (other := design.references.get(name)) in there and other != name
        ]
        for pairs in (to_base, to_reference):
            found += compared(panel, pairs, groups, design)  # pyright: ignore[reportArgumentType]
    return pl.DataFrame(found, schema=COMPARISONS)


def compared(
    panel: Panel, pairs: Sequence[tuple[str, str]], groups: LanguageGroups, design: Design
) -> list[dict[str, object]]:
    """The rows of a family of comparisons, over which p-values are adjusted."""
    means = {name: members for name, members in groups.means().items() if set(members) <= set(panel.languages)}
    asked = [(name, other, group) for name, other in pairs for group in means]
    found = differences([paired(panel, design, name, other, means[group]) for name, other, group in asked])
    adjusted = holm([each.p for each in found])
    return [
        {"task": panel.task, "metric": panel.metric, "group": group, "cell": name, "other": other}
        | _figures(each)
        | {"p_adjusted": p}
        for (name, other, group), each, p in zip(asked, found, adjusted, strict=True)
    ]


def _figures(each: Difference) -> dict[str, object]:
    return {
        "items": each.items,
        "runs": each.runs,
        "difference": each.difference,
        "low": each.low,
        "high": each.high,
        "p": each.p,
        "detectable": each.detectable,
        "test": each.test,
    }


def paired(panel: Panel, design: Design, one: str, other: str, languages: Sequence[str]) -> tuple[Floats, Floats]:
    """The scores of two settings, run by run: of the runs that both have, in the order of their seeds.

    The base has no seed: every run is compared with it. Of settings with unlike numbers of runs, as many are taken of
    each as of the one with fewer: a single run's own luck would be in all differences alike, and so in none's spread.
    """
    first, second = design.present(one, panel), design.present(other, panel)
    if BASE not in (one, other):
        if len(design.runs(one)) == len(design.runs(other)):
            pairs = zip(design.runs(one), design.runs(other), strict=True)
            both = [pair for pair in pairs if pair[0] in first and pair[1] in second]
            first, second = [pair[0] for pair in both], [pair[1] for pair in both]
        fewer = min(len(first), len(second))
        first, second = first[:fewer], second[:fewer]
    return panel.of(first, languages), panel.of(second, languages)
