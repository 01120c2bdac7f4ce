"""What curves over amounts say: the best point, the plateau, the gap closed, whether seen and unseen go together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from eval.analysis.comparisons import paired
from eval.analysis.design import Curve, Design
from eval.analysis.groups import OTHERS, SEEN, UNSEEN, LanguageGroups
from eval.analysis.panel import Panel
from eval.analysis.stats import LEVEL, Estimate, Floats, contributions, differences, interval, spread


@dataclass(frozen=True, slots=True)
class CurveFinding:
    """What a curve of amounts says in one group of languages by one task's main metric."""

    curve: str
    axis: str
    task: str
    metric: str
    group: str
    points: int
    least: float
    """The smallest amount."""
    best: float
    """The amount with the highest mean."""
    plateau: float | None
    """The smallest amount within noise of the best: not significantly below it (p ≥ 0.05, see `differences`).

    None of figures that are means already."""
    gap_closed: Estimate
    """Of performance to the pivot; for the group of all other languages alone."""
    correlation: float | None
    """Spearman's, between the seen and unseen means over the curve's points (arXiv 2504.16677)."""
    correlation_interval: tuple[float, float] | None


def curve_findings(panels: Sequence[Panel], groups: LanguageGroups, design: Design) -> list[CurveFinding]:
    """The findings of each curve, task (of `main_panels`) and group; a curve with under two scored points has none."""
    return [
        finding for panel in panels for curve in design.curves for finding in _findings_of(panel, curve, groups, design)
    ]


def as_row(finding: CurveFinding) -> dict[str, Any]:
    """A finding as a row of plain figures."""
    closed, around = finding.gap_closed, finding.correlation_interval or (None, None)
    return {
        name: getattr(finding, name)
        for name in ("curve", "axis", "task", "metric", "group", "points", "least", "best", "plateau")
    } | {
        "gap_closed": closed.mean,
        "gap_closed_low": closed.low,
        "gap_closed_high": closed.high,
        "correlation": finding.correlation,
        "correlation_low": around[0],
        "correlation_high": around[1],
    }


def _findings_of(panel: Panel, curve: Curve, groups: LanguageGroups, design: Design) -> Iterator[CurveFinding]:
    means = {name: members for name, members in groups.means().items() if set(members) <= set(panel.languages)}
    points = {name: _points(panel, curve, members, design) for name, members in means.items()}
    points = {name: each for name, each in points.items() if len(each) > 1}
    highest = {name: max(range(len(each)), key=lambda place: each[place].mean) for name, each in points.items()}
    asked = [(name, place) for name in points for place in range(len(points[name]))]
    found = differences(
        [
            paired(panel, design, points[name][highest[name]].setting, points[name][place].setting, means[name])
            for name, place in asked
        ]
    )
    p_values = {each: gap.p for each, gap in zip(asked, found, strict=True)}
    for name, each in points.items():
        best = highest[name]
        within = [place for place in range(len(each)) if place == best or (p_values[name, place] or 0) >= LEVEL]
        closed, rho, around = Estimate(0, None, None, None), None, None
        if name == OTHERS:
            runs = [point.runs for point in each]
            rho, around = seen_unseen_correlation(panel, runs, groups)
            if each[0].amount == min(curve.amounts):
                closed = gap_closed(panel, runs, groups)
        yield CurveFinding(
            curve.name,
            curve.axis,
            panel.task,
            panel.metric,
            name,
            len(each),
            each[0].amount,
            each[best].amount,
            each[min(within)].amount if panel.values.shape[1] > 1 else None,
            closed,
            rho,
            around,
        )


class Point(NamedTuple):
    """A setting on a curve with its mean over a group of languages."""

    amount: float
    setting: str
    runs: list[str]
    mean: float


def _points(panel: Panel, curve: Curve, languages: Sequence[str], design: Design) -> list[Point]:
    """The points of a curve that have a mean over the languages, from the least amount on."""
    found: list[Point] = []
    for amount, name in sorted(zip(curve.amounts, curve.settings, strict=True)):
        runs = design.present(name, panel)
        mean = float(contributions(panel.of(runs, languages)).mean()) if runs else np.nan
        if np.isfinite(mean):
            found.append(Point(amount, name, runs, mean))
    return found


def gap_closed(panel: Panel, runs: Sequence[Sequence[str]], groups: LanguageGroups) -> Estimate:
    """max over the points − value at the first point of performance to the pivot (arXiv 2504.16677, in points there).

    `runs` are those of each point, the least amount first. The interval is the t interval of the linearised difference
    between the best point and the first, items and runs paired, and none where the first is best. As every maximum of
    noisy figures the best leans upwards, the more so the more points are nearly as good. Undefined where the pivot's
    score could be 0 at a point.
    """
    others = groups.means().get(OTHERS, ())
    if groups.pivot not in panel.languages or not others or not set(others) <= set(panel.languages):
        return Estimate(0, None, None, None)
    arrays = [(panel.of(each, others), panel.of(each, (groups.pivot,))) for each in runs]
    n = sum(int((~np.isnan(array)).sum()) for pair in arrays for array in pair)
    means = [(contributions(above).mean(), contributions(below).mean()) for above, below in arrays]
    if not all(np.isfinite(above) and below > 0 for above, below in means):
        return Estimate(n, None, None, None)
    shares = np.array([above / below for above, below in means])
    best, value = int(shares.argmax()), float(shares.max() - shares[0])
    if panel.values.shape[1] == 1:
        return Estimate(n, value, None, None)
    pivots = [contributions(below) for _, below in arrays]
    if any(pivot.mean() <= spread(pivot).half_width for pivot in pivots):
        return Estimate(n, None, None, None)
    first, highest = (
        (contributions(arrays[place][0]) - shares[place] * pivots[place]) / pivots[place].mean() for place in (0, best)
    )
    fewest = min(len(first), len(highest))
    half = spread(highest[:fewest] - first[:fewest]).half_width
    return Estimate(n, value, max(0.0, value - half), value + half) if half else Estimate(n, value, None, None)


def sample_size(panel: Panel, runs: Sequence[Sequence[str]]) -> int:
    """As many as what is resampled has fewest of: items, or the runs of a point where there are several."""
    return min(panel.values.shape[1], *(len(each) for each in runs if len(each) > 1), 10**9)


def _sampled(panel: Panel, runs: Sequence[str], languages: Sequence[str]) -> Floats:
    """Bootstrap means of a setting over items, and over its runs if there are several: shape (replicates,)."""
    means = panel.replicates_of(runs, languages).mean(axis=2)
    if len(runs) == 1:
        return means[:, 0]
    drawn = np.random.default_rng(len(runs)).integers(0, len(runs), size=means.shape)
    return np.take_along_axis(means, drawn, axis=1).mean(axis=1)


def seen_unseen_correlation(
    panel: Panel, runs: Sequence[Sequence[str]], groups: LanguageGroups
) -> tuple[float | None, tuple[float, float] | None]:
    """Spearman's correlation between the seen and the unseen mean over the points, with its bootstrap interval.

    Undefined for fewer than three points, and where all points of a group are equal.
    """
    means = groups.means()
    seen, unseen = means.get(SEEN, ()), means.get(UNSEEN, ())
    if len(runs) < 3 or not seen or not unseen or not {*seen, *unseen} <= set(panel.languages):
        return None, None
    found = [[contributions(panel.of(each, members)).mean() for each in runs] for members in (seen, unseen)]
    rho = float(spearman(*(np.array([each]) for each in found))[0])
    if not np.isfinite(rho):
        return None, None
    if panel.values.shape[1] == 1:
        return rho, None
    one, other = (np.stack([_sampled(panel, each, members) for each in runs], axis=1) for members in (seen, unseen))
    sampled = spearman(one, other)
    low, high = interval(sampled[np.isfinite(sampled)], sample_size(panel, runs))
    return rho, (float(low), float(high))


def spearman(one: Floats, other: Floats) -> Floats:
    """Spearman's rank correlation of each row of two arrays; NaN where a row does not vary."""
    from scipy.stats import rankdata  # half a second to import

    ranks = (rankdata(each, axis=1) for each in (one, other))
    first, second = (each - each.mean(axis=1, keepdims=True) for each in ranks)
    with np.errstate(invalid="ignore"):
        return (first * second).sum(axis=1) / np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
