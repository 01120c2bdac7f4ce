"""Source × target transfer: what training on one language does to another, against the base model.

Donors and recipients, harm and regimes as in arXiv 2511.13368; asymmetry as in arXiv 2205.11758.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy.stats import kendalltau

from eval.metrics import metric_of
from eval.panel import Panel
from eval.stats import Difference, Estimate, Floats, comparable, contributions, differences, holm, spread
from eval.transfer import BASE, Design


class Source(NamedTuple):
    """What a setting was trained on, where that is one task in one language."""

    task: str
    language: str


TRANSFERS = {
    "source_task": pl.String, "source": pl.String, "task": pl.String, "target": pl.String, "metric": pl.String,
    "cell": pl.String, "items": pl.Int64, "runs": pl.Int64, "difference": pl.Float64, "low": pl.Float64,
    "high": pl.Float64, "p": pl.Float64, "p_adjusted": pl.Float64,
}  # fmt: skip


def transfer_matrix(panels: Sequence[Panel], sources: Mapping[str, Source], design: Design) -> pl.DataFrame:
    """A row for each (task, language) trained on and each tested: setting − base, in the metric's unit.

    `panels` are `main_panels`; `sources` names the settings that were trained on one task in one language. Columns:
    source_task, source, task, target, metric, cell, items, runs, difference, low, high, p, p_adjusted (Holm's over a
    task tested).
    """
    rows: list[dict[str, object]] = []
    for panel in panels:
        there = set(design.there(panel))
        asked = [(cell, target) for cell in sources if cell in there for target in panel.languages if BASE in there]
        found = differences([_against_base(panel, design, cell, target) for cell, target in asked])
        adjusted = holm([each.p for each in found])
        for (cell, target), each, p in zip(asked, found, adjusted, strict=True):
            source = sources[cell]
            rows.append(
                {
                    "source_task": source.task,
                    "source": source.language,
                    "task": panel.task,
                    "target": target,
                    "metric": panel.metric,
                    "cell": cell,
                    "items": each.items,
                    "runs": each.runs,
                    "difference": each.difference,
                    "low": each.low,
                    "high": each.high,
                    "p": each.p,
                    "p_adjusted": p,
                }
            )
    return pl.DataFrame(rows, schema=TRANSFERS)


def _against_base(panel: Panel, design: Design, cell: str, target: str) -> tuple[Floats, Floats]:
    return panel.of(design.present(cell, panel), (target,)), panel.of((BASE,), (target,))


def asymmetry(panels: Sequence[Panel], sources: Mapping[str, Source], design: Design) -> pl.DataFrame:
    """T − Tᵀ for each pair of languages that are sources of a task tested: (a → b) − (b → a), items paired.

    Languages that several settings are trained on are left out, and pairs whose test items are not parallel are blank.
    Columns: task, one, other, items, difference, low, high, p, p_adjusted.
    """
    rows: list[dict[str, object]] = []
    for panel in panels:
        there = set(design.there(panel))
        cells = alone({cell: each for cell, each in sources.items() if each.task == panel.task and cell in there})
        known = [language for language in cells if language in panel.languages] if BASE in there else []
        pairs = list(combinations(known, 2))
        found: list[Difference] = []
        if pairs:
            gains = {(one, other): np.subtract(*_against_base(panel, design, cells[one], other))
                     for one in known for other in known if one != other}  # fmt: skip
            found = differences([trimmed(gains[one, other], gains[other, one]) for one, other in pairs])
        adjusted = holm([each.p for each in found])
        rows += [  # pyright: ignore[reportAssignmentType]
            {"task": panel.task, "one": one, "other": other, "items": each.items, "difference": each.difference,
             "low": each.low, "high": each.high, "p": each.p, "p_adjusted": p}
            for (one, other), each, p in zip(pairs, found, adjusted, strict=True)
        ]  # fmt: skip
    floats = dict.fromkeys(("difference", "low", "high", "p", "p_adjusted"), pl.Float64)
    return pl.DataFrame(
        rows, schema={"task": pl.String, "one": pl.String, "other": pl.String, "items": pl.Int64, **floats}
    )


def alone(sources: Mapping[str, Source]) -> dict[str, str]:
    """Language → its setting, of those that one setting alone is trained on."""
    languages = [each.language for each in sources.values()]
    return {each.language: cell for cell, each in sources.items() if languages.count(each.language) == 1}


def trimmed(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """As many runs of each as of the one with fewer."""
    runs = min(len(one), len(other))
    return one[:runs], other[:runs]


def donors(matrix: pl.DataFrame) -> pl.DataFrame:
    """Each source's mean over other languages, in each task trained on and tested: columns …, targets, mean.

    Sources that several settings are trained on, say on several amounts, are left out.
    """
    return _means(matrix, "source", "targets")


def recipients(matrix: pl.DataFrame) -> pl.DataFrame:
    """Each target's mean over other languages trained on, in each task trained on and tested: …, sources, mean."""
    return _means(matrix, "target", "sources")


def _means(matrix: pl.DataFrame, by: str, counted: str) -> pl.DataFrame:
    once = pl.col("cell").n_unique().over("source_task", "source") == 1
    elsewhere = matrix.filter((pl.col("source") != pl.col("target")) & pl.col("difference").is_not_null() & once)
    grouped = elsewhere.group_by("source_task", "task", by, maintain_order=True)
    return grouped.agg(pl.len().alias(counted), mean=pl.col("difference").mean()).sort("mean", descending=True)


def regimes(matrix: pl.DataFrame) -> pl.DataFrame:
    """Same or other task × same or other language: how many transfers, their mean, and how many help or harm.

    Differences are shares of their metric's range. Columns: task, language ("same" or "other"), transfers, mean,
    positive, negative (shares by sign), helped, harmed (shares with an adjusted p below 0.05).
    """
    spans = {name: metric_of(name).best - metric_of(name).worst for name in matrix["metric"].unique()}
    known = matrix.filter(pl.col("difference").is_not_null()).with_columns(
        difference=pl.col("difference") / pl.col("metric").replace_strict(spans, return_dtype=pl.Float64)
    )
    sign, sure = pl.col("difference"), pl.col("p_adjusted") < 0.05
    return (
        known.with_columns(
            task=pl.when(pl.col("source_task") == pl.col("task")).then(pl.lit("same")).otherwise(pl.lit("other")),
            language=pl.when(pl.col("source") == pl.col("target")).then(pl.lit("same")).otherwise(pl.lit("other")),
        )
        .group_by("task", "language")
        .agg(
            transfers=pl.len(),
            mean=sign.mean(),
            positive=(sign > 0).mean(),
            negative=(sign < 0).mean(),
            helped=((sign > 0) & sure).mean(),
            harmed=((sign < 0) & sure).mean(),
        )
        .sort("task", "language", descending=True)
    )


def rank_agreement(rankings: Sequence[Mapping[str, float]]) -> float | None:
    """Mean of Kendall's τ-b over pairs of models, each a mapping from languages to a figure.

    Over the languages that both have; None where no pair has three of them.
    """
    taus: list[float] = []
    for one, other in combinations(rankings, 2):
        shared = sorted(one.keys() & other.keys())
        if len(shared) > 2:
            found = kendalltau([one[each] for each in shared], [other[each] for each in shared])
            taus.append(float(found.statistic))  # pyright: ignore[reportAttributeAccessIssue]
    finite = [tau for tau in taus if np.isfinite(tau)]
    return float(np.mean(finite)) if finite else None


def normalised_transfer(cell: Floats, base: Floats, in_language: Floats) -> Estimate:
    """(cell − base) / (in-language − base): the share of what training in the language itself would give.

    Arrays of shape (1, items, languages). Undefined where the denominator is within noise, that is, where its interval
    holds 0. The interval is that of the ratio's linearisation.
    """
    gain, whole = cell - base, in_language - base
    n = int((~np.isnan(gain)).sum())
    if not (comparable(gain) and comparable(whole)):
        return Estimate(n, None, None, None)
    (around,) = differences([(in_language, base)])
    if around.difference is None or around.low is None or around.high is None or around.low <= 0 <= around.high:
        return Estimate(n, None, None, None)
    value = float(contributions(gain).mean()) / around.difference
    half = spread((contributions(gain) - value * contributions(whole)) / around.difference).half_width
    return Estimate(n, value, value - half, value + half)
