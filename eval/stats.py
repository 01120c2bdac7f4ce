"""Means with honest intervals: translations of one item are one cluster, resampling is seeded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REPLICATES = 2000
SEED = 0
Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution, for two-sided 95 % intervals."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval over `n` scored predictions; None where nothing was scored."""

    n: int
    mean: float | None
    low: float | None
    high: float | None


NOTHING = Estimate(0, None, None, None)


def estimate(values: NDArray[np.float64]) -> Estimate:
    """Mean over languages of the means over items, for scores of shape (items, languages).

    NaN stands for a score that is missing. The interval is a percentile bootstrap over items, the
    clusters; scores that are all 0 or all 1 do not vary under resampling, and get the Wilson
    interval for as many trials as there are items. A single language with scores of 0 and 1
    always gets the Wilson interval.
    """
    scored = ~np.isnan(values)
    n = int(scored.sum())
    if n == 0 or not scored.any(axis=0).all():
        return Estimate(n, None, None, None)
    mean = float(np.nanmean(values, axis=0).mean())
    items = int(scored.any(axis=1).sum())
    known = values[scored]
    if bool(np.isin(known, (0.0, 1.0)).all()) and (values.shape[1] == 1 or mean in (0.0, 1.0)):
        low, high = wilson(mean, items)
    else:
        low, high = percentile_interval(resampled_means(values).mean(axis=1))
    return Estimate(n, mean, low, high)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's score interval (1927) for a share of n trials."""
    center = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return max(0.0, center - half), min(1.0, center + half)


def ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> Estimate:
    """The mean of `numerator` over that of `denominator`, items resampled together.

    Undefined where the denominator could be 0, that is, where it is so in more than 2.5 % of the
    resamples. A numerator that does not vary has its own interval, over the denominator's mean.
    """
    above, below = estimate(numerator), estimate(denominator)
    n = above.n + below.n
    if above.mean is None or above.low is None or above.high is None or below.mean is None:
        return Estimate(n, None, None, None)
    both = resampled_means(np.concatenate([numerator, denominator], axis=1))
    top, bottom = both[:, : numerator.shape[1]].mean(axis=1), both[:, numerator.shape[1] :].mean(axis=1)
    if percentile_interval(bottom)[0] <= 0:
        return Estimate(n, None, None, None)
    if top.min() == top.max():
        return Estimate(n, above.mean / below.mean, above.low / below.mean, above.high / below.mean)
    low, high = percentile_interval(top[bottom > 0] / bottom[bottom > 0])
    return Estimate(n, above.mean / below.mean, low, high)


def resampled_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means per language of bootstrap resamples of the items: shape (replicates, languages).

    A language without a score in a resample keeps its mean over all items.
    """
    items = values.shape[0]
    draws = np.random.default_rng(SEED).multinomial(items, np.full(items, 1 / items), size=REPLICATES)
    scored = ~np.isnan(values)
    sums = draws @ np.where(scored, values, 0.0)
    counts = draws @ scored.astype(np.float64)
    with np.errstate(invalid="ignore"):
        means = sums / counts
    return np.where(counts > 0, means, np.nanmean(values, axis=0))


def percentile_interval(replicates: NDArray[np.float64]) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles."""
    low, high = np.quantile(replicates, [0.025, 0.975])
    return float(low), float(high)


def matrix(
    items: Sequence[str], languages: Sequence[str], scores: dict[tuple[str, str], float | None]
) -> NDArray[np.float64]:
    """Scores of (item, language) as an array of shape (items, languages), NaN where there is none."""
    rows = [[scores.get((item, language)) for language in languages] for item in items]
    return np.array(rows, dtype=np.float64).reshape(len(items), len(languages))
