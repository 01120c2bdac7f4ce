"""The few-shot law: a score grows with the logarithm of the number of examples in the target language.

Few-shot performance is a + b · log10(1 + n) (Muller et al. 2022, arXiv 2212.01757, of mT5 on three tasks). The law is
fitted by least squares to the means at a curve's amounts, each run a point. How far the points lie off the line tells
how certain a and b are, so what is wrong with the law itself makes their intervals wider.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from eval.analysis.design import Curve, Design
from eval.analysis.groups import LanguageGroups
from eval.analysis.panel import Panel
from eval.analysis.stats import LEVEL, Estimate, Floats, contributions

FEWEST = 3
"""Different amounts that a law is fitted to; two always lie on a line."""


@dataclass(frozen=True, slots=True)
class FewShotLaw:
    """The law of one curve in one language or group by one task's main metric."""

    curve: str
    axis: str
    task: str
    metric: str
    group: str
    intercept: Estimate
    """a, the score without examples; `n` is the number of points, which are runs."""
    slope: Estimate
    """b, what is gained where 1 + n is ten times as much."""
    r_squared: float | None
    """None where all points are alike."""
    halves_gap: Estimate
    """The n by which the law closes half of the distance to the pivot's score at the least amount, that score being
    taken as known. None where the slope or the distance is not shown to be above 0."""
    beyond: bool
    """Whether that n is more than the largest amount, so that the law is only continued."""
    largest: float
    """The largest amount."""
    settings: tuple[str, ...] = ()
    """Of the curve."""

    def at(self, amount: float) -> float:
        """The score that the law gives for an amount."""
        assert self.intercept.mean is not None and self.slope.mean is not None
        return self.intercept.mean + self.slope.mean * math.log10(1 + amount)


def few_shot_laws(panels: Sequence[Panel], groups: LanguageGroups, design: Design) -> list[FewShotLaw]:
    """The law of each curve from no negative amount on, in each language but the pivot, and in groups of them."""
    return [
        law
        for panel in panels
        for curve in design.curves
        if min(curve.amounts) >= 0
        for law in _laws(panel, curve, groups.of(*curve.settings), design)
    ]


def law_row(law: FewShotLaw) -> dict[str, Any]:
    """A law as a row of plain figures."""
    figures = {"intercept": law.intercept, "slope": law.slope, "halves_gap": law.halves_gap}
    named = {name: getattr(law, name) for name in ("curve", "axis", "task", "metric", "group")}
    for name, figure in figures.items():
        named |= {name: figure.mean, f"{name}_low": figure.low, f"{name}_high": figure.high}
    return named | {"r_squared": law.r_squared, "beyond": law.beyond, "points": law.slope.n}


def _laws(panel: Panel, curve: Curve, groups: LanguageGroups, design: Design) -> Iterator[FewShotLaw]:
    single = {language: (language,) for language in groups.all if language != groups.pivot}
    several = {name: members for name, members in groups.means().items() if groups.pivot not in members}
    amounts, pivot = points_in(panel, curve, (groups.pivot,), design)
    reference = float(pivot[amounts == amounts.min()].mean()) if len(pivot) else None
    for name, members in (single | several).items():
        amounts, scores = points_in(panel, curve, members, design)
        if len(set(amounts)) >= FEWEST:
            intercept, slope, r_squared, gap = fitted(amounts, scores, reference)
            beyond = gap.mean is not None and gap.mean > amounts.max()
            named = (curve.name, curve.axis, panel.task, panel.metric, name)
            largest = float(amounts.max())
            yield FewShotLaw(*named, intercept, slope, r_squared, gap, beyond, largest, curve.settings)


def points_in(panel: Panel, curve: Curve, languages: Sequence[str], design: Design) -> tuple[Floats, Floats]:
    """The amounts of a curve's runs and their means over the languages, as far as there is one."""
    if not set(languages) <= set(panel.languages):
        return np.empty(0), np.empty(0)
    points: list[tuple[float, float]] = []
    for amount, setting in zip(curve.amounts, curve.settings, strict=True):
        for run in design.present(setting, panel):
            mean = float(contributions(panel.of((run,), languages)).mean())
            points += [(amount, mean)] if math.isfinite(mean) else []
    amounts, means = np.array(points, dtype=np.float64).reshape(-1, 2).T
    return amounts, means


def fitted(
    amounts: Floats, scores: Floats, pivot: float | None = None
) -> tuple[Estimate, Estimate, float | None, Estimate]:
    """Intercept, slope, R², and the n that halves the distance to the pivot's score, of three amounts or more."""
    x, count = np.log10(1 + amounts), len(amounts)
    apart = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * scores).sum()) / apart
    intercept = float(scores.mean()) - slope * float(x.mean())
    residual = float(((scores - intercept - slope * x) ** 2).sum())
    total = float(((scores - scores.mean()) ** 2).sum())
    variance, t = residual / (count - 2), float(stdtrit(count - 2, 1 - LEVEL / 2))
    of_slope, of_both = variance / apart, -float(x.mean()) * variance / apart
    of_intercept = variance * (1 / count + float(x.mean()) ** 2 / apart)
    estimates = [
        Estimate(count, mean, mean - t * math.sqrt(error), mean + t * math.sqrt(error))
        for mean, error in ((intercept, of_intercept), (slope, of_slope))
    ]
    gap = Estimate(count, None, None, None)
    shown = slope - t * math.sqrt(of_slope) > 0
    if pivot is not None and shown and pivot - intercept > t * math.sqrt(of_intercept):
        gap = _halving(pivot - intercept, slope, (of_intercept, of_slope, of_both), t, count)
    return estimates[0], estimates[1], 1 - residual / total if total > 0 else None, gap


def _halving(distance: float, slope: float, errors: tuple[float, float, float], t: float, points: int) -> Estimate:
    """10^(distance / 2b) − 1, with Fieller's interval (1954) of the ratio distance / b of two normal estimates.

    `errors` are the variances of a and b and their covariance. All ratios r are inside whose distance − r · b is not
    told from 0: (distance − r · b)² ≤ t² (var a + 2 r cov + r² var b), a quadratic in r.
    """
    of_intercept, of_slope, of_both = errors
    square = slope**2 - t**2 * of_slope
    middle = (distance * slope + t**2 * of_both) / square
    root = math.sqrt(max(0.0, middle**2 - (distance**2 - t**2 * of_intercept) / square))
    ends = (_examples(ratio) for ratio in (middle - root, middle + root))
    return Estimate(points, _examples(distance / slope), *ends)


def _examples(ratio: float) -> float | None:
    """The n at which log10(1 + n) is half of a ratio: no less than 0, and None where no float holds it."""
    half = ratio / 2
    return max(0.0, 10**half - 1) if half < 300 else None
