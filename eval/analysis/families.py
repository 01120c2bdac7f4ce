"""Comparisons that belong together, and p-values adjusted for their number: the max-t adjustment.

Comparisons of many settings with one are strongly correlated, and their largest statistic is known by simulation or
permutation (Westfall & Young 1993, step-down): exact where Holm's method is merely safe.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from eval.analysis.stats import (
    BY_FLIPS,
    Codes,
    Difference,
    bootstrap_means,
    clustered,
    contributions,
    gap_contributions,
    interval,
    masked,
    sign_flip_p_values,
)
from eval.analysis.variance import LEVEL, Floats, RunVariance, Spread, contrast_spread

DRAWS = 10_000
SEED = 0
BLOCK = 500
"""Draws made at a time."""
BY_RUNS = "t over items and runs"


@dataclass(frozen=True, slots=True)
class Arm:
    """What is compared: its name and scores of shape (runs, items, languages)."""

    name: str
    values: Floats
    has_seed: bool = True
    """Whether it was trained, so that another seed would give another model."""


Comparison: TypeAlias = Sequence[tuple[float, Arm]]
"""Arms with their weights: one less another, or the mean of several less another."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """One comparison as numbers."""

    units: NDArray[np.int64]
    """Which items (or clusters) of the panel both have a score of."""
    by_item: Floats
    """Differences per item (or cluster of items) among these, of the means over runs: what each adds to the mean."""
    signs: Floats
    """Differences per item of the panel, or cluster, 0 where none is compared: their signs may be flipped."""
    spread: Spread
    luck: Mapping[str, float]
    """Arm → how much of a run's luck is in the difference, in standard deviations of a run."""
    between: RunVariance | None
    """The pooled variance of runs; comparisons in other languages have another."""

    @property
    def mean(self) -> float:
        """The difference."""
        return float(self.by_item.mean())


def compare_family(
    pairs: Sequence[tuple[Arm, Arm]],
    between: RunVariance | Sequence[RunVariance | None] | None,
    clusters: Codes | None = None,
    draws: int = DRAWS,
) -> list[Difference]:
    """One − other of each pair, as `compare_combinations` has it."""
    return compare_combinations([one_less_other(*pair) for pair in pairs], between, clusters, draws)


def compare_combinations(
    comparisons: Sequence[Comparison],
    between: RunVariance | Sequence[RunVariance | None] | None,
    clusters: Codes | None = None,
    draws: int = DRAWS,
) -> list[Difference]:
    """The weighted sum of each comparison, with intervals, p-values, and p-values adjusted over all of them.

    `between` is the pooled variance of runs, or that of each comparison. Without it (one run per setting) all
    statements are of these very models: intervals are the bootstrap's and p-values those of sign flips, both over
    items. `clusters` are those of the items, which then stand for them. Differences of fewer than two items, or without
    scores in some language, are blank; those that vary over no item have no interval.
    """
    several = [between] * len(comparisons) if between is None or isinstance(between, RunVariance) else between
    contrasts = [combined(made, known, clusters) for made, known in zip(comparisons, several, strict=True)]
    results = [blank(made, known, clusters) for made, known in zip(comparisons, several, strict=True)]
    for index, made in enumerate(contrasts):
        if made and not made.spread.error > 0:
            p = 1.0 if made.mean == 0 else sign_flip_p_values(made.signs[None])[0]
            results[index] = replace(results[index], difference=made.mean, p=p, p_adjusted=min(1.0, p * len(contrasts)))
    varied = {index: made for index, made in enumerate(contrasts) if made and made.spread.error > 0}
    parts = [{index: made for index, made in varied.items() if (made.between is None) == flips}
             for flips in (True, False)]  # fmt: skip
    for part, figures_of in zip(parts, (_by_flips, _by_runs), strict=True):
        figures = figures_of([*part.values()], draws)
        for (index, made), (low, high, p, adjusted, critical) in zip(part.items(), figures, strict=True):
            results[index] = replace(
                results[index],
                difference=made.mean,
                low=low,
                high=high,
                p=p,
                p_adjusted=min(1.0, max(p, adjusted) * sum(map(bool, parts))),
                detectable=detected(made, critical),
            )
    return results


def one_less_other(one: Arm, other: Arm) -> Comparison:
    """The comparison of two."""
    return (1.0, one), (-1.0, other)


def contrast(one: Arm, other: Arm, between: RunVariance | None, clusters: Codes | None) -> Contrast | None:
    """The comparison of two as numbers: see `combined`."""
    return combined(one_less_other(one, other), between, clusters)


def combined(comparison: Comparison, between: RunVariance | None, clusters: Codes | None) -> Contrast | None:
    """A comparison as numbers; None where fewer than two items can be compared, or some language has none."""
    weights = [weight for weight, _ in comparison]
    values = masked([arm.values for _, arm in comparison])
    rows = (~np.isnan(values[0])).any(axis=(0, 2))
    if rows.sum() < 2 or not all((~np.isnan(scores)).any(axis=1).all() for scores in values):
        return None
    codes = None if clusters is None else clusters[rows]
    if codes is not None and len(np.unique(codes)) < 2:
        return None
    tables = [clustered(contributions(scores[:, rows]), codes).mean(axis=0) for scores in values]
    by_item = _weighed(weights, tables)
    signs = gap_contributions(_weighed(weights, [scores.mean(axis=0, keepdims=True) for scores in values]))[0]
    if clusters is not None:
        signs = np.bincount(clusters, weights=signs, minlength=int(clusters.max()) + 1).astype(np.float64)
    luck = {arm.name: weight / np.sqrt(len(arm.values)) for weight, arm in comparison if arm.has_seed}
    share = sum(part**2 for part in luck.values())
    units = np.flatnonzero(rows) if codes is None else np.unique(codes)
    return Contrast(units, by_item, signs, contrast_spread(by_item, between, share), luck, between)


def _weighed(weights: Sequence[float], arrays: Sequence[Floats]) -> Floats:
    """The weighted sum of arrays."""
    return np.stack([weight * array for weight, array in zip(weights, arrays, strict=True)]).sum(axis=0)


def blank(comparison: Comparison, between: RunVariance | None, clusters: Codes | None) -> Difference:
    """A difference of which nothing but the counts is known: runs are the fewest of what it is the gain of."""
    rows = (~np.isnan(masked([arm.values for _, arm in comparison])[0])).any(axis=(0, 2))
    items = int(rows.sum()) if clusters is None else len(np.unique(clusters[rows]))
    runs = min((len(arm.values) for weight, arm in comparison if weight > 0 and arm.has_seed), default=1)
    test = BY_FLIPS if between is None else BY_RUNS
    return Difference(items, runs, None, None, None, None, None, None, test)


Figures = list[tuple[float, float, float, float, float]]
"""The ends of the interval, p, adjusted p, and the critical value of the adjusted test."""


def _by_flips(family: Sequence[Contrast], draws: int) -> Figures:
    """One run per setting: the signs of an item's differences are flipped in all comparisons together."""
    if not family:
        return []
    intervals = bootstrapped([made.by_item for made in family], draws)
    signs = np.stack([made.signs for made in family])
    observed, drawn = np.abs(_scaled(family).sum(axis=1)), without_effects(family, draws)
    adjusted, critical = step_down(observed, drawn), critical_value(drawn)
    p_values = sign_flip_p_values(signs, draws)
    return [(*intervals[index], p_values[index], adjusted[index], critical) for index in range(len(family))]


def without_effects(family: Sequence[Contrast], draws: int) -> Floats:
    """The statistics of a family's comparisons if there were no effects, without sign: shape (draws, comparisons).

    The family's comparisons are all of one run per setting, or all of pooled runs.
    """
    if family[0].between is None:
        return flipped(_scaled(family), draws)
    return np.abs(simulated(family, draws))


def critical_value(drawn: Floats) -> float:
    """What the largest statistic of a family exceeds in 5 % of studies without effects."""
    return float(np.quantile(drawn.max(axis=1), 1 - LEVEL))


def detected(made: Contrast, critical: float) -> float | None:
    """The true difference that the test with this critical value finds with a power of 80 %; None if it finds none.

    Flips of signs compare a difference with the mean square over items, to which the difference adds itself: their
    statistic never exceeds the root of the number of items. The least p-value of five items is 1/16.
    """
    if made.between is not None:
        return made.spread.detectable(critical)
    items = len(made.by_item)
    left = 1 - critical**2 / items
    if left <= 0 or 2.0 ** (1 - items) >= LEVEL:
        return None
    return made.spread.detectable(critical / math.sqrt(left))


def _scaled(family: Sequence[Contrast]) -> Floats:
    """Differences per item as parts of a statistic: (comparisons, items), each row of length 1."""
    signs = np.stack([made.signs for made in family])
    return signs / np.sqrt((signs**2).sum(axis=1, keepdims=True))


def flipped(scaled: Floats, draws: int = DRAWS) -> Floats:
    """|Σ ± difference| of each comparison, signs drawn per item: shape (draws, comparisons).

    Without an effect an item's signs are exchangeable. Differences of up to 12 items that are not zero are gone
    through exactly where they are the whole family.
    """
    used = scaled[:, (scaled != 0).any(axis=0)]
    items = used.shape[1]
    if items <= 12:
        signs = 1.0 - 2 * ((np.arange(2**items)[:, None] >> np.arange(items)) & 1)
        return np.abs(signs @ used.T).repeat(-(-draws // 2**items), axis=0)
    rng = np.random.default_rng(SEED)
    sums = np.empty((draws, len(used)))
    for start in range(0, draws, BLOCK):
        signs = 1.0 - 2 * rng.integers(0, 2, size=(min(BLOCK, draws - start), items), dtype=np.int8)
        sums[start : start + len(signs)] = signs @ used.T
    return np.abs(sums)


def bootstrapped(parts: Sequence[Floats], draws: int) -> list[tuple[float, float]]:
    """The bootstrap's interval of the mean of each; those of as many items are resampled together."""
    intervals: dict[int, tuple[float, float]] = {}
    for items in {len(part) for part in parts}:
        alike = [index for index, part in enumerate(parts) if len(part) == items]
        means = bootstrap_means(np.stack([parts[index] for index in alike], axis=1)[None], draws)[:, 0]
        for index, low, high in zip(alike, *interval(means, items), strict=True):
            intervals[index] = (float(low), float(high))
    return [intervals[index] for index in range(len(parts))]


def _by_runs(family: Sequence[Contrast], draws: int) -> Figures:
    """Several runs: statistics drawn from the joint distribution of errors over runs and items."""
    if not family:
        return []
    drawn = without_effects(family, draws)
    observed = np.array([abs(made.mean) / made.spread.error for made in family])
    adjusted, critical = step_down(observed, drawn), critical_value(drawn)
    figures: Figures = []
    for made, p in zip(family, adjusted, strict=True):
        half = made.spread.half_width
        figures.append((made.mean - half, made.mean + half, made.spread.p_value(made.mean), p, critical))
    return figures


def simulated(family: Sequence[Contrast], draws: int = DRAWS) -> Floats:
    """Errors, in estimated standard errors, of each comparison where there is no effect: shape (draws, comparisons).

    Errors over items are correlated as the differences per item are. Errors over runs are independent between arms.
    The variances of both are estimated: each has one χ² for all comparisons among which runs are pooled.
    """
    rng = np.random.default_rng(SEED)
    arms = list(dict.fromkeys(name for made in family for name in made.luck))
    of_items = np.stack([_unit(made) for made in family]) * [[made.spread.items] for made in family]
    of_runs = np.array([[made.luck.get(name, 0.0) for name in arms] for made in family])
    of_runs *= [[made.spread.runs / np.sqrt(sum(part**2 for part in made.luck.values()) or 1.0)] for made in family]
    item_freedom = min(made.spread.item_freedom for made in family)
    errors = rng.standard_normal((draws, of_items.shape[1])) @ of_items.T
    errors *= np.sqrt(item_freedom / rng.chisquare(item_freedom, (draws, 1)))
    luck = rng.standard_normal((draws, len(arms))) @ of_runs.T
    for pool in dict.fromkeys(made.between for made in family):
        if pool is not None:
            here = [index for index, made in enumerate(family) if made.between == pool]
            errors[:, here] += luck[:, here] * np.sqrt(pool.freedom / rng.chisquare(pool.freedom, (draws, 1)))
    return errors / [made.spread.error for made in family]


def _unit(made: Contrast) -> Floats:
    """How much of each item's luck is in the difference, of length 1 over the panel's items or clusters."""
    centred = np.zeros(len(made.signs))
    centred[made.units] = made.by_item - made.mean
    size = np.sqrt((centred**2).sum())
    return centred / size if size > 0 else centred


def step_down(observed: Floats, drawn: Floats) -> list[float]:
    """Adjusted p-values: the largest statistic against the largest of all, the next against the largest of the rest.

    `drawn` are statistics without effects, shape (draws, comparisons). Westfall & Young (1993), algorithm 2.8.
    """
    order = np.argsort(-observed)
    largest = np.maximum.accumulate(drawn[:, order[::-1]], axis=1)[:, ::-1]
    shares = (1 + (largest >= observed[order] * (1 - 1e-9)).sum(axis=0)) / (len(drawn) + 1)
    adjusted = np.empty(len(observed))
    adjusted[order] = np.maximum.accumulate(shares)
    return adjusted.tolist()
