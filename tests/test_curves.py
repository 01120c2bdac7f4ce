"""Curves over amounts: what is chosen among several is told without the luck of the choice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.validity import GROUPS, CurveCondition, curve_study, others_of, panel_of_curve
from eval.analysis.best import standings
from eval.analysis.curves import curve_findings, gap_closed, interval_of_rho, seen_unseen_correlation, spearman
from eval.analysis.families import Arm
from eval.analysis.groups import OTHERS
from eval.analysis.halves import half_means, highest
from eval.analysis.selection import highest_settings
from eval.analysis.stats import Floats, contributions
from eval.analysis.variance import run_variance
from eval.report.findings import sentences
from tests.support import REPOSITORY, harness

GUIDE = REPOSITORY.parent / "shared" / "data" / "guide_tables.csv"


def studies(condition: CurveCondition, count: int, rise: float = 0.0) -> Iterator[Floats]:
    """Studies in English, French and Japanese, of eight points whose means rise to so many points more."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield curve_study(rng, condition, rise)


def gap_of(study: Floats) -> Any:
    """The gap that a study's curve closes."""
    panel, design = panel_of_curve(study)
    return gap_closed(panel, [list(names) for names in design.settings.values()], GROUPS, draws=500)


def correlation_of(study: Floats) -> Any:
    """How a study's seen and unseen means go together."""
    panel, design = panel_of_curve(study)
    return seen_unseen_correlation(panel, [list(names) for names in design.settings.values()], GROUPS)


@given(st.integers(1, 4), st.integers(2, 9), st.integers(0, 99))
def test_halves_have_nothing_in_common_and_together_all(runs: int, items: int, seed: int) -> None:
    """Of a table whose entries are apart, a half's mean is that of half its items in half its runs."""
    rng = np.random.default_rng(seed)
    table = rng.random((runs, items))
    halves = half_means([table, table], splits=6)
    assert halves.shape == (12, 2, 2)
    assert np.allclose(halves[:6], halves[6:, ::-1]) and np.allclose(halves[..., 0], halves[..., 1])
    of_items = half_means([np.ones((runs, 1)) * np.arange(items)], splits=6)[:6, :, 0]
    assert np.allclose(of_items @ [items // 2, items - items // 2], sum(range(items))), "each item is in one half"
    if runs > 1:
        of_runs = half_means([np.arange(runs)[:, None] * np.ones((1, items))], splits=6)[:6, :, 0]
        assert np.allclose(of_runs @ [runs // 2, runs - runs // 2], sum(range(runs))), "each run is in one half"


@pytest.mark.parametrize("runs", [1, 3])
def test_the_highest_of_equals_looks_better_than_it_is_but_for_the_half_it_was_not_chosen_on(runs: int) -> None:
    """200 simulated studies of eight settings whose true mean is 0.4."""
    honest: list[float] = []
    plain: list[float] = []
    covered = 0
    for study in studies(CurveCondition(runs, 1.6 if runs > 1 else 0.0, 100), 200):
        tables = [contributions(values) for values in study[:, :, :, 1:]]
        chosen = highest(tables, run_variance(tables))
        honest.append(chosen.mean)
        plain.append(max(table.mean() for table in tables))
        covered += abs(chosen.mean - 0.4) <= chosen.half_width
    assert abs(np.mean(honest) - 0.4) < 0.004 < 0.015 < np.mean(plain) - 0.4
    assert covered >= 184


@pytest.mark.parametrize("runs", [1, 3])
def test_the_gap_closed_of_a_flat_ratio_is_zero_on_average_and_rarely_found(runs: int) -> None:
    """200 simulated studies: unbiased, covered, and p-values below 0.05 in 5 % at most; as published it is positive."""
    made = [gap_of(study) for study in studies(CurveCondition(runs, 1.6 if runs > 1 else 0.0, 100), 200)]
    means = [one.estimate.mean for one in made]
    assert abs(np.mean(means)) < 0.01 and min(means) < 0, "neither biased nor clipped"
    assert np.mean([one.published for one in made]) > 0.03
    assert np.mean([one.estimate.low <= 0 <= one.estimate.high for one in made]) >= 0.93
    assert np.mean([one.p < 0.05 for one in made]) <= 0.08


@pytest.mark.parametrize("runs", [1, 3, 5])
def test_the_gap_closed_is_covered_where_one_point_is_best(runs: int) -> None:
    """300 simulated studies of a rise by a third, whose runs differ by 2 points."""
    covered = 0
    for study in range(300):
        rng = np.random.default_rng(study)
        hard, luck = rng.normal(0, 0.2, (100, 1)), rng.normal(0, 0.02 if runs > 1 else 0, (3, runs, 1, 1))
        means = np.array([(0.6, 0.3, 0.3), (0.6, 0.4, 0.4), (0.6, 0.5, 0.5)])[:, None, None, :]
        closed = gap_of(means + hard + luck + rng.normal(0, 0.2, (3, runs, 100, 3))).estimate
        covered += closed.low <= 1 / 3 <= closed.high
    assert 0.92 <= covered / 300 <= 0.98


def test_a_rise_is_found_and_a_fall_is_no_rise() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, (3, 1, 60, 3))

    def closed(*shares: float) -> Any:
        means = np.array([(0.5, 0.5 * share, 0.5 * share) for share in shares])[:, None, None, :]
        return gap_of(means + noise)

    up, down = closed(0.5, 0.6, 0.9), closed(0.9, 0.5, 0.4)
    assert up.estimate.mean == pytest.approx(0.4, abs=0.05) and up.p < 0.01
    assert down.estimate.mean == pytest.approx(0, abs=1e-9) and (down.p, down.published) == (1.0, 0.0)


@pytest.mark.parametrize("runs", [1, 3])
def test_gap_closed_is_undefined_where_the_pivot_is_noise(runs: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 0.1, (2, runs, 40, 3))
    values[0, :, :, 0] = rng.normal(0.02, 0.3, (runs, 40))
    made = gap_of(values)
    assert (made.estimate.mean, made.p, made.published) == (None, None, None) and made.estimate.n == 2 * runs * 120


@pytest.mark.parametrize(("runs", "seeds"), [(1, 0.0), (2, 1.6), (3, 3.2)])
def test_seen_and_unseen_of_a_flat_truth_do_not_correlate(runs: int, seeds: float) -> None:
    """150 simulated studies of eight points; luck that runs have in both means makes the published one positive."""
    made = [correlation_of(study) for study in studies(CurveCondition(runs, seeds, 100), 150)]
    assert abs(np.mean([one.rho for one in made])) < 0.08
    assert np.mean([one.interval[0] <= 0 <= one.interval[1] for one in made]) >= 0.95
    if runs == 3:
        assert np.mean([one.published for one in made]) > 0.2


def test_seen_and_unseen_that_rise_together_do_correlate() -> None:
    made = [correlation_of(study) for study in studies(CurveCondition(3, 1.6, 250), 10, rise=40.0)]
    assert min(one.rho for one in made) > 0.9 and min(one.interval[0] for one in made) > 0.4
    four = correlation_of(next(studies(CurveCondition(3, 1.6, 250), 1, rise=40.0))[:4])
    assert (four.rho, four.published) == (None, None), "four points"


def test_the_interval_of_a_rank_correlation() -> None:
    low, high = interval_of_rho(0.5, 12)
    assert (low, high) == pytest.approx((np.tanh(0.5493 - 1.96 * 0.35355), np.tanh(0.5493 + 1.96 * 0.35355)), abs=1e-4)
    assert interval_of_rho(1.0, 5) == (1.0, 1.0)


def test_means_that_only_rounding_tells_apart_tie() -> None:
    rows = np.array([[0.1 + 0.2, 0.3, 0.4, 0.5, 0.6]]), np.array([[1.0, 1.0, 2.0, 3.0, 4.0]])
    assert spearman(*rows)[0] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.skipif(not GUIDE.is_file(), reason="the guide's tables are not beside this checkout")
def test_the_guides_seven_curves_have_the_correlations_of_exact_means() -> None:
    done = harness(
        "analyze", GUIDE, "--x", "per_language", "--seen", "es,fr,ja,zh", "--unseen", "ar,ko,pt", "--pivot", "en",
        "--group", "model,setting,task,train_languages", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    keys, scores = ("model", "setting", "task", "train_languages"), pl.read_csv(GUIDE, infer_schema=False)
    made = {tuple(part["group"][key] for key in keys): next(one for one in part["curves"] if one["group"] == OTHERS)
            for part in json.loads(done.stdout)["analyses"]}  # fmt: skip
    assert len(made) == 7
    for group, part in scores.group_by(keys):
        sides = [exact_ranks(part, languages) for languages in (("es", "fr", "ja", "zh"), ("ar", "ko", "pt"))]
        exact = float(np.corrcoef(*sides)[0, 1])
        curve = made[tuple(map(str, group))]
        assert curve["correlation"] == pytest.approx(exact, abs=1e-12), group
        assert curve["correlation_published"] == curve["correlation"] and curve["correlation_interval"] is None
        assert curve["gap_closed_published"] == curve["gap_closed"]["mean"] and curve["gap_closed_p"] is None


def exact_ranks(part: pl.DataFrame, languages: tuple[str, ...]) -> list[float]:
    """The mean ranks of the points' sums over languages, as exact fractions."""
    sums: dict[int, Fraction] = {}
    for amount, language, score in part.select("per_language", "language", "score").iter_rows():
        if language in languages:
            sums[int(amount)] = sums.get(int(amount), Fraction(0)) + Fraction(score)
    values = [sums[amount] for amount in sorted(sums)]
    return [sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
            for value in values]  # fmt: skip


def test_bounds_on_the_best_hold_for_all_settings_at_once() -> None:
    """150 simulated studies in which one setting is truly 5 points above seven equals."""
    held = 0
    for study in studies(CurveCondition(3, 1.6, 100), 150):
        arms = [Arm(str(point), np.clip(values + (0.05 if point == 7 else 0), -9, 9))
                for point, values in enumerate(study)]  # fmt: skip
        between = run_variance([contributions(arm.values) for arm in arms])
        made = standings(arms, between, draws=500)
        assert made is not None
        held += made[-1].may_be_best and all(one.below >= 0.05 for one in made[:-1])
    assert held / 150 >= 0.90


def test_equal_settings_are_all_the_best_and_one_far_above_is_alone() -> None:
    rng = np.random.default_rng(0)
    one = rng.random((1, 30, 2))
    same = standings([Arm(name, one) for name in "abc"], None)
    assert same and all(each.may_be_best and each.below == 0 for each in same)
    far: Any = standings([Arm("a", one), Arm("b", one + 0.5 + rng.normal(0, 0.01, one.shape))], None)
    assert [each.may_be_best for each in far] == [False, True] and far[1].below == 0
    assert far[0].below == pytest.approx(0.5, abs=0.02)
    assert standings([Arm("a", one), Arm("b", np.full_like(one, np.nan))], None) is None


@pytest.mark.parametrize(("runs", "items"), [(3, 100), (5, 250)])
def test_a_plateau_is_shown_or_not_shown(runs: int, items: int) -> None:
    """40 simulated studies of a rise by 6.8 points at the last point, and 20 of none."""
    condition = CurveCondition(runs, 1.6, items)
    rising: list[bool] = []
    for study in studies(condition, 40):
        study[-1] += 0.068
        place = others_of(study, draws=500)[2]
        rising.append(place is not None and place < 7)
    assert np.mean(rising) <= 0.05
    shown = [others_of(study, draws=500)[2] is not None for study in studies(condition, 20)]
    assert np.mean(shown) > 0.5 if items == 250 else np.mean(shown) < 0.5


def test_sentences_name_the_selection_the_margin_and_the_biased_figures() -> None:
    study = next(studies(CurveCondition(3, 1.6, 100), 1))
    panel, design = panel_of_curve(study)
    curves = curve_findings([panel], GROUPS, design)
    summary = pl.DataFrame({"task": [], "group": []}, schema={"task": pl.String, "group": pl.String}).with_columns(
        main=pl.lit(True)
    )
    (told,) = sentences(summary, pl.DataFrame(), curves, GROUPS, design, {})
    assert "shown to be within a tenth (4." in told
    assert "to its own best, chosen on one half of the items and seeds and measured on the other (95 % CI" in told
    assert "for a flat curve), and by +" in told and "by the published definition, which is biased upwards" in told
    assert "of different halves of the items and seeds correlate at ρ = " in told
    one, of_one = panel_of_curve(study[:, :1])
    (told,) = sentences(summary, pl.DataFrame(), curve_findings([one], GROUPS, of_one), GROUPS, of_one, {})
    assert "of these trained models: p = " in told and "but of the same trained models, correlate at ρ" in told


def test_the_highest_setting_is_told_with_its_rivals() -> None:
    panel, design = panel_of_curve(next(studies(CurveCondition(3, 1.6, 100), 1)))
    rows = {row["group"]: row for row in highest_settings([panel], GROUPS, design).iter_rows(named=True)}
    unseen = rows["unseen"]
    assert unseen["settings"] == 8 and unseen["runs"] == 3 and unseen["mean_elsewhere"] < unseen["mean"]
    assert unseen["low"] < unseen["mean_elsewhere"] < unseen["high"]
    assert unseen["may_be_best"] == len(unseen["rivals"].split("; ")) + 1 > 3
    means, of_means = panel_of_curve(np.random.default_rng(0).random((3, 1, 1, 3)))
    assert highest_settings([means], GROUPS, of_means)["mean_elsewhere"].null_count() == 4
