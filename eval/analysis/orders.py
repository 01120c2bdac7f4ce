"""The metrics of training in stages over several orders of the languages, and several runs of each order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.analysis.dynamics import FORGETTING, continual, continual_estimates
from eval.analysis.panel import Panel
from eval.analysis.stats import Estimate, Floats
from eval.analysis.variance import ROUNDING, Spread


@dataclass(frozen=True, slots=True)
class Course:
    """One run through stages."""

    order: str
    stages: tuple[str, ...]
    """What the run is called after each stage, in a panel."""
    languages: tuple[str, ...]
    """What each stage trained on."""
    baselines: Mapping[str, Sequence[float] | None]
    """The scores of guessing and of training on a language alone; see `continual`."""


def over_courses(panel: Panel, courses: Sequence[Course]) -> dict[str, Estimate]:
    """Each metric of `continual`: the mean over orders of the mean over an order's runs.

    A single course has the interval of `continual_estimates`. Of several orders these are a random factor, of which
    there are few: their part of the error has as many degrees of freedom as there are orders, less one; the part of
    items, which all courses share, is the bootstrap's (`Spread`). Of one order the same holds of its runs. Forgetting
    is of maxima of noisy figures, so that over more than two stages its interval is over orders or runs alone.
    """
    estimates = [continual_estimates(panel, each.stages, each.languages, each.baselines) for each in courses]
    if len(courses) == 1:
        return estimates[0]
    orders: dict[str, list[int]] = {}
    for place, course in enumerate(courses):
        orders.setdefault(course.order, []).append(place)
    sampled = _sampled(panel, courses, list(orders.values()))
    return {
        name: _over(
            [figures[name] for figures in estimates],
            list(orders.values()),
            0.0 if name == FORGETTING and len(courses[0].stages) > 2 else float(sampled.get(name, np.zeros(1)).std()),
            panel.values.shape[1] - 1,
        )
        for name in estimates[0]
    }


def _sampled(panel: Panel, courses: Sequence[Course], orders: Sequence[Sequence[int]]) -> dict[str, Floats]:
    """Each metric over resampled items, the same for all courses: its mean over orders; empty for a single item."""
    if panel.values.shape[1] == 1:
        return {}
    replicates = [continual(panel.replicates_of(each.stages, each.languages), **each.baselines) for each in courses]
    return {
        name: np.mean([np.mean([replicates[place][name] for place in order], axis=0) for order in orders], axis=0)
        for name in replicates[0]
    }


def _over(figures: Sequence[Estimate], orders: Sequence[Sequence[int]], of_items: float, freedom: int) -> Estimate:
    """The mean over orders with its interval; blank where a course lacks a score of the metric."""
    n, means = sum(figure.n for figure in figures), [figure.mean for figure in figures]
    known = [mean for mean in means if mean is not None]
    if len(known) < len(means):
        return Estimate(n, None, None, None)
    by_order = np.array([np.mean([known[place] for place in order]) for order in orders])
    units = by_order if len(orders) > 1 else np.array(known)
    mean = float(by_order.mean())
    between = float(units.std(ddof=1)) / math.sqrt(len(units))
    around = Spread(of_items, freedom if of_items else math.inf, between, len(units) - 1)
    if around.error <= ROUNDING * max(1.0, abs(mean)):
        return Estimate(n, mean, None, None)
    return Estimate(n, mean, mean - around.half_width, mean + around.half_width)
