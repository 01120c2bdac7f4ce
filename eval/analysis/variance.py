"""How far a mean over runs and items may be off: one part from runs, one from items, each with its own freedom.

Tables are of shape (runs, items): what each item contributes to a run's mean (see `stats.contributions`). The variance
between runs under other seeds is pooled over the settings of a study, which are taken to vary alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, stdtr, stdtrit

Floats = NDArray[np.float64]

LEVEL = 0.05
POWER = 0.8
ROUNDING = 1e-9
"""Figures that differ by less, as a share of their size, are the same."""
NODES = 100
"""Points at which the distribution of an estimated variance is evaluated."""
FARTHEST, PRECISION = 1e9, 1e-9
"""How far a root is sought, and how close it is found, in standard errors."""


@dataclass(frozen=True, slots=True)
class RunVariance:
    """The variance between runs of one setting under several seeds, pooled over settings."""

    of_means: float
    """Of a run's mean, the residual's share in it included."""
    residual: float
    """Of a run's mean, as far as it is what single items do in single runs."""
    freedom: int
    """Runs − settings, over the settings with several runs."""


def run_variance(tables: Sequence[Floats]) -> RunVariance | None:
    """The mean squares between and within the runs of settings; None where no setting has two runs."""
    several = [table for table in tables if len(table) > 1]
    freedom = sum(len(table) - 1 for table in several)
    if not freedom:
        return None
    between = within = 0.0
    for table in several:
        by_run, by_item = table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
        between += float(((by_run - table.mean()) ** 2).sum())
        within += float(((table - by_run - by_item + table.mean()) ** 2).sum())
    items = several[0].shape[1]
    residual = within / (freedom * (items - 1) * items) if items > 1 else 0.0
    return RunVariance(between / freedom, residual, freedom)


@dataclass(frozen=True, slots=True)
class Spread:
    """The standard error of a mean or difference in its two parts, with the degrees of freedom of each.

    Its error over its estimate is distributed as t(of runs) · runs + t(of items) · items (Behrens–Fisher): a few runs
    do not borrow the freedom of many items, which is what makes p-values right in the tails.
    """

    items: float
    item_freedom: float
    runs: float = 0.0
    run_freedom: float = math.inf

    @property
    def error(self) -> float:
        """The standard error of both parts together."""
        return math.hypot(self.items, self.runs)

    @property
    def half_width(self) -> float:
        """Of the 95 % interval."""
        if not self.error > 0:
            return self.error
        return _reached(self.p_value, LEVEL, self.error)

    def p_value(self, mean: float) -> float:
        """Two-sided, for a true mean of zero; the error must not be 0."""
        if not self.runs:
            return float(2 * stdtr(self.item_freedom, -abs(mean) / self.items))
        scale, weights = _run_scales(self.run_freedom)
        errors = np.sqrt(self.runs**2 * scale + self.items**2)
        return float(2 * (weights * stdtr(self.item_freedom, -abs(mean) / errors)).sum())

    def detectable(self, critical: float | None = None) -> float:
        """The smallest true difference that a test with this critical value finds with a power of 80 %.

        `critical` is in standard errors; without it, that of the single test at 5 %.
        """
        limit = self.half_width if critical is None else critical * self.error
        if not self.runs:
            return limit + float(stdtrit(self.item_freedom, POWER)) * self.items
        scale, weights = _run_scales(self.run_freedom)
        estimated = np.sqrt(self.runs**2 / scale + self.items**2) / self.error

        def missed(true: float) -> float:
            """The share of studies that do not find it, of which each has its own estimate of the error."""
            return float((weights * stdtr(self.item_freedom, (limit * estimated - true) / self.error)).sum())

        return _reached(missed, 1 - POWER, self.error)


def _reached(falling: Callable[[float], float], wanted: float, unit: float) -> float:
    """Where a function that falls from 0 on reaches a value, within a billionth of the unit."""
    from scipy.optimize import brentq  # a tenth of a second to import

    low, high = 0.0, unit
    while falling(high) > wanted:
        if high > FARTHEST * unit:
            return high
        low, high = high, 2 * high
    if falling(low) <= wanted:
        return low
    root: Any = brentq(lambda place: falling(place) - wanted, low, high, xtol=PRECISION * unit)
    return float(root)


@cache
def _run_scales(freedom: float) -> tuple[Floats, Floats]:
    """True over estimated variance, freedom / χ²(freedom), at quantiles that are dense in the tail, and weights."""
    ends = np.linspace(0, 1, NODES + 1) ** 5
    middles = ((np.linspace(0, 1, NODES + 1)[1:] + np.linspace(0, 1, NODES + 1)[:-1]) / 2) ** 5
    return freedom / (2 * gammaincinv(freedom / 2, middles)), np.diff(ends)


def spread(table: Floats, between: RunVariance | None = None) -> Spread:
    """The spread of the mean of a table of shape (runs, items), both of which are samples.

    `between` is the variance of runs, pooled over settings; without it, that of the table's own runs. One run without
    it: the spread over items alone, of this very model. The variance components are those of the two-way table without
    replication (Searle, Casella & McCulloch 1992, ch. 4); the items' is no less than 0. What varies no more than by
    rounding does not vary.
    """
    items = table.shape[1]
    if items < 2:
        return Spread(math.nan, 1)
    if between is None and np.ptp(table) <= ROUNDING * max(1.0, float(np.abs(table).max())):
        return Spread(0.0, items - 1)
    between = between or run_variance([table])
    return contrast_spread(table.mean(axis=0), between, 1 / len(table))


def contrast_spread(by_item: Floats, between: RunVariance | None, share: float) -> Spread:
    """The spread of the mean of figures per item that hold Σ weight² / runs = `share` of a run's variance.

    That is 1 / runs for a setting, and 1 / runs + 1 / runs for the difference of two; the base has no seed.
    """
    items = len(by_item)
    over_items = float(by_item.var(ddof=1))
    if between is None:
        around = Spread(math.sqrt(over_items / items), items - 1)
    else:
        beyond = max(0.0, over_items / items - share * between.residual)
        around = Spread(math.sqrt(beyond), items - 1, math.sqrt(share * between.of_means), between.freedom)
    varies = around.error > ROUNDING * max(1.0, float(np.abs(by_item).max()))
    return around if varies else Spread(0.0, items - 1)
