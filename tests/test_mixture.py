"""Mixtures are exact, nested and stable."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from data_mixes.mixture import Component, allot, batches_by_length, materialise
from data_mixes.order import in_seeded_order

AMOUNTS = st.integers(0, 40)
LANGUAGES = st.lists(st.sampled_from(["en", "es", "fr", "ja", "zh"]), min_size=1, max_size=4, unique=True)
SEEDS = st.integers(0, 5)


def ids(amount: int, languages: list[str], seed: int, sources: tuple[str, ...] = ("word-problems",)) -> list[str]:
    return [row.id for row in materialise(allot([Component("part", sources, languages, amount)]), seed)]


@settings(deadline=None, max_examples=40)
@given(AMOUNTS, AMOUNTS, LANGUAGES, SEEDS)
def test_a_smaller_amount_is_contained_in_a_larger_one(one: int, other: int, languages: list[str], seed: int) -> None:
    small, large = sorted((one, other))
    less, more = ids(small, languages, seed), ids(large, languages, seed)
    assert [row for row in more if row in set(less)] == less


@settings(deadline=None, max_examples=40)
@given(AMOUNTS, LANGUAGES, SEEDS)
def test_counts_are_exact_and_items_shared(amount: int, languages: list[str], seed: int) -> None:
    rows = materialise(allot([Component("part", ("word-problems", "notices"), languages, amount)]), seed)
    assert Counter((row.task, row.language) for row in rows) == Counter(
        {(task, language): amount for task in ("math", "summarization") for language in languages if amount}
    )
    per_language = {language: {row.item_id for row in rows if row.language == language} for language in languages}
    assert len({frozenset(items) for items in per_language.values()}) == 1
    assert len({row.id for row in rows}) == len(rows)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), SEEDS)
def test_an_added_language_or_source_moves_no_two_rows_past_each_other(amount: int, seed: int) -> None:
    before = ids(amount, ["en", "fr"], seed)
    kept = set(before)
    assert [row for row in ids(amount, ["en", "fr", "ja"], seed) if row in kept] == before
    assert [row for row in ids(amount, ["en", "fr"], seed, ("word-problems", "notices")) if row in kept] == before


def test_components_that_meet_take_different_rows() -> None:
    parts = [Component("one", ("notices",), ("en",), 5), Component("two", ("notices",), ("en", "fr"), 7)]
    rows = materialise(allot(parts), 0)
    assert len({row.id for row in rows}) == len(rows)
    assert Counter(row.language for row in rows) == {"en": 12, "fr": 7}


@given(st.lists(st.text(min_size=1), unique=True), SEEDS)
def test_the_seeded_order_is_that_of_the_ids_alone(names: list[str], seed: int) -> None:
    assert in_seeded_order(names, seed) == in_seeded_order(reversed(names), seed)


def test_another_seed_is_another_order() -> None:
    names = [str(number) for number in range(50)]
    assert in_seeded_order(names, 0) != in_seeded_order(names, 1)


@given(st.lists(st.integers(1, 100), max_size=60), st.integers(1, 9))
def test_sorting_by_length_keeps_every_global_batch(lengths: list[int], batch: int) -> None:
    order = batches_by_length(lengths, batch)
    for start in range(0, len(lengths), batch):
        chosen = order[start : start + batch]
        assert sorted(chosen) == list(range(start, min(start + batch, len(lengths))))
        assert [lengths[index] for index in chosen] == sorted(lengths[index] for index in chosen)
