"""Source × target transfer: toys whose true transfer is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from itertools import permutations, product

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from benchmarks.validity import false_transfers
from eval.analysis.agreement import agreement, rank_correlations
from eval.analysis.design import BASE, Design
from eval.analysis.explain import PairColumns, pairs_of
from eval.analysis.long_tables import TableError
from eval.analysis.panel import Panel
from eval.analysis.stats import BY_FLIPS, holm
from eval.analysis.transfer import (
    NOTHING,
    Source,
    Sources,
    Transfer,
    asymmetry,
    donors,
    normalised_transfer,
    recipients,
    regimes,
    transfer_matrix,
)
from eval.report.text_tables import transfer_tables

LANGUAGES = ("en", "fr", "ja")
GAINS = {"en": {"en": 0.3, "fr": 0.2, "ja": 0.0}, "fr": {"en": 0.1, "fr": 0.3, "ja": -0.2}}
ALONE: Sources = {"en": Source("math", "en"), "fr": Source("math", "fr")}


def panel(gains: Mapping[str, Mapping[str, float]], items: int = 80, noise: float = 0.02) -> Panel:
    """Accuracy of settings with these true gains over the base, and of the base."""
    rng = np.random.default_rng(1)
    base = rng.random((items, len(LANGUAGES)))
    tables = [base, *(base + [row[each] for each in LANGUAGES] + rng.normal(0, noise, base.shape)
                      for row in gains.values())]  # fmt: skip
    return Panel("math", "accuracy", (BASE, *gains), LANGUAGES, np.stack(tables))


def design(*settings: str) -> Design:
    return Design({name: (name,) for name in settings})


def test_the_matrix_is_what_each_source_does_to_each_target() -> None:
    made, two = panel(GAINS), design("en", "fr")
    matrix = transfer_matrix([made], ALONE, two)
    found = {(row["source"], row["target"]): row["difference"] for row in matrix.iter_rows(named=True)}
    assert found == pytest.approx(
        {(one, other): GAINS[one][other] for one, other in product(GAINS, LANGUAGES)}, abs=0.01
    )
    assert set(matrix["other"]) == {BASE} and set(matrix["beside"]) == {NOTHING}
    apart = asymmetry([made], ALONE, two).row(0, named=True)
    assert (apart["one"], apart["other"]) == ("en", "fr") and apart["difference"] == pytest.approx(0.1, abs=0.01)
    assert apart["low"] < 0.1 < apart["high"] and apart["p_adjusted"] < 0.01
    by_regime = {(row["task"], row["language"]): row for row in regimes(matrix).iter_rows(named=True)}
    other = by_regime["same", "other"]
    assert (other["transfers"], other["harmed"], other["helped"]) == (4, 0.25, 0.5)
    assert other["mean"] == pytest.approx(0.025, abs=0.01) and by_regime["same", "same"]["negative"] == 0.0


def test_donors_and_recipients_are_means_over_other_languages_with_intervals() -> None:
    made, two = panel(GAINS), design("en", "fr")
    given = {row["source"]: row for row in donors([made], ALONE, two).iter_rows(named=True)}
    got = {row["target"]: row for row in recipients([made], ALONE, two).iter_rows(named=True)}
    assert {name: row["languages"] for name, row in given.items()} == {"en": "fr ja", "fr": "en ja"}
    assert {name: row["languages"] for name, row in got.items()} == {"fr": "en", "en": "fr", "ja": "en fr"}
    for row, true in ((given["en"], 0.1), (given["fr"], -0.05), (got["en"], 0.1), (got["fr"], 0.2), (got["ja"], -0.1)):
        assert row["difference"] == pytest.approx(true, abs=0.01)
        assert row["low"] < row["difference"] < row["high"] and row["p_adjusted"] < 0.01
    assert [row["source"] for row in donors([made], ALONE, two).iter_rows(named=True)] == ["en", "fr"], "most first"


def test_donors_are_the_means_of_the_matrix() -> None:
    made, two = panel(GAINS), design("en", "fr")
    matrix = transfer_matrix([made], ALONE, two).filter(pl.col("source") != pl.col("target"))
    means = dict(matrix.group_by("source").agg(pl.col("difference").mean()).iter_rows())
    assert dict(donors([made], ALONE, two).select("source", "difference").iter_rows()) == pytest.approx(means)


def test_a_language_beside_the_pivot_is_compared_with_the_pivot_alone() -> None:
    beside = {"en": {"en": 0.3, "fr": 0.2, "ja": 0.1}, "en+fr": {"en": 0.3, "fr": 0.5, "ja": 0.2},
              "en+ja": {"en": 0.2, "fr": 0.2, "ja": 0.4}}  # fmt: skip
    sources: Sources = {"en": Source("math", "en"), "en+fr": Source("math", "fr", "en", 0.25, "en"),
                        "en+ja": Source("math", "ja", "en", 0.5, "en")}  # fmt: skip
    found = Transfer.of([panel(beside)], sources, design(*beside))
    gains = {(row["source"], row["target"]): row["difference"] for row in found.transfer.iter_rows(named=True)}
    assert gains["en", "fr"] == pytest.approx(0.2, abs=0.01), "English alone is compared with the base"
    assert gains["fr", "ja"] == pytest.approx(0.1, abs=0.01) and gains["ja", "en"] == pytest.approx(-0.1, abs=0.01)
    shares = dict(found.transfer.select("source", "source_share").iter_rows())
    assert shares == {"en": 1.0, "fr": 0.25, "ja": 0.5}
    given = {(row["source"], row["beside"]): row["languages"] for row in found.donors.iter_rows(named=True)}
    assert given == {("en", NOTHING): "fr ja", ("fr", "en"): "ja", ("ja", "en"): "fr"}, "English is trained on in all"
    pair = found.asymmetry.row(0, named=True)
    assert (found.asymmetry.height, pair["one"], pair["other"], pair["beside"]) == (1, "fr", "ja", "en")
    counts = dict(found.regimes.select("language", "transfers").iter_rows())
    assert counts == {"same": 5, "other": 4}
    assert set(pairs_of(found.transfer, PairColumns(group=("beside",)), []).select("source", "target").iter_rows()) == {
        ("en", "fr"), ("en", "ja"), ("fr", "ja"), ("ja", "fr")
    }  # fmt: skip


def test_a_source_of_several_settings_has_a_matrix_but_no_mean() -> None:
    made = panel({"fr-1": GAINS["fr"], "fr-2": GAINS["fr"], "en": GAINS["en"]})
    sources: Sources = {"fr-1": Source("math", "fr"), "fr-2": Source("math", "fr"), "en": Source("math", "en")}
    found = Transfer.of([made], sources, design("fr-1", "fr-2", "en"))
    assert set(found.transfer["cell"]) == {"fr-1", "fr-2", "en"} and found.donors["source"].to_list() == ["en"]
    assert set(found.recipients["languages"]) == {"en"} and found.asymmetry.is_empty()


def test_runs_under_several_seeds_are_a_level_of_donors() -> None:
    one = panel(GAINS)
    values = np.concatenate([one.values, one.values[1:] + 0.05])
    made = Panel("math", "accuracy", (BASE, "en-1", "fr-1", "en-2", "fr-2"), LANGUAGES, values)
    seeds = Design({"en": ("en-1", "en-2"), "fr": ("fr-1", "fr-2")})
    row = donors([made], ALONE, seeds).row(0, named=True)
    assert row["runs"] == 2 and row["difference"] == pytest.approx(0.125, abs=0.01)
    assert row["high"] - row["low"] > 0.2, "two runs each, that differ by 5 points, say little"


def test_sources_with_unlike_numbers_of_runs_weigh_alike_in_the_mean_of_a_recipient() -> None:
    one = panel(GAINS)
    values = np.concatenate([one.values, one.values[1:2] + 0.05])
    made = Panel("math", "accuracy", (BASE, "en-1", "fr-1", "en-2"), LANGUAGES, values)
    found = recipients([made], ALONE, Design({"en": ("en-1", "en-2"), "fr": ("fr-1",)})).rows_by_key(
        "target", named=True, unique=True
    )
    assert (found["ja"]["languages"], found["ja"]["runs"]) == ("en fr", 1)
    assert found["ja"]["difference"] == pytest.approx((0.025 - 0.2) / 2, abs=0.01)


def test_p_values_are_adjusted_over_a_task_tested() -> None:
    weak = panel({"en": {"en": 0.01, "fr": 0.005, "ja": 0.0}, "fr": {"en": 0.0, "fr": 0.0, "ja": 0.01}}, noise=0.05)
    for table in (transfer_matrix, donors, recipients):
        found = table([weak], ALONE, design("en", "fr"))
        assert (found["p_adjusted"] > found["p"]).any()
        bound = holm(found["p"].to_list())
        assert all(p <= most + 0.05 for p, most in zip(found["p_adjusted"], bound, strict=True) if most is not None)
        assert set(found["test"]) == {BY_FLIPS}


def test_a_source_of_another_task_is_neither_in_language_nor_a_direction_back() -> None:
    made, two = panel(GAINS), design("en", "fr")
    other: Sources = {"en": Source("math", "en"), "fr": Source("chat", "fr")}
    assert asymmetry([made], other, two).is_empty()
    assert set(normalised_transfer([made], other, two)["in_language"]) == {"en"}
    found = regimes(transfer_matrix([made], other, two))
    assert set(found.select("task", "language").iter_rows()) == {
        (task, language) for task in ("same", "other") for language in ("same", "other")
    }


def test_regimes_are_shares_of_a_metrics_range() -> None:
    made = panel({"en": {"en": 0.4, "fr": 0.4, "ja": 0.4}})
    rated = Panel("chat", "judge_rating", made.runs, made.languages, made.values)
    found = regimes(transfer_matrix([rated], {"en": Source("chat", "en")}, design("en")))
    assert found["mean"].to_list() == pytest.approx([0.1, 0.1], abs=0.01), "0.4 of a scale from 1 to 5"


def test_without_the_base_there_is_no_matrix_and_nothing_else() -> None:
    made = panel(GAINS)
    lacking = Panel("math", "accuracy", made.runs[1:], made.languages, made.values[1:])
    found = Transfer.of([lacking], ALONE, design("en", "fr"))
    assert all(getattr(found, each.name).is_empty() for each in fields(found))


def test_the_same_change_on_every_item_is_no_certainty() -> None:
    made = panel(GAINS, items=4, noise=0.0)
    twice = Panel("math", "accuracy", (BASE, "en-1", "en-2"), LANGUAGES, made.values[[0, 1, 1]])
    row = transfer_matrix([twice], {"en": ALONE["en"]}, Design({"en": ("en-1", "en-2")})).row(0, named=True)
    assert (row["low"], row["p"]) == (None, 0.125), "four of four items, by sign flips"


def test_what_was_not_scored_is_no_part_of_a_mean() -> None:
    made = panel(GAINS)
    made.values[1, :, 2] = np.nan
    found = {row["source"]: row["languages"] for row in donors([made], ALONE, design("en", "fr")).iter_rows(named=True)}
    assert found == {"en": "fr", "fr": "en ja"}


def test_normalised_transfer_is_the_share_of_what_the_language_itself_gives() -> None:
    made, two = panel(GAINS | {"mix": {"en": 0.15, "fr": 0.15, "ja": 0.1}}), design("en", "fr", "mix")
    found = {
        (row["cell"], row["language"]): row for row in normalised_transfer([made], ALONE, two).iter_rows(named=True)
    }
    assert set(found) == {("fr", "en"), ("mix", "en"), ("en", "fr"), ("mix", "fr")}, "nothing was trained on ja"
    for place, true in {("mix", "en"): 0.5, ("fr", "en"): 1 / 3, ("en", "fr"): 2 / 3, ("mix", "fr"): 0.5}.items():
        row = found[place]
        assert row["share"] == pytest.approx(true, abs=0.03) and row["low"] < true < row["high"]
        assert row["in_language"] == place[1]


def test_a_share_varies_with_its_denominator() -> None:
    made = panel(GAINS | {"again": GAINS["en"]})
    made.values[3] = made.values[1]
    found = normalised_transfer([made], ALONE, design("en", "fr", "again"))
    row = found.filter(cell="again", language="en").row(0, named=True)
    assert [row[key] for key in ("share", "low", "high")] == pytest.approx([1.0, 1.0, 1.0]), "the same scores"


def test_the_denominator_is_that_of_the_runs_that_are_compared() -> None:
    made = panel(GAINS | {"mix": GAINS["en"]})
    unlucky = np.stack([made.values[0] + np.tile([[0.1], [-0.1]], (40, 1)), made.values[1] + 0.1, made.values[1] + 0.2])
    values = np.concatenate([made.values[[0, 3]], unlucky])
    several = Panel("math", "accuracy", (BASE, "mix", "en-1", "en-2", "en-3"), LANGUAGES, values)
    found = normalised_transfer([several], {"en": ALONE["en"]},
                                Design({"mix": ("mix",), "en": ("en-1", "en-2", "en-3")}))  # fmt: skip
    assert found.select("runs", "share").rows() == [(1, None)], "the one run that is compared gained nothing"


def test_a_loss_is_no_whole_to_have_a_share_of() -> None:
    harm = panel({"en": {"en": -0.3, "fr": 0.0, "ja": 0.0}, "fr": {"en": -0.1, "fr": 0.2, "ja": 0.0}})
    found = normalised_transfer([harm], ALONE, design("en", "fr"))
    assert dict(found.select("language", pl.col("share").is_null()).iter_rows()) == {"en": True, "fr": False}


def test_normalised_transfer_is_undefined_where_its_denominator_is_noise() -> None:
    noise = panel(GAINS)
    noise.values[1, :, 0] = noise.values[0, :, 0] + np.tile([0.1, -0.1], 40)
    found = normalised_transfer([noise], ALONE, design("en", "fr"))
    assert dict(found.select("language", pl.col("share").is_null()).iter_rows()) == {"en": True, "fr": False}
    unscored = panel(GAINS)
    unscored.values[1, :, 0] = np.nan
    assert normalised_transfer([unscored], ALONE, design("en", "fr")).filter(language="en")["share"].to_list() == [None]


def test_models_agree_or_not_on_the_order_of_languages() -> None:
    order = {"en": 3.0, "fr": 2.0, "ja": 1.0, "ko": 0.0}
    backwards = {language: -value for language, value in order.items()}
    taus = {(each.one, each.other): each.tau for each in
            rank_correlations({"a": order, "b": order, "c": backwards})}  # fmt: skip
    assert taus == pytest.approx({("a", "b"): 1.0, ("a", "c"): -1.0, ("b", "c"): -1.0})
    (same,) = rank_correlations({"a": order, "b": dict.fromkeys(order, 1.0)})
    assert (same.tau, same.p, same.languages) == (None, None, 4)
    assert rank_correlations({"a": {"en": 1.0, "fr": 2.0}, "b": {"en": 1.0, "fr": 2.0}}) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=5))
def test_rank_correlations_are_kendalls(pairs: list[tuple[int, int]]) -> None:
    one, other = ({str(place): pair[side] / 3 for place, pair in enumerate(pairs)} for side in (0, 1))
    (found,) = rank_correlations({"a": one, "b": other})
    expected = float(kendalltau([*one.values()], [*other.values()], method="asymptotic").statistic)
    assert (found.tau is None and np.isnan(expected)) or found.tau == pytest.approx(expected)
    exact = [
        kendalltau(order, [*other.values()], method="asymptotic").statistic for order in permutations(one.values())
    ]
    if found.tau is not None:
        assert found.p == pytest.approx(np.mean(np.abs(exact) >= abs(found.tau) - 1e-9))


def test_means_that_only_rounding_tells_apart_tie() -> None:
    (found,) = rank_correlations({"a": {"en": 0.3, "fr": 0.1 + 0.2, "ja": 0.0, "ko": 0.1},
                                  "b": {"en": 0.0, "fr": 1.0, "ja": 2.0, "ko": 3.0}})  # fmt: skip
    same = kendalltau([1, 1, 0, 0.5], [0, 1, 2, 3]).statistic
    assert found.tau == pytest.approx(same) and found.p is not None and found.p > 0.1


def test_models_are_compared_over_the_pairs_that_all_have() -> None:
    rows = [
        {"model": model, "source": source, "target": target, "difference": float(10 * "abcd".index(source) + place)}
        for model in ("x", "y") for source in "abcd" for place, target in enumerate("abcd") if source != target
    ]  # fmt: skip
    table = pl.DataFrame(rows).filter(
        ~((pl.col("model") == "y") & (pl.col("source") == "d") & (pl.col("target") == "a"))
    )
    columns = PairColumns(group=("model",))
    found = agreement(pairs_of(table, columns, []), columns, "model")
    assert (found.models, found.pairs, found.left_out) == (("x", "y"), 11, 1)
    assert found.donors.tau == pytest.approx(1.0) and list(found.donors.means) == ["d", "c", "b", "a"]
    assert found.donors.means["d"] == {"x": 31.5, "y": 31.5}, "the pair that y lacks is in neither mean"
    third = table.with_columns(model=pl.lit("z"), difference=-pl.col("difference"))
    three = agreement(pairs_of(pl.concat([table, third.filter(pl.struct("source", "target").is_first_distinct())]),
                               columns, []), columns, "model")  # fmt: skip
    assert three.donors.tau == pytest.approx((1 - 1 - 1) / 3) and len(three.donors.between) == 3
    with pytest.raises(TableError, match="agreement takes two"):
        agreement(table.filter(model="x"), columns, "model")
    with pytest.raises(TableError, match="2 sources and 2 targets in pairs that x and y have in common"):
        agreement(
            table.filter(pl.col("source").is_in(["a", "b"]) & pl.col("target").is_in(["c", "d"])), columns, "model"
        )


def test_tables_of_transfer_have_as_few_false_findings_as_promised() -> None:
    """60 simulated studies without an effect, of three runs; more are in `benchmarks/validity.py`."""
    for table, share in false_transfers(3, 3.2, 60).items():
        assert share <= 0.13, table


def test_items_of_a_cluster_are_one_in_tables_of_transfer() -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(8), 10)
    gains = rng.normal(0.05, 0.2, (3, 8, 1))[:, codes] * np.array([0, 1, 1])[:, None, None]
    values = rng.random((1, 80, 3)) + gains
    alone, together = (
        Transfer.of(
            [Panel("math", "accuracy", (BASE, "en", "fr"), LANGUAGES, values, clusters)], ALONE, design("en", "fr")
        )
        for clusters in (None, codes)
    )
    for name in ("transfer", "donors", "recipients", "asymmetry"):
        one, other = getattr(alone, name), getattr(together, name)
        assert set(one["items"]) == {80} and set(other["items"]) == {8}, name
        assert one["difference"].to_list() == pytest.approx(other["difference"].to_list())
        assert (other["high"] - other["low"]).mean() > 1.5 * (one["high"] - one["low"]).mean()


def test_p_values_of_one_run_are_marked_as_of_these_models() -> None:
    one = panel(GAINS)
    tables = transfer_tables(Transfer.of([one], ALONE, design("en", "fr")), LANGUAGES)
    assert all(any("of these trained models" in column for column in table.columns)
               for title, table in tables.items() if "Share" not in title)  # fmt: skip
    values = np.concatenate([one.values, one.values[1:] + 0.05])
    several = Panel("math", "accuracy", (BASE, "en-1", "fr-1", "en-2", "fr-2"), LANGUAGES, values)
    seeds = Design({"en": ("en-1", "en-2"), "fr": ("fr-1", "fr-2")})
    for table in transfer_tables(Transfer.of([several], ALONE, seeds), LANGUAGES).values():
        assert not any("of these trained models" in column for column in table.columns)
        assert not any("*" in entry for row in table.rows for entry in row)
