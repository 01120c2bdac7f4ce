"""The difference that a study will be able to detect, before it is made.

Its comparisons are given the variances that are assumed, or those of an earlier study, and are put to its own test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.analysis.comparisons import arm_of, run_tables
from eval.analysis.design import BASE, Design
from eval.analysis.families import Contrast, contrast, critical_value, detected, without_effects
from eval.analysis.panel import Panel
from eval.analysis.variance import RunVariance, contrast_spread, run_variance

DRAWS = 10_000
SEED = 0
SHARE, ITEMS, LANGUAGES, SETTINGS = 0.4, 0.15, 0.06, 0.04
"""Assumed: the share of right answers; standard deviations of items, of an item in a language, under a setting."""
SEEDS = 0.016
"""Assumed: the standard deviation of a mean between seeds, as a share of the metric's range."""
WITHIN = 0.75
"""Assumed: the correlation of differences of two items of one cluster."""


@dataclass(frozen=True, slots=True)
class Variances:
    """Of scores averaged over a group of languages, in the square of the metric's unit."""

    settings: float
    """Of an item under a setting."""
    residual: float
    """Of an item in one run besides."""
    seeds: float
    """Of a run's mean, as far as its seed decides it."""
    seeds_assumed: bool = True
    """Whether the last is an assumption."""


def assumed(languages: int, span: float = 1.0) -> Variances:
    """Of right and wrong answers in so many languages, which vary most of all scores of a metric with this span."""
    answers = SHARE * (1 - SHARE) - ITEMS**2 - LANGUAGES**2 - SETTINGS**2
    return Variances(SETTINGS**2 * span**2, answers / languages * span**2, SEEDS**2 * span**2)


def observed(panel: Panel, design: Design, languages: Sequence[str], span: float = 1.0) -> Variances | None:
    """Those of an earlier study, of its settings against its base; None where these cannot be compared, or are equal.

    Where each setting has one run, what seeds do is assumed, and so is what settings do to single items.
    """
    names = design.there(panel)
    settings = [name for name in names if name in design.settings and design.base_of(name) in names]
    if not settings:
        return None
    tables = run_tables(panel, design, dict.fromkeys(names, languages))
    between = run_variance(tables)
    bases = {name: arm_of(panel, design, design.base_of(name), languages) for name in settings}
    made = [contrast(arm_of(panel, design, name, languages), bases[name], None, panel.clusters) for name in settings]
    counts = [len(design.present(name, panel)) for name in settings]
    known = [(contrast, runs) for contrast, runs in zip(made, counts, strict=True) if contrast]
    if not any(contrast.spread.error > 0 for contrast, _ in known):
        return None
    if between is None:
        whole = float(np.mean([contrast.by_item.var(ddof=1) for contrast, _ in known])) / 2
        settings = min(SETTINGS**2 * span**2, whole / 2)
        return Variances(settings, whole - settings, SEEDS**2 * span**2)
    residual = between.residual * tables[0].shape[1]
    # a setting's mean over runs and the base, which is one, both have their residual
    beyond = [float(contrast.by_item.var(ddof=1)) - residual * (1 + 1 / runs) for contrast, runs in known]
    seeds = max(0.0, between.of_means - between.residual)
    return Variances(max(0.0, float(np.mean(beyond)) / 2), residual, seeds, seeds_assumed=False)


def of_clusters(variances: Variances, items: int, clusters: int) -> Variances:
    """Of the means of clusters of items, which correlate by `WITHIN`."""
    shrunk = WITHIN + (1 - WITHIN) * clusters / items
    return Variances(variances.settings * shrunk, variances.residual * shrunk, variances.seeds, variances.seeds_assumed)


@dataclass(frozen=True, slots=True)
class Detectable:
    """True differences that are found with a power of 80 %, by the test adjusted over the family."""

    from_base: float | None
    """Of a setting and the base; None in a study without it."""
    from_reference: float | None
    """Of a setting and the one it is compared with; None where there is no such pair."""


def detectable(
    settings: Mapping[str, int], references: Mapping[str, str], with_base: bool, units: int, variances: Variances
) -> Detectable:
    """What a study of settings with so many runs, on so many items (or clusters of them), will detect.

    Two units and one comparison at least, else blank.
    """
    to_base = [(name, BASE) for name in settings] if with_base else []
    between = [(name, other) for name, other in references.items() if other != name and {name, other} <= set(settings)]
    if units < 2 or not (to_base or between):
        return Detectable(None, None)
    family = _expected(settings, [*to_base, *between], units, variances)
    critical = critical_value(without_effects(family, DRAWS))
    smallest = [detected(made, critical) for made in family]
    return Detectable(_mean(smallest[: len(to_base)]), _mean(smallest[len(to_base) :]))


def _expected(
    settings: Mapping[str, int], pairs: Sequence[tuple[str, str]], units: int, variances: Variances
) -> list[Contrast]:
    """The comparisons of a study that varies exactly as much as is expected.

    Items are drawn, for how comparisons correlate; then each comparison is given its true variance, since that of one
    study, or of a dozen, says little: with 14 degrees of freedom it is off by a third.
    """
    rng, runs = np.random.default_rng(SEED), {**settings, BASE: 1}
    items = {name: rng.normal(0, math.sqrt(variances.settings + variances.residual / count), units)
             for name, count in runs.items()}  # fmt: skip
    freedom = sum(count - 1 for count in settings.values())
    residual = variances.residual / units
    pooled = RunVariance(variances.seeds + residual, residual, freedom) if freedom else None
    family: list[Contrast] = []
    for one, other in pairs:
        drawn = items[one] - items[other]
        true = 2 * variances.settings + variances.residual * (1 / runs[one] + 1 / runs[other])
        by_item = (drawn - drawn.mean()) / drawn.std(ddof=1) * math.sqrt(true)
        luck = {name: sign / math.sqrt(runs[name]) for name, sign in ((one, 1), (other, -1)) if name != BASE}
        spread = contrast_spread(by_item, pooled, sum(part**2 for part in luck.values()))
        family.append(Contrast(np.arange(units), by_item, by_item, spread, luck, pooled))
    return family


def _mean(figures: Sequence[float | None]) -> float | None:
    """The mean of figures; None if there are none, or some difference is never found."""
    known = [figure for figure in figures if figure is not None]
    return float(np.mean(known)) if known and len(known) == len(figures) else None
