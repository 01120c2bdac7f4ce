"""Honest uncertainty: translations of an item are one cluster, runs under other seeds a level, resampling is seeded.

Scores come as arrays of shape (runs, items, languages), NaN where there is none. A *run* is one training
under one seed; an item's scores in all languages and runs are resampled together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtr, stdtrit

from eval.analysis.variance import LEVEL, Floats, RunVariance, spread

REPLICATES = 10_000
SEED = 0
Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution, for two-sided 95 % intervals."""
BLOCK = 256
"""Replicates drawn at a time."""
RARE = 0.05
"""Shares of right answers up to this, or from its complement on, have skewed estimates."""
EXACT = 12
"""With as many items that differ or fewer, all flips of sign are gone through."""

BY_FLIPS = "sign flips over items, of these trained models"
"""The test where settings have one run each; what it is of is part of the name."""

Codes: TypeAlias = NDArray[np.int64]
"""The number of each item's cluster."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval over `n` scored predictions; None where it could not be made."""

    n: int
    mean: float | None
    low: float | None
    high: float | None


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's score interval (1927) for a share of n trials."""
    center = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return 0.0 if share == 0 else max(0.0, center - half), 1.0 if share == 1 else min(1.0, center + half)


def bootstrap_means(values: Floats, replicates: int = REPLICATES) -> Floats:
    """Means over resampled items, for scores of shape (runs, items, languages): (replicates, runs, languages).

    All runs and languages of a replicate rest on the same items, so that differences of them are paired. A language
    without a score in a replicate keeps its mean over all items; one without any score is NaN.
    """
    runs, items, languages = values.shape
    columns = values.transpose(1, 0, 2).reshape(items, runs * languages)
    scored = ~np.isnan(columns)
    filled, mask = np.where(scored, columns, 0.0).astype(np.float32), scored.astype(np.float32)
    complete = bool(scored.all())
    overall = means_of(columns)
    rng = np.random.default_rng(SEED)
    means = np.empty((replicates, runs * languages), dtype=np.float32)
    for start in range(0, replicates, BLOCK):
        rows = min(BLOCK, replicates - start)
        draws = rng.integers(0, items, size=(rows, items), dtype=np.int64) + (np.arange(rows) * items)[:, None]
        weights = np.bincount(draws.ravel(), minlength=rows * items).reshape(rows, items).astype(np.float32)
        sums = weights @ filled
        counts = np.float32(items) if complete else weights @ mask
        with np.errstate(invalid="ignore", divide="ignore"):
            means[start : start + rows] = np.where(counts > 0, sums / counts, overall)
    return means.reshape(replicates, runs, languages).astype(np.float64)


def means_of(columns: Floats) -> Floats:
    """Means over the first axis of what is scored; NaN where nothing is."""
    scored = ~np.isnan(columns)
    with np.errstate(invalid="ignore"):
        return np.where(scored, columns, 0.0).sum(axis=0) / scored.sum(axis=0)


def interval(replicates: Floats, items: int) -> tuple[Floats, Floats]:
    """The expanded percentile interval over the first axis (Hesterberg 2015, arXiv 1411.5279, section 5.3).

    The quantiles lie a little further out than 2.5 % and 97.5 %, as far as makes up for resampling few items.
    """
    further_out = math.sqrt(items / max(items - 1, 1)) * stdtrit(max(items - 1, 1), 1 - LEVEL / 2)
    level = float(ndtr(-further_out))
    low, high = np.quantile(replicates, [level, 1 - level], axis=0)
    return low, high


def contributions(values: Floats) -> Floats:
    """What each item adds to the mean over languages of the means over items: shape (runs, items).

    Their mean over items is that mean, and they vary as the mean's influence function, also where languages have
    different items or scores are missing; NaN where a language has no score at all.
    """
    _, items, languages = values.shape
    scored = ~np.isnan(values)
    counts = scored.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(scored, values, 0.0).sum(axis=1, keepdims=True) / counts
        deviations = np.where(scored, (values - means) * (items / counts), 0.0)
    return (deviations + means).sum(axis=2) / languages


def clustered(table: Floats, clusters: Codes | None) -> Floats:
    """What each cluster of items adds to the mean, of what each item does: (runs, items) to (runs, clusters).

    The mean is the same, and its variance over clusters is that of the linearised mean of clusters of unlike sizes
    (Cochran 1977, section 9A.1). `clusters` are codes of the items' clusters; without them items stand for themselves.
    """
    if clusters is None:
        return table
    names, codes = np.unique(clusters, return_inverse=True)
    mean = table.mean(axis=1, keepdims=True)
    belongs = (codes[:, None] == np.arange(len(names))).astype(np.float64)
    return mean + (table - mean) @ belongs * (len(names) / table.shape[1])


def estimate(
    values: Floats,
    replicates: Floats | None = None,
    ends: tuple[float, float] = (0.0, 1.0),
    between: RunVariance | None = None,
    clusters: Codes | None = None,
    graded: bool = False,
) -> Estimate:
    """Mean over runs and languages of the means over items, for scores of shape (runs, items, languages).

    One item, figures that are means already, and scores between the ends that do not vary give no interval.
    One run: the bootstrap (`interval`) over items, of `replicates` (`bootstrap_means` of these values) if they are
    there already. Several runs, or a variance `between` runs that is known from other settings: the interval of
    `spread`. No interval goes beyond the ends. Shares of right answers that are nearly none or nearly all get the
    interval of `rare_share`, and where they are all the worst or the best there is, Wilson's. `graded` scores, which
    may lie between the ends, are no such shares, even where none of them does.
    """
    scored = ~np.isnan(values)
    n = int(scored.sum())
    if n == 0 or not scored.any(axis=1).all():
        return Estimate(n, None, None, None)
    runs, _, languages = values.shape
    mean = float(means_of(values.transpose(1, 0, 2)).mean())
    known = values[scored]
    rows = scored.any(axis=(0, 2))
    codes = None if clusters is None else clusters[rows]
    units = int(rows.sum()) if codes is None else len(np.unique(codes))
    if values.shape[1] == 1 or units == 1:
        return Estimate(n, mean, None, None)
    worst, best = ends
    shares = not graded and math.isfinite(best) and bool(np.isin(known, ends).all())
    if shares and ((runs == languages == 1 and codes is None) or mean in ends):
        low, high = wilson((mean - worst) / (best - worst), units)
        return Estimate(n, mean, worst + low * (best - worst), worst + high * (best - worst))
    table = clustered(contributions(compared(values)), codes)
    around = spread(table, between)
    if not around.error > 0:
        return Estimate(n, mean, None, None)
    share = (mean - worst) / (best - worst)
    if shares and min(share, 1 - share) <= RARE:
        low, high = rare_share(share, around.half_width / (best - worst), n)
        return Estimate(n, mean, worst + low * (best - worst), worst + high * (best - worst))
    if runs > 1 or between is not None:
        low, high = mean - around.half_width, mean + around.half_width
    elif codes is not None:
        low, high = interval(bootstrap_means(table[:, :, None]).mean(axis=(1, 2)), units)
    else:
        means = bootstrap_means(values) if replicates is None else replicates
        low, high = interval(means.mean(axis=(1, 2)), units)
    return Estimate(n, mean, max(float(low), worst), min(float(high), best))


def rare_share(share: float, half_width: float, n: int) -> tuple[float, float]:
    """The interval of a share near 0 or 1 whose 95 % interval by t would have this half-width (Korn & Graubard 1998).

    Clopper and Pearson's (1934) of as many independent trials as have that half-width, but of no more than `n`. The
    t interval of a skewed share is too short: of shares up to 2 % it held the truth 86–88 % of the time.
    """
    trials = min(float(n), share * (1 - share) * (Z / half_width) ** 2)
    right = share * trials
    low = 0.0 if right == 0 else float(betaincinv(right, trials - right + 1, LEVEL / 2))
    high = 1.0 if right >= trials else float(betaincinv(right + 1, trials - right, 1 - LEVEL / 2))
    return low, high


def ratio(
    numerator: Floats,
    denominator: Floats,
    replicates: Floats | None = None,
    ends: tuple[float, float] = (0.0, 1.0),
    clusters: Codes | None = None,
    graded: bool = False,
) -> Estimate:
    """The mean of `numerator` over that of `denominator`, arrays as for `estimate`; items (and runs) are paired.

    Undefined where the denominator could be 0, that is, where its interval reaches down to 0. One run: the
    bootstrap (of `replicates` of both together, if they are there already), and where the numerator does not vary its
    own interval over the denominator's mean. Several runs, or clusters of items: the t interval of the ratio's
    linearisation, (a − ratio · b) / mean(b), cut at 0 where scores cannot be below it.
    """
    means = replicates
    if means is None and numerator.shape[0] == 1 and clusters is None:
        means = bootstrap_means(np.concatenate([numerator, denominator], axis=2))
    if clusters is not None:
        means = None
    split = numerator.shape[2]
    above = estimate(numerator, None if means is None else means[..., :split], ends, clusters=clusters, graded=graded)
    below = estimate(denominator, None if means is None else means[..., split:], ends, clusters=clusters, graded=graded)
    n = above.n + below.n
    nothing = Estimate(n, None, None, None)
    if above.mean is None or below.mean is None:
        return nothing
    if above.low is None or above.high is None:
        return Estimate(n, above.mean / below.mean, None, None) if below.mean > 0 else nothing
    if means is None:
        if below.low is None or below.low <= 0:
            return nothing
        value = above.mean / below.mean
        linear = (contributions(numerator) - value * contributions(denominator)) / below.mean
        half = spread(clustered(linear, clusters)).half_width
        low = value - half if ends[0] < 0 else max(0.0, value - half)
        return Estimate(n, value, low, value + half)
    top, bottom = (part.mean(axis=(1, 2)) for part in (means[..., :split], means[..., split:]))
    if interval(bottom, numerator.shape[1])[0] <= 0:
        return nothing
    if top.min() == top.max():
        return Estimate(n, above.mean / below.mean, above.low / below.mean, above.high / below.mean)
    low, high = interval(top[bottom > 0] / bottom[bottom > 0], numerator.shape[1])
    return Estimate(n, above.mean / below.mean, float(low), float(high))


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference of means with its 95 % interval and two-sided p-value."""

    items: int
    runs: int
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    """Over the family of comparisons, where one was made; see `eval.analysis.families`."""
    detectable: float | None
    """The smallest true difference that the (adjusted) test finds with a power of 80 %."""
    test: str

    def of_scores_between(self, ends: tuple[float, float]) -> Difference:
        """The same with an interval that ends where two scores between these can be no farther apart."""
        low, high = span_of(self.low, self.high, ends)
        return replace(self, low=low, high=high)


def span_of(low: float | None, high: float | None, ends: tuple[float, float]) -> tuple[float | None, float | None]:
    """The ends of the interval of a difference of scores, cut where no two scores between `ends` are farther apart."""
    farthest = ends[1] - ends[0]
    return None if low is None else max(low, -farthest), None if high is None else min(high, farthest)


def differences(pairs: Sequence[tuple[Floats, Floats]], clusters: Codes | None = None) -> list[Difference]:
    """How far the mean of the first of each pair lies above that of the other: arrays as for `estimate`, all of the
    same items, paired by item and run.

    Compared are the items that both have, in each language. One run against one: the bootstrap (`interval`) and the
    permutation test of flipped signs over items. Several, or several against one: the t interval and test of
    `spread`, in which runs are a sample as items are; where these vary over neither, sign flips over items as well.
    `clusters` are those of the items, which then stand for them.
    """
    gaps = [_by_cluster(one - other, clusters) for one, other in pairs]
    whole = [index for index, gap in enumerate(gaps) if comparable(gap)]
    single = [index for index in whole if gaps[index].shape[0] == 1]
    tested = [_undefined(gap) for gap in gaps]
    for items in {gaps[index].shape[1] for index in single}:
        alike = [index for index in single if gaps[index].shape[1] == items]
        centred = np.concatenate([contributions(gaps[index]) for index in alike])
        lows, highs = interval(bootstrap_means(centred[:, :, None])[:, :, 0], items)
        p_values = sign_flip_p_values(np.concatenate([gap_contributions(gaps[index]) for index in alike]))
        for index, table, *rest in zip(alike, centred, lows, highs, p_values, strict=True):
            low, high, p = map(float, rest)
            tested[index] = replace(tested[index], **_told(table[None, :], low, high, p))
    for index in set(whole) - set(single):
        table = contributions(gaps[index])
        mean, around = float(table.mean()), spread(table)
        low, high = mean - around.half_width, mean + around.half_width
        p = around.p_value(mean) if around.error else sign_flip_p_values(table.mean(axis=0, keepdims=True))[0]
        tested[index] = replace(tested[index], **_told(table, low, high, p))
    return tested


def _by_cluster(gap: Floats, clusters: Codes | None) -> Floats:
    """What is compared, of shape (runs, items, languages), or what each cluster of it adds, (runs, clusters, 1)."""
    known = compared(gap)
    if clusters is None or not comparable(known):
        return known
    return clustered(contributions(known), clusters[(~np.isnan(gap)).any(axis=(0, 2))])[:, :, None]


def compared(gap: Floats) -> Floats:
    """Scores, or differences of them, without the items that have none in any run and language."""
    return gap[:, (~np.isnan(gap)).any(axis=(0, 2)), :]


def masked(arrays: Sequence[Floats]) -> list[Floats]:
    """Arrays of scores (runs, items, languages) without what one of the others has in no run: NaN there."""
    known = np.logical_and.reduce([(~np.isnan(values)).any(axis=0) for values in arrays])
    return [np.where(known, values, np.nan) for values in arrays]


def _told(table: Floats, low: float, high: float, p: float) -> dict[str, float | None]:
    """The figures of a difference; what varies over no item says nothing of how sure it is."""
    around, mean = spread(table), float(table.mean())
    if around.error == 0:
        return {"difference": mean, "low": None, "high": None, "p": p, "detectable": None}
    return {"difference": mean, "low": low, "high": high, "p": p, "detectable": around.detectable()}


def comparable(gap: Floats) -> bool:
    """Whether two items at least are compared, and every language of every run."""
    scored = ~np.isnan(gap)
    return bool(scored.any(axis=1).all()) and int(scored.any(axis=(0, 2)).sum()) > 1


def _undefined(gap: Floats) -> Difference:
    runs = gap.shape[0]
    test = BY_FLIPS if runs == 1 else f"t over items and {runs} runs"
    items = int((~np.isnan(gap)).any(axis=(0, 2)).sum())
    return Difference(items, runs, None, None, None, None, None, None, test)


def gap_contributions(gap: Floats) -> Floats:
    """Each item's own part of the difference, 0 where it is not compared: shape (runs, items)."""
    scored = ~np.isnan(gap)
    shares = gap.shape[1] / scored.sum(axis=1, keepdims=True) / gap.shape[2]
    return np.where(scored, gap * shares, 0.0).sum(axis=2)


def sign_flip_p_values(gaps: Floats, replicates: int = REPLICATES) -> list[float]:
    """Two-sided p-values of the means of paired differences, shape (comparisons, items).

    Without an effect their signs are exchangeable. Exact where at most 12 differ from 0; else by random flips, the
    observed signs counted among them (Phipson & Smyth 2010).
    """
    observed = np.abs(gaps.sum(axis=1)) * (1 - 1e-9)
    reached = np.ones(len(gaps))
    rng = np.random.default_rng(SEED)
    for start in range(0, replicates, BLOCK):
        rows = min(BLOCK, replicates - start)
        bits = np.unpackbits(rng.integers(0, 256, size=(rows, -(-gaps.shape[1] // 8)), dtype=np.uint8), axis=1)
        flipped = 2.0 * (bits[:, : gaps.shape[1]].astype(np.float64) @ gaps.T) - gaps.sum(axis=1)
        reached += (np.abs(flipped) >= observed).sum(axis=0)
    few = (gaps != 0).sum(axis=1) <= EXACT
    return [
        _exact_p(gap[gap != 0]) if is_few else float(count) / (replicates + 1)
        for gap, is_few, count in zip(gaps, few, reached, strict=True)
    ]


def _exact_p(gaps: Floats) -> float:
    """The share of all flips of sign that reach the observed sum."""
    signs = 1 - 2 * ((np.arange(2 ** len(gaps))[:, None] >> np.arange(len(gaps))) & 1)
    return float((np.abs(signs @ gaps) >= abs(gaps.sum()) * (1 - 1e-9)).mean())


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) adjusted p-values, for a family of comparisons; those that could not be made are no part of it."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[index] = highest
    return adjusted
