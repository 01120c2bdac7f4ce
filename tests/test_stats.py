"""Intervals are honest: unscored is not zero, undefined is blank, translations are one cluster."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.report.tables import task_tables
from eval.stats import estimate, ratio, wilson
from eval.transfer import PERFORMANCE_TO_ENGLISH, LanguageGroups, summarize

NAN = float("nan")


def test_wilson_as_published() -> None:
    # Newcombe (1998), table I: 81/263 and 0/20
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_nothing_scored_is_blank_and_missing_is_not_zero() -> None:
    assert estimate(np.array([[NAN], [NAN]])).mean is None
    partly = estimate(np.array([[1.0], [NAN], [1.0]]))
    assert (partly.n, partly.mean) == (2, 1.0)
    assert estimate(np.array([[1.0, NAN], [1.0, NAN]])).mean is None  # one language has no score at all


def test_scores_that_never_vary_still_have_an_interval() -> None:
    never = estimate(np.zeros((20, 4)))
    assert never.low == 0.0 and never.high == pytest.approx(0.1611, abs=5e-5)


def test_translations_count_as_one_cluster() -> None:
    """Four languages that agree item by item are no more certain than one."""
    rng = np.random.default_rng(0)
    one = rng.random((60, 1))
    alone, together = estimate(one), estimate(np.repeat(one, 4, axis=1))
    assert together.mean == pytest.approx(alone.mean)
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))
    spread = estimate(rng.random((60, 4)))
    assert spread.high - spread.low < alone.high - alone.low


def test_the_interval_has_the_width_of_the_standard_error() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, (400, 1))
    found = estimate(values)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=20))
def test_the_interval_holds_the_mean(rows: list[list[float]]) -> None:
    found = estimate(np.array(rows))
    assert found.low - 1e-9 <= found.mean <= found.high + 1e-9


def test_a_ratio_to_noise_is_undefined() -> None:
    zeros, ones = np.zeros((10, 1)), np.ones((10, 1))
    assert ratio(ones, zeros).mean is None
    assert ratio(ones / 2, ones).mean == pytest.approx(0.5)
    one_in_sixteen = np.array([[1.0]] + [[0.0]] * 15)
    assert ratio(np.zeros((16, 3)), one_in_sixteen).mean is None
    never = ratio(np.zeros((20, 3)), np.array([[1.0], [0.5]] * 10))
    assert (never.mean, never.low) == (0.0, 0.0) and never.high > 0.15


def scores() -> pl.DataFrame:
    values = {"en": [1.0, 1.0, 0.5], "fr": [0.5, 0.5, 0.5], "ja": [0.0, None, 1.0]}
    return pl.DataFrame(
        [
            {"cell": "a", "task": "math", "language": language, "item": str(item), "id": f"{item}@{language}",
             "metric": "accuracy", "value": value, "answer": None, "reason": None if value is not None else "why",
             "version": "v1"}
            for language, column in values.items() for item, value in enumerate(column)
        ],
        schema_overrides={"answer": pl.String, "reason": pl.String},
    )  # fmt: skip


def test_the_summary_follows_the_papers_definitions() -> None:
    groups = LanguageGroups(("en", "fr"), ("ja",))
    found = {row["group"]: row for row in summarize(scores(), groups).iter_rows(named=True)}
    assert found["seen"]["mean"] == 0.5 and found["seen"]["languages"] == "fr"
    assert found["unseen"]["mean"] == 0.5 and (found["unseen"]["scored"], found["unseen"]["unscored"]) == (2, 1)
    assert found["en"]["mean"] == pytest.approx(5 / 6)
    assert found[PERFORMANCE_TO_ENGLISH]["mean"] == pytest.approx(0.5 / (5 / 6))


def test_a_cell_without_scores_has_no_row_and_a_blank_has_no_zero() -> None:
    groups = LanguageGroups(("en", "fr"), ("ja",))
    unscored = scores().with_columns(
        pl.when(pl.col("language") == "fr").then(None).otherwise(pl.col("value")).alias("value")
    )
    (table,) = task_tables(summarize(unscored, groups), groups, ["base", "a"])
    assert list(table.rows) == ["a"]
    figures = dict(zip(table.columns, table.rows["a"], strict=True))
    assert figures["fr"].text == "" and figures["fr"].unscored == 3
    assert figures["seen"].text == "" and figures[PERFORMANCE_TO_ENGLISH].text == ""
    assert figures["en"].text == "83.3"
