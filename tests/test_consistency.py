"""Whether the same item gets the same answer in every language: by the definition over subsets, by hand, by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.analysis.consistency import agreement, answers_of, chance, comparable, consistency, over_items
from eval.analysis.design import Design
from eval.report.files import write_page
from eval.report.gallery import gallery
from eval.report.page import Page
from tests.synthetic import study_page

LANGUAGES = ("en", "es", "zh")
Answered: TypeAlias = tuple[tuple[str | None, ...], str]
"""What is answered to an item in each language, and what is right."""
BY_HAND: list[Answered] = [  # six items, three languages: the answers, and the right one
    (("1", "1", "1"), "1"),
    (("2", "2", "3"), "2"),
    (("4", "5", "6"), "4"),
    (("7", "7", "7"), "8"),
    (("0.5", "1/2", "0.50"), "1/2"),
    (("9", None, "9"), "9"),
]


def table(answered: Sequence[Answered], languages: tuple[str, ...] = LANGUAGES) -> pl.DataFrame:
    """Scores as evaluation writes them, of one cell."""
    rows = [
        {
            "cell": "base", "task": "math", "language": language, "item": str(number), "metric": "accuracy",
            "value": float(answer is not None and Fraction(answer) == Fraction(right)),
            "answer": answer, "reason": None if answer else "no number found", "version": "final-answer/3",
        }
        for number, (answers, right) in enumerate(answered)
        for language, answer in zip(languages, answers, strict=True)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"answer": pl.String, "reason": pl.String})


def test_six_items_by_hand() -> None:
    tables = consistency(table(BY_HAND), Design({}))
    two, three = tables.sizes.iter_rows(named=True)
    assert (two["items"], two["unscored"], two["items_wrong"]) == (5, 1, 3)
    assert two["accuracy"] == pytest.approx((1 + 2 / 3 + 1 / 3 + 0 + 1) / 5)
    assert two["consistency"] == pytest.approx((1 + 1 / 3 + 0 + 1 + 1) / 5)
    assert three["consistency"] == pytest.approx(3 / 5)
    assert two["where_wrong"] == pytest.approx((1 / 3 + 0 + 1) / 3) and three["where_wrong"] == pytest.approx(1 / 3)
    assert three["ac3"] == pytest.approx(2 * 0.6 * 0.6 / 1.2)
    assert three["consistency_low"] < 0.6 < three["consistency_high"] and three["ac3_low"] < 0.6 < three["ac3_high"]
    pairs = {(row["one"], row["other"]): row for row in tables.pairs.iter_rows(named=True)}
    assert pairs["en", "es"]["consistency"] == pytest.approx(4 / 5) and pairs["en", "es"]["unscored"] == 1
    assert pairs["en", "zh"]["consistency"] == pytest.approx(4 / 6) and pairs["en", "zh"]["unscored"] == 0


@given(st.lists(st.integers(0, 3), min_size=2, max_size=8).flatmap(
    lambda answers: st.tuples(st.just(answers), st.integers(2, len(answers)))))  # fmt: skip
def test_the_closed_form_is_the_mean_over_subsets(drawn: tuple[list[int], int]) -> None:
    answers, size = drawn
    subsets = list(combinations(answers, size))
    equal = sum(len(set(subset)) == 1 for subset in subsets) / len(subsets)
    assert agreement(np.array(answers), size) == pytest.approx(equal)


def guesses(items: int, languages: int, options: int, seed: int = 0) -> list[Answered]:
    drawn = np.random.default_rng(seed).integers(0, options, (items, languages))
    return [(tuple(map(str, answers)), "0") for answers in drawn]


def test_guessing_among_four_options_is_at_chance() -> None:
    names = tuple("abcdefg")
    rows = consistency(table(guesses(2000, 7, 4), names), Design({})).sizes
    three = rows.row(by_predicate=pl.col("s") == 3, named=True)
    error = math.sqrt(1 / 16 * 15 / 16 / 2000)
    assert abs(three["consistency"] - 1 / 16) < 3 * error and three["chance"] == pytest.approx(1 / 16, abs=0.002)
    assert three["consistency_low"] < 1 / 16 < three["consistency_high"]


def test_chance_is_the_mean_over_permutations_of_items_within_languages() -> None:
    (answers,) = answers_of(table([((str(n % 2), str(n % 3), "1"), "1") for n in range(12)]))
    drawn = np.random.default_rng(0)
    for size in (2, 3):
        permuted = [
            agreement(np.stack([drawn.permutation(column) for column in answers.values[0].T], axis=1), size).mean()
            for _ in range(3000)
        ]
        assert chance(answers, size) == pytest.approx(np.mean(permuted), abs=0.005)


def test_runs_are_a_level_and_items_of_a_template_one_cluster() -> None:
    rows: list[Answered] = [(("1", "1", "1") if n % 2 else ("1", "2", "3"), "1") for n in range(20)]
    one = table(rows).with_columns(cell=pl.lit("seed-0"))
    other = table(rows[::-1]).with_columns(cell=pl.lit("seed-1"))
    runs = pl.concat([one, other])
    (row,) = consistency(runs, Design({"both": ("seed-0", "seed-1")})).sizes.filter(s=3).iter_rows(named=True)
    assert (row["cell"], row["runs"], row["items"], row["consistency"]) == ("both", 2, 40, 0.5)
    alone = consistency(one, Design({"seed-0": ("seed-0",)})).sizes.filter(s=3)
    pairs = one.with_columns(cluster=pl.col("item").cast(pl.Int64) % 2)
    clustered = consistency(pairs, Design({"seed-0": ("seed-0",)})).sizes.filter(s=3)
    assert clustered["consistency_high"][0] == 1.0 > alone["consistency_high"][0]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_rare_answers_have_intervals_of_their_own_size(seed: int) -> None:
    """Few answers are right, in items of eight languages: the interval is no wider than of as many single answers."""
    right = np.random.default_rng(seed).random((1, 60, 8)) < 0.03
    share, n = right.mean(), right.size
    figure = over_items(right.mean(axis=2), None, 8)
    if 0 < share <= 0.05:
        assert figure.low is not None and figure.high is not None and figure.low < share < figure.high
        assert figure.high - figure.low < 3 * 1.96 * math.sqrt(share * (1 - share) / n)


@pytest.mark.parametrize(
    ("answer", "is_what"),
    [("1/3", Fraction(1, 3)), ("2.50", Fraction(5, 2)), ("-4", Fraction(-4)), ("option 2", "option 2"), ("(A)", "A"),
     ("B", "B"), ("Paris", None), ("failed: words", None), ("[invalid]", None), ("1/0", None), (None, None)],
)  # fmt: skip
def test_what_can_be_compared_across_languages(answer: str | None, is_what: Fraction | str | None) -> None:
    assert comparable(answer) == is_what


def test_tasks_without_parallel_items_or_comparable_answers_have_none() -> None:
    texts = table(BY_HAND).with_columns(answer=pl.lit("Paris"))
    own_items = table(BY_HAND).with_columns(item=pl.col("language") + pl.col("item"))
    for scores in (texts, own_items, table(BY_HAND).filter(language="en"), table(BY_HAND).drop("answer")):
        tables = consistency(scores, Design({}))
        assert tables.sizes.is_empty() and tables.pairs.is_empty()


def test_the_report_shows_it_as_a_plane_and_tables(tmp_path: Path) -> None:
    page = study_page(cells=2, items=30)
    drawn = np.random.default_rng(0).integers(0, 3, page.scores.height)
    answers = pl.when(pl.col("value") == 1).then(pl.lit("0")).otherwise(pl.Series(drawn).cast(pl.String))
    found = consistency(page.scores.with_columns(answer=answers), Design({name: (name,) for name in page.settings}))
    page = replace(page, consistency=found)
    assert found.sizes["s"].unique().sort().to_list() == list(range(2, 9))
    shown = gallery(page)
    (plane,) = shown.consistency
    assert plane in shown.pictures and shown.data[plane.data]["cell"].to_list() == ["base", "amount-0", "amount-20"]
    write_page(tmp_path, page, shown)
    text = (tmp_path / "report.html").read_text()
    assert 'href="#consistency"' in text and "3 of 8" in text and text.count("each pair of languages") == 1
    assert 'id="consistency"' not in html_of(study_page(cells=2), tmp_path)


def html_of(page: Page, folder: Path) -> str:
    write_page(folder, page, gallery(page))
    return (folder / "report.html").read_text()
