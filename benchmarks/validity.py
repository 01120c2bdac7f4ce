"""Do the statistics hold what they promise? Simulated studies of right and wrong answers, whose truth is known.

    python benchmarks/validity.py [STUDIES]

A study has a base and eight amounts, each trained under 1, 3 or 5 seeds, and 50 or 250 items in three languages. Items,
items in a language, items under a setting, seeds, and an item under a seed all have effects of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from eval.analysis.families import Arm, compare_family
from eval.analysis.stats import Difference, contributions
from eval.analysis.variance import Floats, run_variance

AMOUNTS, LANGUAGES, DRAWS = 8, 3, 1000


class Condition(NamedTuple):
    """What kind of studies are simulated."""

    runs: int
    seeds: float
    """The standard deviation of seeds, in points."""
    items: int


CONDITIONS = [
    Condition(runs, seeds, items) for runs in (1, 3, 5) for seeds in (0.0, 1.6, 3.2) for items in (50, 250)
    if runs > 1 or not seeds
]  # fmt: skip


def studies(condition: Condition, count: int, gain: float = 0.0, mean: float = 0.4, seed: int = 0) -> Iterator[Floats]:
    """Scores (base and amounts, runs, items, languages); the last amount truly gains so many points."""
    rng = np.random.default_rng([seed, condition.runs, int(10 * condition.seeds), condition.items])
    runs, items = condition.runs, condition.items
    for _ in range(count):
        share = mean + rng.normal(0, 0.15 * min(1, 2.5 * mean), (1, 1, items, 1))
        share = share + rng.normal(0, 0.06 * min(1, 2.5 * mean), (1, 1, items, LANGUAGES))
        share = share + rng.normal(0, 0.04, (AMOUNTS + 1, 1, items, 1))
        luck = rng.normal(0, condition.seeds / 100, (AMOUNTS + 1, runs, 1, 1))
        luck[0] = 0  # the base has no seed
        share = share + luck
        share[-1] += gain / 100
        yield (rng.random(share.shape) < np.clip(share, 0.005, 0.995)).astype(np.float64)


def compared(study: Floats, draws: int = DRAWS) -> list[Difference]:
    """The primary family: every amount against the base, and against the first."""
    base = Arm("base", study[0][:1], has_seed=False)
    arms = [Arm(str(place), values) for place, values in enumerate(study[1:])]
    between = run_variance([contributions(arm.values) for arm in arms])
    pairs = [(arm, base) for arm in arms] + [(arm, arms[0]) for arm in arms[1:]]
    return compare_family(pairs, between, draws=draws)


class Row(NamedTuple):
    """What came out of the studies of one condition."""

    condition: Condition
    false: float
    """Studies with a false finding among the family's 15 comparisons."""
    tails: tuple[float, ...]
    """P(p < α) / α at .05, .01 and .002, of single comparisons."""
    printed: float
    """The detectable difference, in points."""
    power: float
    """How often a true difference of that size is found."""


def measured(condition: Condition, count: int) -> Row:
    """False findings and tails in studies without effects, power in others with one."""
    null = [compared(study) for study in studies(condition, count)]
    p_values = np.array([each.p for family in null for each in family])
    false = float(np.mean([any((each.p_adjusted or 0) < 0.05 for each in family) for family in null]))
    printed = 100 * float(np.mean([family[-1].detectable or np.nan for family in null]))
    real = [compared(study)[-1] for study in studies(condition, count, gain=printed, seed=1)]
    power = float(np.mean([(each.p_adjusted or 0) < 0.05 for each in real]))
    return Row(condition, false, tuple((p_values < level).mean() / level for level in LEVELS), printed, power)


LEVELS = (0.05, 0.01, 0.002)

if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print("| runs | seeds, points | items | false findings | P(p < α)/α at .05, .01, .002 | printed, points | power |")
    print("| ---: | ---: | ---: | ---: | --- | ---: | ---: |")
    for condition in CONDITIONS:
        row = measured(condition, wanted)
        tails = ", ".join(f"{tail:.2f}" for tail in row.tails)
        print(
            f"| {condition.runs} | {condition.seeds:g} | {condition.items} | {100 * row.false:.1f} % | {tails} "
            f"| {row.printed:.1f} | {100 * row.power:.0f} % |",
            flush=True,
        )
