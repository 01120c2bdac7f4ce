"""Families of comparisons: as many false findings as promised, and differences found as often as promised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.validity import LEVELS, Condition, between_equals, compared, covered, studies
from eval.analysis.families import Arm, compare_combinations, compare_family, contrast, step_down
from eval.analysis.stats import contributions
from eval.analysis.variance import run_variance

CONDITIONS = [Condition(1, 0.0, 50), Condition(3, 1.6, 50)]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_false_findings_and_power_at_the_printed_figure(condition: Condition) -> None:
    """100 simulated studies each; the full table is `benchmarks/validity.py`'s."""
    null: Any = [compared(study, draws=500) for study in studies(condition, 100)]
    false = np.mean([any(each.p_adjusted < 0.05 for each in family) for family in null])
    assert false <= 0.10, false
    printed = float(np.mean([family[-1].detectable for family in null]))
    real: Any = [compared(study, draws=500)[-1] for study in studies(condition, 100, gain=100 * printed, seed=1)]
    power = np.mean([each.p_adjusted < 0.05 for each in real])
    assert 0.65 <= power <= 0.93, power


def test_one_run_says_nothing_of_mixtures_and_three_do() -> None:
    """60 simulated studies each of equal mixtures, whose seeds differ by 3.2 points: p-values of single runs are of
    these very models, and small ones are common; those of three runs are of the mixtures."""
    of_models, of_mixtures = (between_equals(Condition(runs, 3.2, 250), 60, draws=300)[0] for runs in (1, 3))
    assert of_models > 0.2 and of_mixtures < 0.10, (of_models, of_mixtures)
    arms = [Arm(name, np.random.default_rng(place).random((1, 20, 1))) for place, name in enumerate("ab")]
    (found,) = compare_family([(arms[0], arms[1])], None)
    assert found.test.endswith("of these trained models")


def test_adjusted_p_values_go_up_and_keep_the_order() -> None:
    rng = np.random.default_rng(0)
    observed = np.array([3.5, 0.2, 2.2])
    adjusted = step_down(observed, np.abs(rng.standard_normal((20_000, 3))))
    assert adjusted[0] < adjusted[2] < adjusted[1]
    assert adjusted[0] == pytest.approx(1 - (1 - 0.000465) ** 3, rel=0.4)
    assert adjusted[2] == pytest.approx(1 - (1 - 0.0278) ** 2, rel=0.1), "against the largest of what is left"
    together = step_down(np.array([2.2, 2.1]), np.abs(rng.standard_normal((20_000, 1))).repeat(2, axis=1))
    assert together[0] == pytest.approx(0.0278, rel=0.1), "the same test twice is one"


def test_comparisons_that_cannot_be_made_are_blank_and_touch_no_other() -> None:
    rng = np.random.default_rng(0)
    base, one = Arm("base", rng.random((1, 40, 2)), has_seed=False), Arm("a", rng.random((1, 40, 2)) + 0.3)
    blank, same = Arm("b", np.full((1, 40, 2), np.nan)), Arm("c", base.values)
    found: Any = compare_family([(one, base), (blank, base), (same, base)], None)
    (alone,) = compare_family([(one, base)], None)
    assert (found[1].difference, found[1].p, found[1].items) == (None, None, 0)
    assert (found[2].difference, found[2].p, found[2].low) == (0.0, 1.0, None)
    assert found[0].p == alone.p and found[0].p_adjusted == alone.p_adjusted and found[0].p < 0.001


def test_a_family_counts_clusters() -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(10), 20)
    gains = rng.normal(0.05, 0.2, 10)[codes]
    base = rng.random((1, 200, 1))
    arms = Arm("a", base + gains[None, :, None]), Arm("base", base, has_seed=False)
    items: Any = compare_family([arms], None)[0]
    clusters: Any = compare_family([arms], None, codes)[0]
    assert (items.items, clusters.items) == (200, 10)
    assert clusters.difference == pytest.approx(items.difference) and clusters.p > 3 * items.p


@pytest.mark.parametrize(("runs", "seeds"), [(2, 1.6), (3, 3.2)])
@pytest.mark.parametrize("pooled", [True, False])
def test_tails_are_right_against_the_base(runs: int, seeds: float, pooled: bool) -> None:
    """300 simulated studies without an effect: P(p < α) / α at .05, .01 and .002, with few runs, pooled or alone."""
    p_values: list[float] = []
    for study in studies(Condition(runs, seeds, 50), 300):
        base = Arm("base", study[0][:1], has_seed=False)
        tables = [contributions(values) for values in study[1:]]
        for place, values in enumerate(study[1:]):
            between = run_variance(tables if pooled else [tables[place]])
            made = contrast(Arm("one", values), base, between, None)
            assert made is not None
            p_values.append(made.spread.p_value(made.mean))
    shares = [np.mean(np.array(p_values) < level) / level for level in LEVELS]
    assert all(share <= most for share, most in zip(shares, (1.25, 1.5, 2.5), strict=True)), shares
    if pooled:
        assert shares[0] >= 0.7 and shares[1] >= 0.4, shares


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("mean", [0.4, 0.02])
def test_intervals_of_two_runs_cover(pooled: bool, mean: float) -> None:
    """250 simulated settings of right and wrong answers: two runs whose seeds differ by 1.6 points, rare ones too."""
    assert covered(Condition(2, 1.6, 50), 250, mean, pooled) >= 0.93


def test_differences_that_vary_over_nothing_are_no_certainty() -> None:
    """Two runs that are alike, of items that all change alike: p is that of sign flips, and there is no interval."""
    base, change = np.random.default_rng(0).random((1, 4, 1)), 0.1 + 0.2
    arms = Arm("one", np.concatenate([base + change, base + change])), Arm("base", base, has_seed=False)
    between = run_variance([contributions(arms[0].values)])
    (found,) = compare_family([arms], between)
    assert found.p == 0.125 and found.low is None


def test_comparisons_in_other_languages_have_run_variances_of_their_own() -> None:
    """40 simulated matrices without transfer, of runs that differ by 6 points in one language and by 0 in another."""
    false, narrow, wide = 0, 0.0, 0.0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        luck = rng.normal(0, 1, (6, 3, 1, 2)) * [0.0, 0.06]
        values = 0.5 + luck + rng.normal(0, 0.3, (6, 3, 60, 2))
        base = Arm("base", 0.5 + rng.normal(0, 0.3, (1, 60, 2)), has_seed=False)
        pairs, pools = [], []
        for language in range(2):
            here = [slice(None), slice(None), [language]]
            tables = [contributions(setting[*here]) for setting in values]
            for place, setting in enumerate(values):
                pairs.append((Arm(f"{place} in {language}", setting[*here]), Arm("base", base.values[*here], False)))
                pools.append(run_variance(tables))
        found: Any = compare_family(pairs, pools, draws=500)
        false += any(each.p_adjusted < 0.05 for each in found)
        narrow, wide = narrow + found[0].high - found[0].low, wide + found[-1].high - found[-1].low
    assert false <= 6 and wide > 1.2 * narrow


def test_a_mean_of_several_varies_less_and_its_runs_are_those_of_all() -> None:
    rng = np.random.default_rng(0)
    base = Arm("base", rng.random((1, 200, 1)), has_seed=False)
    arms = [Arm(name, rng.random((3, 200, 1)) + rng.normal(0, 0.05, (3, 1, 1))) for name in "abcd"]
    between = run_variance([contributions(arm.values) for arm in arms])
    (alone,) = compare_family([(arms[0], base)], between)
    (together,) = compare_combinations([[*((0.25, arm) for arm in arms), (-1.0, base)]], between)
    assert together.difference == pytest.approx(np.mean([arm.values.mean() for arm in arms]) - base.values.mean())
    widths = [made.high - made.low for made in (alone, together) if made.low is not None and made.high is not None]
    assert len(widths) == 2 and widths[1] < 0.7 * widths[0] and together.runs == 3


def test_flips_of_few_items_that_can_find_nothing_detect_nothing() -> None:
    rng = np.random.default_rng(0)
    base, one = (Arm(name, rng.random((1, 4, 1)), has_seed=False) for name in ("base", "one"))
    (found,) = compare_family([(one, base)], None)
    assert found.difference is not None and found.detectable is None, "the least p of four items is .125"
