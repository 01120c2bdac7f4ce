"""The difference that a study will be able to detect, before it is made.

A study is drawn as it will be analysed, from assumed or earlier variances, and its comparisons give their figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.analysis.comparisons import arm_of, run_tables
from eval.analysis.design import BASE, Design
from eval.analysis.families import Arm, compare_family, contrast
from eval.analysis.panel import Panel
from eval.analysis.variance import run_variance

STUDIES = 12
"""Drawn for one figure."""
DRAWS = 1000
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
    """Those of an earlier study, of its settings against its base; None where these cannot be compared.

    Where each setting has one run, what seeds do is assumed, and so is what settings do to single items.
    """
    names = design.there(panel)
    if BASE not in names:
        return None
    tables = run_tables(panel, design, dict.fromkeys(names, languages))
    between = run_variance(tables)
    base = arm_of(panel, design, BASE, languages)
    made = [contrast(arm_of(panel, design, name, languages), base, None, panel.clusters)
            for name in names if name != BASE]  # fmt: skip
    counts = [len(design.present(name, panel)) for name in names if name != BASE]
    known = [(contrast, runs) for contrast, runs in zip(made, counts, strict=True) if contrast]
    if not known:
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

    The mean figure of some studies drawn without effects. Two units and one comparison at least, else blank.
    """
    rng = np.random.default_rng(SEED)
    to_base = [(name, BASE) for name in settings] if with_base else []
    between = [(name, other) for name, other in references.items() if other != name and {name, other} <= set(settings)]
    if units < 2 or not (to_base or between):
        return Detectable(None, None)
    smallest = [_drawn(rng, settings, [*to_base, *between], units, variances) for _ in range(STUDIES)]
    means = np.mean(smallest, axis=0)
    split = len(to_base)
    return Detectable(*(float(part.mean()) if len(part) else None for part in (means[:split], means[split:])))


def _drawn(
    rng: np.random.Generator,
    settings: Mapping[str, int],
    pairs: Sequence[tuple[str, str]],
    units: int,
    variances: Variances,
) -> list[float]:
    """The figures of one study's comparisons."""
    tables = {
        name: rng.normal(0, math.sqrt(variances.settings), units)
        + rng.normal(0, math.sqrt(variances.residual), (runs, units))
        + rng.normal(0, 0.0 if name == BASE else math.sqrt(variances.seeds), (runs, 1))
        for name, runs in {**settings, BASE: 1}.items()
    }
    arms = {name: Arm(name, table[:, :, None], has_seed=name != BASE) for name, table in tables.items()}
    pooled = run_variance([table for name, table in tables.items() if name != BASE])
    family = compare_family([(arms[one], arms[other]) for one, other in pairs], pooled, draws=DRAWS)
    return [made.detectable or math.nan for made in family]
