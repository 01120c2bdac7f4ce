"""What transfer loses without the weights of some decoder blocks (Muller et al. 2021, arXiv 2101.11109)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from eval.analysis.checkpoints import CROSS_LINGUAL, IN_LANGUAGE
from eval.analysis.comparisons import compare_settings
from eval.analysis.design import Design
from eval.analysis.groups import LanguageGroups
from eval.analysis.panel import Panel
from eval.analysis.transfer import FIGURES, figures_of


@dataclass(frozen=True, slots=True)
class Block:
    """A setting that began with new weights in a range of blocks, or elsewhere in as many places."""

    layers: tuple[int, int]
    elsewhere: bool
    other: str
    """The setting that differs from it in having the base model's weights there."""
    series: str
    """What else tells it from others."""


BLOCKS = {
    "task": pl.String, "metric": pl.String, "cell": pl.String, "other": pl.String, "series": pl.String,
    "first": pl.Int64, "end": pl.Int64, "elsewhere": pl.Boolean, "kind": pl.String, "languages": pl.String,
} | FIGURES  # fmt: skip


def block_effects(
    panels: Sequence[Panel], blocks: Mapping[str, Block], groups: LanguageGroups, design: Design
) -> pl.DataFrame:
    """Each such setting less the other one, in the languages it is trained on and in all others, items paired.

    `panels` are `main_panels`. p_adjusted is over a task's settings and both kinds of languages (max-t). Columns: task,
    metric, cell, other, series, first, end, elsewhere, kind, languages, items, runs, difference, low, high, p,
    p_adjusted, test.
    """
    rows: list[dict[str, object]] = []
    for panel in panels:
        there = {*design.there(panel)}
        asked = [
            (cell, block, kind, languages)
            for cell, block in blocks.items()
            if {cell, block.other} <= there
            for kind, languages in kinds_of(panel, groups.of(cell).seen).items()
            if languages
        ]
        figures = compare_settings(
            panel, design, [(cell, block.other, languages) for cell, block, _, languages in asked]
        )
        rows += [
            {
                "task": panel.task, "metric": panel.metric, "cell": cell, "other": block.other, "series": block.series,
                "first": block.layers[0], "end": block.layers[1], "elsewhere": block.elsewhere, "kind": kind,
                "languages": " ".join(languages), **figure,
            }
            for (cell, block, kind, languages), figure in zip(asked, figures_of(figures), strict=True)
        ]  # fmt: skip
    return pl.DataFrame(rows, schema=BLOCKS)


def kinds_of(panel: Panel, trained: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The tested languages that a setting is trained on, and the others."""
    return {
        IN_LANGUAGE: tuple(language for language in panel.languages if language in trained),
        CROSS_LINGUAL: tuple(language for language in panel.languages if language not in trained),
    }
