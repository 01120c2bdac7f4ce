"""Intervals are honest: unscored is not zero, undefined is blank, translations are one cluster, seeds are a level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats as distributions

from eval.analysis.stats import (
    Difference,
    bootstrap_means,
    clustered,
    contributions,
    differences,
    estimate,
    holm,
    interval,
    rare_share,
    ratio,
    sign_flip_p_values,
    wilson,
)
from eval.analysis.variance import Spread, contrast_spread, run_variance, spread

NAN = float("nan")


def one_run(rows: object) -> np.ndarray:
    """Scores of one run: shape (1, items, languages)."""
    return np.array(rows, dtype=np.float64)[None]


def difference(one: np.ndarray, other: np.ndarray) -> Difference:
    return differences([(one, other)])[0]


def test_wilson_as_published() -> None:
    # Newcombe (1998), table I: 81/263 and 0/20
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    for trials in range(1, 100):
        assert wilson(0.0, trials)[0] == 0.0 and wilson(1.0, trials)[1] == 1.0, "to the last bit"


def test_nothing_scored_is_blank_and_missing_is_not_zero() -> None:
    assert estimate(one_run([[NAN], [NAN]])).mean is None
    partly = estimate(one_run([[1.0], [NAN], [1.0]]))
    assert (partly.n, partly.mean) == (2, 1.0)
    assert estimate(one_run([[1.0, NAN], [1.0, NAN]])).mean is None  # one language has no score at all


def test_scores_that_never_vary_still_have_an_interval() -> None:
    never = estimate(np.zeros((1, 20, 4)))
    assert never.low == 0.0 and never.high == pytest.approx(0.1611, abs=5e-5)


def test_graded_scores_that_never_vary_have_no_interval() -> None:
    for value, ends in ((0.0, (0.0, 1.0)), (1.0, (0.0, 1.0)), (5.0, (1.0, 5.0))):
        same = estimate(np.full((1, 20, 2), value), ends=ends, graded=True)
        assert (same.low, same.mean, same.high) == (None, value, None), "a share's interval is no other figure's"
    for middling in (estimate(np.full((1, 20, 2), 3.0), ends=(1.0, 5.0)), estimate(np.full((3, 20, 2), 3.0))):
        assert (middling.low, middling.mean, middling.high) == (None, 3.0, None), "no variation is no certainty"
    one_of_many = np.full((1, 250, 1), NAN)
    one_of_many[0, 0] = 3.0
    assert (estimate(one_of_many, ends=(1.0, 5.0)).n, estimate(one_of_many, ends=(1.0, 5.0)).low) == (1, None)
    whole = ratio(
        np.full((1, 20, 1), 1.0), np.full((1, 20, 1), 4.0) + np.arange(20).reshape(1, 20, 1) / 20, ends=(1.0, 5.0)
    )
    assert whole.low >= whole.mean - 1e-3, "the worst rating is not the best"


def test_translations_count_as_one_cluster() -> None:
    """Four languages that agree item by item are no more certain than one."""
    rng = np.random.default_rng(0)
    one = rng.random((1, 60, 1))
    alone, together = estimate(one), estimate(np.repeat(one, 4, axis=2))
    assert together.mean == pytest.approx(alone.mean)
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))
    spread_out = estimate(rng.random((1, 60, 4)))
    assert spread_out.high - spread_out.low < alone.high - alone.low


def test_the_interval_has_the_width_of_the_standard_error() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, (1, 400, 1))
    found = estimate(values)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)
    assert spread(contributions(values)).half_width == pytest.approx(1.96 * values.std() / 20, rel=0.01)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=20))
def test_the_interval_holds_the_mean(rows: list[list[float]]) -> None:
    found = estimate(one_run(rows))
    assume(found.low is not None)  # items that are all alike
    assert found.low - 1e-6 <= found.mean <= found.high + 1e-6


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(2, 30), st.integers(1, 4), st.floats(0, 0.5))
def test_what_items_contribute_adds_up_to_the_mean(seed: int, items: int, languages: int, missing: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.random((2, items, languages))
    values[rng.random(values.shape) < missing] = NAN
    values[:, 0] = 0.5  # something is scored in every language
    expected = np.nanmean(values, axis=1).mean(axis=1)
    assert contributions(values).mean(axis=1) == pytest.approx(expected)
    assert bootstrap_means(values, 5).shape == (5, 2, languages)


def test_languages_with_items_of_their_own_add_their_variances() -> None:
    rng = np.random.default_rng(2)
    values = np.full((1, 300, 3), NAN)
    for language in range(3):
        values[0, language * 100 : (language + 1) * 100, language] = rng.random(100)
    errors = [np.nanstd(values[0, :, language], ddof=1) / 10 for language in range(3)]
    assert spread(contributions(values)).error == pytest.approx(np.sqrt(np.square(errors).sum()) / 3, rel=0.02)


def test_intervals_of_runs_stay_on_the_scale() -> None:
    values = np.zeros((2, 16, 1))
    values[0, 0, 0] = 1.0
    found = estimate(values)
    assert 0.0 <= found.low < 1e-9 and found.mean < found.high <= 1.0


def test_a_ratio_to_noise_is_undefined() -> None:
    zeros, ones = np.zeros((1, 10, 1)), np.ones((1, 10, 1))
    assert ratio(ones, zeros).mean is None
    assert ratio(ones / 2, ones).mean == pytest.approx(0.5)
    for clusters in range(2, 30):  # as few as templates are: nothing right of anything is no denominator
        codes = np.repeat(np.arange(clusters), 2)
        assert ratio(np.ones((1, 2 * clusters, 1)), np.zeros((1, 2 * clusters, 1)), clusters=codes).mean is None
    one_in_sixteen = one_run([[1.0]] + [[0.0]] * 15)
    assert ratio(np.zeros((1, 16, 3)), one_in_sixteen).mean is None
    never = ratio(np.zeros((1, 20, 3)), one_run([[1.0], [0.5]] * 10))
    assert (never.mean, never.low) == (0.0, 0.0) and never.high > 0.15


def test_a_ratio_of_runs_that_cannot_be_below_0_has_no_such_interval() -> None:
    above, below = np.zeros((3, 20, 1)), np.ones((3, 20, 1))
    above[0, :2] = 1.0
    found = ratio(above, below)
    assert found.low == 0.0 and found.mean == pytest.approx(2 / 60) and found.high > 0.1
    assert ratio(above, below, ends=(-1.0, 1.0)).low < 0, "a score below 0 can make one"


def test_a_ratio_of_runs_agrees_with_that_of_one_with_as_many_items() -> None:
    rng = np.random.default_rng(3)
    above, below = rng.random((3, 400, 2)), 1 + rng.random((3, 400, 1))
    several = ratio(above, below)
    single = ratio(above[:1], below[:1])
    assert several.mean == pytest.approx(above.mean() / below.mean())
    assert several.low < several.mean < several.high and single.low < single.mean < single.high
    assert several.high - several.low < 2 * (single.high - single.low)


def studies(runs: int, seeds: float, count: int, items: int = 100, settings: int = 1) -> np.ndarray:
    """Simulated studies of true mean 0, with item and seed effects: (studies, settings, runs, items, 3 languages)."""
    rng = np.random.default_rng(int(1000 * seeds) + runs)
    by_item = rng.normal(0, 0.3, (count, 1, 1, items, 1))
    by_run = rng.normal(0, seeds, (count, settings, runs, 1, 1))
    return by_item + by_run + rng.normal(0, 0.3, (count, settings, runs, items, 3))


@pytest.mark.parametrize(("runs", "seeds"), [(2, 0.02), (3, 0.0), (3, 0.02), (3, 0.1), (5, 0.05)])
def test_intervals_of_runs_pooled_over_settings_cover_and_tails_are_right(runs: int, seeds: float) -> None:
    """500 simulated studies of eight settings: coverage, and how often equals are told apart."""
    covered: list[bool] = []
    p_values: list[float] = []
    for study in studies(runs, seeds, 500, settings=8):
        tables = [contributions(values) for values in study]
        between = run_variance(tables)
        covered.append(spread(tables[0], between).p_value(float(tables[0].mean())) >= 0.05)
        for one, other in ((1, 2), (3, 4), (5, 6)):
            gap = tables[one].mean(axis=0) - tables[other].mean(axis=0)
            p_values.append(contrast_spread(gap, between, 2 / runs).p_value(float(gap.mean())))
    assert 0.925 <= np.mean(covered) <= 0.975
    assert 0.03 <= np.mean(np.array(p_values) < 0.05) <= 0.07
    assert np.mean(np.array(p_values) < 0.01) <= 0.018


@pytest.mark.parametrize(("runs", "seeds"), [(2, 0.02), (3, 0.1)])
def test_few_runs_that_nothing_is_pooled_with_are_unsure_rather_than_wrong(runs: int, seeds: float) -> None:
    p_values = [spread(table).p_value(float(table.mean())) for table in
                (contributions(study[0]) for study in studies(runs, seeds, 2000))]  # fmt: skip
    for level, most in ((0.05, 0.06), (0.01, 0.014), (0.002, 0.004)):
        assert np.mean(np.array(p_values) < level) <= most, level


@pytest.mark.parametrize("freedom", [1, 2, 4, 16])
def test_runs_alone_are_the_t_distribution_far_into_its_tails(freedom: int) -> None:
    alone = Spread(0.0, 1e9, 1.0, freedom)
    for p in (0.05, 0.01, 0.002, 1e-4):
        assert alone.p_value(float(distributions.t.isf(p / 2, freedom))) == pytest.approx(p, rel=5e-3)
    assert alone.half_width == pytest.approx(distributions.t.isf(0.025, freedom), rel=1e-3)
    power = distributions.nct.sf(alone.half_width, freedom, alone.detectable())
    assert power == pytest.approx(0.8, abs=0.01)


def test_the_bootstrap_covers_and_sign_flips_reject_as_they_should() -> None:
    made = studies(1, 0.0, 2000, items=80, settings=2)
    gaps = np.stack([contributions(study[0] - study[1])[0] for study in made])
    p_values = np.array(sign_flip_p_values(gaps, replicates=2000))
    assert 0.04 <= (p_values < 0.05).mean() <= 0.06
    lows, highs = interval(bootstrap_means(gaps[:, :, None], replicates=2000)[:, :, 0], items=80)
    assert 0.94 <= ((lows <= 0) & (highs >= 0)).mean() <= 0.96


def test_runs_that_are_alike_have_their_own_degrees_of_freedom() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        found = spread(rng.normal(0, 1, (3, 50)) + rng.normal(0, 0.1, 50))
        assert found.run_freedom == 2 and found.half_width < 1.6, "the table's own deviation is 1, over 150 scores"


def test_the_bootstrap_of_few_items_is_wide_enough() -> None:
    values = np.random.default_rng(8).normal(0, 1, (3000, 12))
    lows, highs = interval(bootstrap_means(values[:, :, None], replicates=2000)[:, :, 0], items=12)
    assert 0.93 <= ((lows <= 0) & (highs >= 0)).mean() <= 0.96


def test_sign_flips_are_exact_where_few_items_differ() -> None:
    few = np.array([[0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]])
    assert sign_flip_p_values(few) == [pytest.approx(2 / 32)]
    assert sign_flip_p_values(np.zeros((1, 30))) == [1.0]
    won, lost = 40, 20  # McNemar's exact test is this one for right and wrong
    many = np.array([[1.0] * won + [-1.0] * lost + [0.0] * 100])
    exact = distributions.binomtest(won, won + lost).pvalue
    assert sign_flip_p_values(many)[0] == pytest.approx(exact, abs=0.005)


def test_differences_are_paired_by_item() -> None:
    rng = np.random.default_rng(4)
    items = rng.normal(0, 1, (1, 200, 1))
    one, other = items + rng.normal(0.1, 0.1, (1, 200, 2)), items + rng.normal(0, 0.1, (1, 200, 2))
    found = difference(one, other)
    assert found.difference == pytest.approx(0.1, abs=0.03) and found.p < 0.01
    assert found.high - found.low < 0.06 < estimate(one).high - estimate(one).low
    back = difference(other, one)
    assert (back.difference, back.low, back.high) == pytest.approx(
        (-found.difference, -found.high, -found.low), abs=2e-3
    )
    assert found.detectable == pytest.approx(2.8 * np.std((one - other).mean(axis=2)) / np.sqrt(200), rel=0.05)


def test_only_items_that_both_have_are_compared() -> None:
    one, other = one_run([[1.0], [1.0], [NAN], [0.0]]), one_run([[0.0], [NAN], [1.0], [0.0]])
    found = difference(one, other)
    assert (found.items, found.difference) == (2, 0.5)
    assert difference(one_run([[1.0], [NAN]]), one_run([[0.0], [1.0]])).difference is None


@pytest.mark.parametrize("runs", [1, 3])
def test_items_of_other_languages_make_nothing_surer(runs: int) -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random((2, runs, 5, 1))
    among = [np.concatenate([each, np.full((runs, 35, 1), np.nan)], axis=1) for each in (one, other)]
    assert difference(*among) == difference(one, other)
    alone, with_others = estimate(one), estimate(among[0])
    assert (with_others.mean, with_others.n) == (pytest.approx(alone.mean), alone.n)
    if runs > 1:
        assert (with_others.low, with_others.high) == pytest.approx((alone.low, alone.high))


def test_differences_that_vary_over_no_item_have_no_interval() -> None:
    same = difference(np.zeros((1, 20, 2)), np.zeros((1, 20, 2)))
    assert (same.difference, same.low, same.high, same.p, same.detectable) == (0.0, None, None, 1.0, None)


def test_one_run_is_compared_with_each_of_several() -> None:
    rng = np.random.default_rng(5)
    several, one = rng.random((3, 50, 2)) + 0.5, rng.random((1, 50, 2))
    found = difference(several, one)
    assert found.runs == 3 and found.difference == pytest.approx(several.mean() - one.mean())
    assert found.test == "t over items and 3 runs" and found.p < 0.05


def test_a_difference_found_is_no_smaller_for_company() -> None:
    """Several comparisons at once are each the one alone."""
    rng = np.random.default_rng(6)
    pairs = [(rng.random((1, 40, 2)), rng.random((1, 40, 2))) for _ in range(3)]
    together = differences(pairs)
    for pair, found in zip(pairs, together, strict=True):
        alone = difference(*pair)
        assert (alone.difference, alone.low, alone.p) == pytest.approx((found.difference, found.low, found.p), abs=1e-6)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_holm_adjusts_upwards_and_keeps_the_order(p_values: list[float | None]) -> None:
    adjusted = holm(p_values)
    known = [(p, a) for p, a in zip(p_values, adjusted, strict=True) if p is not None and a is not None]
    assert [a is None for a in adjusted] == [p is None for p in p_values]
    assert all(p <= a <= 1 for p, a in known)
    assert [a for _, a in sorted(known)] == sorted(a for _, a in known)


def test_holm_as_in_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, None]) == pytest.approx([0.03, 0.06, 0.06, None])


def test_clusters_stand_for_their_items() -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(12), 20)
    values = (rng.normal(0.5, 0.3, (12, 1))[codes] + rng.normal(0, 0.1, (240, 1)))[None]
    alone, together = estimate(values), estimate(values, clusters=codes)
    assert together.mean == alone.mean and (together.high - together.low) > 3 * (alone.high - alone.low)
    own = estimate(values, clusters=np.arange(240))
    assert own.high - own.low == pytest.approx(alone.high - alone.low, rel=0.1)
    table = contributions(rng.random((2, 7, 2)))
    uneven = clustered(table, np.array([0, 0, 0, 1, 1, 2, 2]))
    assert uneven.shape == (2, 3) and uneven.mean(axis=1) == pytest.approx(table.mean(axis=1))


def test_intervals_of_clusters_cover() -> None:
    codes, held = np.repeat(np.arange(15), 10), 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        values = (rng.normal(0, 0.3, 15)[codes] + rng.normal(0, 0.2, 150))[None, :, None]
        found = estimate(values, ends=(-9.0, 9.0), clusters=codes)
        held += found.low <= 0 <= found.high
    assert 0.91 <= held / 400 <= 0.98


@pytest.mark.parametrize("runs", [1, 3])
def test_intervals_of_rare_outcomes_cover(runs: int) -> None:
    """Two of 100 right, in three languages: at least 94 % of the intervals hold the truth, and none reaches below 0."""
    rng, held = np.random.default_rng(runs), 0
    for _ in range(500):
        chance = rng.beta(0.2, 9.8, (1, 100, 1))
        found = estimate((rng.random((runs, 100, 3)) < chance).astype(np.float64))
        held += found.low is not None and found.low <= 0.02 <= found.high
        assert found.low is None or found.low >= 0
    assert held / 500 >= 0.94
    assert rare_share(0.02, 0.02, 300)[1] > 0.04
