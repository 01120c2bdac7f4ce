"""What curves over amounts say: the best point, the plateau, the gap closed, whether seen and unseen go together.

The best of several points is partly luck, and so is what seen and unseen means of the same runs have in common. Both
are told from halves of the study (`eval.analysis.halves`), with the papers' own definitions beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from eval.analysis.best import standings
from eval.analysis.comparisons import arm_of, pooled_runs
from eval.analysis.design import Curve, Design
from eval.analysis.families import DRAWS, Arm, compare_family
from eval.analysis.groups import OTHERS, SEEN, UNSEEN, LanguageGroups
from eval.analysis.halves import half_means, highest
from eval.analysis.panel import Panel
from eval.analysis.stats import Estimate, Floats, Z, clustered, contributions
from eval.analysis.variance import run_variance, spread
from eval.scorers.metrics import metric_of

PLATEAU = 0.1
"""A point within this share of the best point's score is on the plateau."""
FEWEST_POINTS = 5
"""Points whose ranks are worth correlating."""
DECIMALS = 9
"""Means that are equal up to here tie."""


@dataclass(frozen=True, slots=True)
class GapClosed:
    """How far performance to the pivot rises over a curve."""

    estimate: Estimate
    """At the point that is best on one half of items and runs, measured on the other, less that at the first point.

    Of figures that are means already, which cannot be halved, the published definition without an interval."""
    p: float | None
    """Of a ratio that is flat, adjusted over the points (max-t); 1 where no point is above the first."""
    published: float | None
    """The highest of all points less the first (arXiv 2504.16677): biased upwards, as a maximum of noisy figures is."""


NO_GAP = GapClosed(Estimate(0, None, None, None), None, None)


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's, between the seen and unseen means over a curve's points."""

    rho: float | None
    """Of seen means on one half of items and runs and unseen means on the other, averaged over halves.

    Of figures that are means already the published one."""
    interval: tuple[float, float] | None
    """95 %, points being a sample (Bonett & Wright 2000)."""
    published: float | None
    """Of the means of all items and runs (arXiv 2504.16677): biased upwards, as the luck of a run is in both."""


NO_CORRELATION = Correlation(None, None, None)


@dataclass(frozen=True, slots=True)
class CurveFinding:
    """What a curve of amounts says in one group of languages by one task's main metric."""

    curve: str
    axis: str
    task: str
    metric: str
    group: str
    points: int
    runs: int
    """Of the point that has fewest."""
    least: float
    """The smallest amount."""
    best: float
    """The amount with the highest mean."""
    plateau: float | None
    """The smallest amount that is shown to be no more than `margin` below the best, whichever that is.

    None where the study cannot tell, and of figures that are means already."""
    margin: float | None
    """A tenth (`PLATEAU`) of the highest mean, from the metric's worst value on."""
    gap_closed: Estimate
    """Of performance to the pivot; see `GapClosed`. For the group of all languages but the pivot alone."""
    gap_closed_p: float | None
    gap_closed_published: float | None
    correlation: float | None
    """Of seen and unseen means; see `Correlation`. For the group of all languages but the pivot alone."""
    correlation_interval: tuple[float, float] | None
    correlation_published: float | None


def curve_findings(panels: Sequence[Panel], groups: LanguageGroups, design: Design) -> list[CurveFinding]:
    """The findings of each curve, task (of `main_panels`) and group; a curve with under two scored points has none."""
    return [
        finding for panel in panels for curve in design.curves for finding in _findings_of(panel, curve, groups, design)
    ]


def as_row(finding: CurveFinding) -> dict[str, Any]:
    """A finding as a row of plain figures."""
    estimate, (low, high) = finding.gap_closed, finding.correlation_interval or (None, None)
    apart = {
        "gap_closed": estimate.mean,
        "gap_closed_low": estimate.low,
        "gap_closed_high": estimate.high,
        "correlation_low": low,
        "correlation_high": high,
    }
    names = [field.name for field in fields(CurveFinding) if field.name != "correlation_interval"]
    return {name: getattr(finding, name) for name in names} | apart


def _findings_of(panel: Panel, curve: Curve, study: LanguageGroups, design: Design) -> Iterator[CurveFinding]:
    """Seen are the languages that some point of the curve is trained on."""
    groups = study.of(*curve.settings)
    for name, members in groups.means().items():
        points = points_of(panel, curve, members, design) if set(members) <= set(panel.languages) else []
        if len(points) < 2:
            continue
        best = max(points, key=lambda point: point.mean)
        margin = margin_of(panel, points)
        closed, rho = NO_GAP, NO_CORRELATION
        if name == OTHERS:
            runs = [point.runs for point in points]
            rho = seen_unseen_correlation(panel, runs, groups)
            if points[0].amount == min(curve.amounts):
                closed = gap_closed(panel, runs, groups)
        yield CurveFinding(
            curve.name, curve.axis, panel.task, panel.metric, name, len(points),
            runs=min(len(point.runs) for point in points),
            least=points[0].amount,
            best=best.amount,
            plateau=plateau(panel, points, members, design, margin),
            margin=margin if panel.values.shape[1] > 1 else None,
            gap_closed=closed.estimate,
            gap_closed_p=closed.p,
            gap_closed_published=closed.published,
            correlation=rho.rho,
            correlation_interval=rho.interval,
            correlation_published=rho.published,
        )  # fmt: skip


class Point(NamedTuple):
    """A setting on a curve with its mean over a group of languages."""

    amount: float
    setting: str
    runs: list[str]
    mean: float


def points_of(panel: Panel, curve: Curve, languages: Sequence[str], design: Design) -> list[Point]:
    """The points of a curve that have a mean over the languages, from the least amount on."""
    points: list[Point] = []
    for amount, name in sorted(zip(curve.amounts, curve.settings, strict=True)):
        runs = design.present(name, panel)
        mean = float(contributions(panel.of(runs, languages)).mean()) if runs else np.nan
        if np.isfinite(mean):
            points.append(Point(amount, name, runs, mean))
    return points


def margin_of(panel: Panel, points: Sequence[Point]) -> float:
    """A tenth of the highest mean, from the metric's worst value on."""
    return PLATEAU * (max(point.mean for point in points) - metric_of(panel.metric).worst)


def plateau(
    panel: Panel, points: Sequence[Point], languages: Sequence[str], design: Design, margin: float, draws: int = DRAWS
) -> float | None:
    """The smallest amount that is shown to be within the margin of the best point; None where none is."""
    if panel.values.shape[1] == 1:
        return None
    arms = [arm_of(panel, design, point.setting, languages) for point in points]
    ranked = standings(arms, pooled_runs(panel, design, languages), panel.clusters, draws)
    if ranked is None:
        return None
    shown = [point.amount for point, standing in zip(points, ranked, strict=True) if standing.below < margin]
    return min(shown, default=None)


def gap_closed(panel: Panel, runs: Sequence[Sequence[str]], groups: LanguageGroups, draws: int = DRAWS) -> GapClosed:
    """How far performance to the pivot rises over the points; `runs` are those of each, the least amount first.

    All from the linearised ratios (value − ratio · pivot) / mean(pivot), items and runs paired. Undefined where the
    pivot's score could be 0 at a point. The interval is no shorter than that of a point chosen beforehand.
    """
    others = groups.means().get(OTHERS, ())
    if groups.pivot not in panel.languages or not others or not set(others) <= set(panel.languages):
        return NO_GAP
    arrays = [(panel.of(names, others), panel.of(names, (groups.pivot,))) for names in runs]
    n = sum(int((~np.isnan(array)).sum()) for pair in arrays for array in pair)
    nothing = GapClosed(Estimate(n, None, None, None), None, None)
    means = [(contributions(above).mean(), contributions(below).mean()) for above, below in arrays]
    if not all(np.isfinite(above) and below > 0 for above, below in means):
        return nothing
    shares = [float(above / below) for above, below in means]
    published = max(shares) - shares[0]
    if panel.values.shape[1] == 1:
        return GapClosed(Estimate(n, published, None, None), None, published)
    pivots = [clustered(contributions(below), panel.clusters) for _, below in arrays]
    if any(pivot.mean() <= spread(pivot).half_width for pivot in pivots):
        return nothing
    tables = [
        share + (clustered(contributions(above), panel.clusters) - share * pivot) / pivot.mean()
        for share, (above, _), pivot in zip(shares, arrays, pivots, strict=True)
    ]
    if tables[0].shape[1] == 1:
        return GapClosed(nothing.estimate, None, published)
    between = run_variance(tables)
    chosen = highest(tables, between, against=0)
    low, high = (chosen.mean + side * chosen.half_width if chosen.half_width else None for side in (-1, 1))
    arms = [Arm(str(index), table[:, :, None]) for index, table in enumerate(tables)]
    rises_tested = compare_family([(arm, arms[0]) for arm in arms[1:]], between, draws=draws)
    rises = [one.p_adjusted for one in rises_tested if (one.difference or 0) > 0 and one.p_adjusted is not None]
    return GapClosed(Estimate(n, chosen.mean, low, high), min(rises, default=1.0), published)


def seen_unseen_correlation(panel: Panel, runs: Sequence[Sequence[str]], groups: LanguageGroups) -> Correlation:
    """Spearman's correlation between the seen and the unseen mean over the points, at `FEWEST_POINTS` or more.

    Undefined where all points of a group are equal. Noise in the halves draws it towards 0. With one run per point
    it is of these very models, whose luck is in both means.
    """
    means = groups.means()
    seen, unseen = means.get(SEEN, ()), means.get(UNSEEN, ())
    if len(runs) < FEWEST_POINTS or not seen or not unseen or not {*seen, *unseen} <= set(panel.languages):
        return NO_CORRELATION
    tables = [
        [clustered(contributions(panel.of(names, members)), panel.clusters) for names in runs]
        for members in (seen, unseen)
    ]
    whole = (np.array([[table.mean() for table in side]]) for side in tables)
    published = float(spearman(*whole)[0])
    if not np.isfinite(published):
        return NO_CORRELATION
    if panel.values.shape[1] == 1:
        return Correlation(published, None, published)
    if tables[0][0].shape[1] == 1:
        return Correlation(None, None, published)
    one, other = (half_means(side) for side in tables)
    rho = float(np.nan_to_num(spearman(one[:, 0], other[:, 1])).mean())  # a half that does not vary goes with nothing
    return Correlation(rho, interval_of_rho(rho, len(runs)), published)


def interval_of_rho(rho: float, points: int) -> tuple[float, float]:
    """The 95 % interval of Spearman's correlation over four points or more (Bonett & Wright 2000, Psychometrika 65)."""
    if abs(rho) > 1 - 1e-9:
        return rho, rho
    half = Z * math.sqrt((1 + rho**2 / 2) / (points - 3))
    return math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)


def spearman(one: Floats, other: Floats) -> Floats:
    """Spearman's rank correlation of each row of two arrays; NaN where a row does not vary.

    Figures that only rounding tells apart tie.
    """
    from scipy.stats import rankdata  # half a second to import

    ranks = (rankdata(side.round(DECIMALS), axis=1) for side in (one, other))
    first, second = (side - side.mean(axis=1, keepdims=True) for side in ranks)
    with np.errstate(invalid="ignore"):
        return (first * second).sum(axis=1) / np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
