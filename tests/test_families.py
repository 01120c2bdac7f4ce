"""Families of comparisons: as many false findings as promised, and differences found as often as promised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.validity import Condition, compared, studies
from eval.analysis.families import Arm, compare_family, step_down

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
