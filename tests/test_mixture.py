"""Mixtures are exact, nested and stable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_mixes.example import Example, to_table
from data_mixes.mixture import (
    BudgetError,
    Component,
    Orders,
    allot,
    apportion,
    batches_by_length,
    epochs_of,
    materialise,
)
from data_mixes.order import keys_of, seeded_order
from data_mixes.pairs import Variant
from data_mixes.rows import Rows
from data_mixes.source import Pool, Source
from data_mixes.sources import SOURCES

AMOUNTS = st.integers(0, 40)
LANGUAGES = st.lists(st.sampled_from(["en", "es", "fr", "ja", "zh"]), min_size=1, max_size=4, unique=True)
SEEDS = st.integers(0, 5)
POLICIES = st.sampled_from(["shared", "disjoint", "independent"])
UNITS = st.sampled_from(["examples", "items", "tokens", "supervised_tokens"])
SOURCE = "word-problems"


def letters(example: Example, unit: str) -> int:
    """A stand-in for a tokenizer: a token per letter."""
    return len(example.target) + (len(example.prompt) if unit == "tokens" else 0)


def by_letter(pool: Pool, places: Any, unit: str) -> Any:
    return np.array([letters(example, unit) for example in pool.examples(places)], dtype=np.int64)


def rows_of(*components: Component, seed: int = 0, study: Sequence[Component] = ()) -> Rows:
    """The rows of a cell with these components, in a study that has others beside them."""
    orders = Orders([*components, *study], seed)
    return materialise(allot(components, orders, by_letter), components, orders, seed)


def component(name: str, sources: tuple[str, ...], languages: Sequence[str], **options: Any) -> Component:
    return Component(name, [SOURCES[each] for each in sources], [*map(Variant, languages)], **options)


def part(languages: Sequence[str], sources: tuple[str, ...] = (SOURCE,), **options: Any) -> Component:
    return component("part", sources, languages, **options)


def ids(rows: Iterable[Example]) -> list[str]:
    return [row.id for row in rows]


@settings(deadline=None, max_examples=60)
@given(AMOUNTS, AMOUNTS, LANGUAGES, SEEDS, POLICIES, UNITS)
def test_a_smaller_budget_is_contained_in_a_larger_one(
    one: int, other: int, languages: list[str], seed: int, items: str, unit: str
) -> None:
    scale = 100 if "tokens" in unit else 1
    small, large = sorted((one * scale, other * scale))
    if items == "disjoint" and unit == "items":
        small, large = small * len(languages), large * len(languages)
    less, more = (ids(rows_of(part(languages, amount=n, items=items, unit=unit), seed=seed)) for n in (small, large))
    assert [row for row in more if row in set(less)] == less


@settings(deadline=None, max_examples=40)
@given(AMOUNTS, LANGUAGES, SEEDS, POLICIES)
def test_counts_are_exact_and_no_row_comes_twice(amount: int, languages: list[str], seed: int, items: str) -> None:
    rows = rows_of(part(languages, (SOURCE, "notices"), amount=amount, items=items), seed=seed)
    assert Counter((row.task, row.language) for row in rows) == Counter(
        {(task, language): amount for task in ("math", "summarization") for language in languages if amount}
    )
    assert len(set(ids(rows))) == len(rows)


@settings(deadline=None, max_examples=40)
@given(AMOUNTS, LANGUAGES, SEEDS)
def test_items_are_shared_or_disjoint_as_asked(amount: int, languages: list[str], seed: int) -> None:
    shared = rows_of(part(languages, amount=amount), seed=seed)
    per_language = {frozenset(row.item_id for row in shared if row.language == language) for language in languages}
    assert len(per_language) == 1
    disjoint = rows_of(part(languages, amount=amount, items="disjoint"), seed=seed)
    assert len({row.item_id for row in disjoint}) == len(disjoint) == amount * len(languages)
    whole = rows_of(part(languages, amount=amount, items="disjoint", unit="items"), seed=seed)
    assert len({row.item_id for row in whole}) == len(whole) == amount


def test_disjoint_items_are_disjoint_over_all_components() -> None:
    rows = rows_of(
        component("english", (SOURCE,), ["en"], amount=300, items="disjoint"),
        component("others", (SOURCE,), ["fr", "ja"], amount=100, items="disjoint"),
    )
    assert len({row.item_id for row in rows}) == len(rows) == 500


def test_independent_languages_choose_items_of_their_own() -> None:
    rows = rows_of(part(["en", "fr"], amount=40, items="independent"))
    english, french = ({row.item_id for row in rows if row.language == language} for language in ("en", "fr"))
    assert len(english & french) < 10  # 40 of some 16,000 items: 0.1 expected


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 5000), LANGUAGES, SEEDS, st.sampled_from(["tokens", "supervised_tokens"]))
def test_token_budgets_are_met_within_one_row(budget: int, languages: list[str], seed: int, unit: str) -> None:
    rows = rows_of(part(languages, amount=budget, unit=unit), seed=seed)
    pool = SOURCES[SOURCE].pool("train", "en")
    order = seeded_order(pool.items, seed)
    for language in languages:
        own = [row for row in rows if row.language == language]
        spent = sum(letters(row, unit) for row in own)
        (following,) = SOURCES[SOURCE].pool("train", language).examples([order[len(own)]])
        assert spent <= budget < spent + letters(following, unit)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), SEEDS, POLICIES)
def test_an_added_language_or_source_moves_no_two_rows_past_each_other(amount: int, seed: int, items: str) -> None:
    before = ids(rows_of(part(["en", "fr"], amount=amount, items=items), seed=seed))
    for more in (
        part(["en", "fr", "ja"], amount=amount, items=items),
        part(["en", "fr"], (SOURCE, "notices"), amount=amount, items=items),
    ):
        after = ids(rows_of(more, seed=seed))
        kept = set(before) & set(after)
        assert [row for row in after if row in kept] == [row for row in before if row in kept]
        if items != "disjoint" or len(more.variants) == 2:
            assert kept == set(before)


def test_components_that_meet_take_different_rows() -> None:
    rows = rows_of(
        component("one", ("notices",), ["en"], amount=5), component("two", ("notices",), ["en", "fr"], amount=7)
    )
    assert len(set(ids(rows))) == len(rows)
    assert Counter(row.language for row in rows) == {"en": 12, "fr": 7}


@given(st.integers(0, 10**6), st.dictionaries(st.text(min_size=1), st.floats(0.001, 1000), min_size=1))
def test_a_total_is_divided_without_rest(total: int, weights: dict[str, float]) -> None:
    """By the method of Sainte-Laguë: no row would be better placed with another, whatever the sizes."""
    counts = apportion(total, weights)
    assert sum(counts.values()) == total
    exact = {name: Fraction(weight) for name, weight in weights.items()}
    last = max((2 * counts[name] - 1) / weight for name, weight in exact.items())
    assert last <= min((2 * counts[name] + 1) / weight for name, weight in exact.items())


@given(
    st.integers(0, 300), st.integers(1, 50), st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9), min_size=1)
)
def test_a_larger_total_takes_nothing_from_anyone(total: int, more: int, weights: dict[str, float]) -> None:
    small, large = apportion(total, weights), apportion(total + more, weights)
    assert all(small[name] <= large[name] for name in weights)


class Numbered(Source):
    """Items of which each language has only some."""

    name, task, parallel, version = "numbered", "math", True, "1"

    def __init__(self, items: dict[str, Sequence[int]]) -> None:
        self.languages = tuple(items)
        self.pools = {language: NumberedPool(language, numbers) for language, numbers in items.items()}

    def pool(self, split: Any, language: str) -> Pool:
        return self.pools[language]


class NumberedPool(Pool):
    source, task = "numbered", "math"

    def __init__(self, language: str, numbers: Sequence[int]) -> None:
        self.name, self.variant, self.language, self.numbers = f"numbered/{language}", language, language, numbers
        self.items = keys_of(f"numbered/{number}" for number in numbers)

    def tables(self, places: Any) -> Iterator[Any]:
        yield to_table(
            Example(id=f"numbered/{self.numbers[place]}@{self.language}", item_id=f"numbered/{self.numbers[place]}",
                    task="math", language=self.language, prompt=f"p{place}", target="t")
            for place in places
        )  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sets(st.integers(0, 30), min_size=12), min_size=3, max_size=3), st.integers(0, 4), st.integers(0, 4),
    SEEDS, st.sampled_from(["shared", "disjoint"]),
)  # fmt: skip
def test_incomplete_translations_stay_together_and_no_row_comes_twice(
    items: list[set[int]], few: int, many: int, seed: int, policy: Any
) -> None:
    source = Numbered({language: sorted(numbers) for language, numbers in zip(("en", "es", "fr"), items, strict=True)})
    parts = [
        Component("others", [source], [Variant("en"), Variant("es")], amount=few, items=policy),
        Component("english", [source], [Variant("en"), Variant("fr")], amount=many, items=policy),
    ]
    try:
        rows = list(rows_of(*parts, seed=seed))
    except BudgetError:
        return
    assert len(set(ids(rows))) == len(rows) == 2 * few + 2 * many
    chosen = {language: {row.item_id for row in rows if row.language == language} for language in ("en", "es", "fr")}
    if policy == "shared":
        assert chosen["es"] <= chosen["en"] and (chosen["fr"] <= chosen["en"])
    else:
        assert len({row.item_id for row in rows}) == len(rows)


HALF = {"en": range(200), "es": range(200), "sw": range(0, 200, 2)}
"""The items of a parallel source that has every other one in Swahili."""


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 100), SEEDS, st.sampled_from(["shared", "disjoint"]))
def test_a_half_covered_language_in_one_cell_replaces_no_row_of_another(amount: int, seed: int, policy: Any) -> None:
    source = Numbered(HALF)
    english = Component("english", [source], [Variant("en")], amount=amount, items=policy)
    swahili = Component("others", [source], [Variant("sw")], amount=amount, items=policy)
    cells = [[english], [english, swahili]]
    study = [component for cell in cells for component in cell]
    try:
        alone, beside = (ids(rows_of(*cell, seed=seed, study=study)) for cell in cells)
    except BudgetError:
        assert policy == "disjoint"  # of the 100 items that both have, each has about half
        return
    assert [row for row in beside if row.endswith("@en")] == alone


def test_a_budget_that_sharing_leaves_unserved_says_who_shares() -> None:
    source = Numbered(HALF)
    cells = [Component("all", [source], [Variant("en"), Variant(other)], amount=150) for other in ("es", "sw")]
    with pytest.raises(BudgetError) as caught:
        rows_of(cells[0], study=cells)
    assert "numbered can serve 100 in 'en', counting the items that all of en, es, sw have" in str(caught.value)
    assert len(rows_of(cells[0])) == 300


def test_another_seed_of_the_mixture_draws_other_rows_and_one_of_training_only_their_order() -> None:
    (component,) = components = [part(["en"], amount=200)]
    orders = [Orders(components, seed) for seed in (0, 1)]
    rows = [ids(materialise(allot(components, each), components, each, 0)) for each in orders]
    assert len(set(rows[0]) & set(rows[1])) < 20, "200 of some 16,000: 2.5 expected"
    ordered = ids(materialise(allot([component], orders[0]), components, orders[0], 1))
    assert ordered != rows[0] and sorted(ordered) == sorted(rows[0])


def test_temperature_goes_from_proportional_to_uniform() -> None:
    from data_mixes.mixture import budgets

    sizes = {"en": 900, "sw": 100}
    by = lambda temperature: budgets(part(["en", "sw"], total=100, temperature=temperature), sizes)  # noqa: E731
    assert by(1.0) == {"en": 90, "sw": 10}
    assert by(2.0) == {"en": 75, "sw": 25}
    assert by(float("inf")) == {"en": 50, "sw": 50}
    assert budgets(part(["en", "sw"], total=90, shares={"en": 1, "sw": 2}), sizes) == {"en": 30, "sw": 60}
    assert budgets(part(["en", "sw"], total=90, shares={"en": "rest", "sw": 0.1}), sizes) == {"en": 81, "sw": 9}
    assert budgets(part(["en", "sw"], total=90, shares={"en": "rest", "sw": 0}), sizes) == {"en": 90, "sw": 0}


def test_repeats_are_capped_and_even() -> None:
    available = len(SOURCES[SOURCE].pool("train", "en"))
    twice = part(["en"], amount=available + 10, max_repeats=2)
    rows = rows_of(twice)
    assert Counter(Counter(ids(rows)).values()) == {2: 10, 1: available - 10}
    (allotment,) = allot([twice], Orders([twice]))
    assert allotment.repeats == 2
    with pytest.raises(BudgetError, match=f"ask for {available} or fewer, or raise max_repeats"):
        rows_of(part(["en"], amount=available + 1))


def test_every_budget_that_cannot_be_served_is_named() -> None:
    with pytest.raises(BudgetError) as caught:
        rows_of(part(["en", "fr"], amount=10**9, unit="tokens"))
    assert [each.variant for each in caught.value.shortfalls] == ["en", "fr"]
    largest = caught.value.shortfalls[0].largest
    assert sum(letters(row, "tokens") for row in rows_of(part(["en"], amount=largest, unit="tokens"))) == largest


def test_every_epoch_holds_every_row_in_an_order_of_its_own() -> None:
    rows = rows_of(part(["en", "fr"], amount=10))
    epochs = [ids(rows.take(order)) for order in islice(epochs_of(rows, 0), 3)]
    assert epochs[0] == ids(rows)
    assert all(sorted(epoch) == sorted(epochs[0]) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


@given(st.lists(st.text(min_size=1), unique=True), SEEDS)
def test_the_seeded_order_is_that_of_the_ids_alone(names: list[str], seed: int) -> None:
    def ordered(some: list[str]) -> list[str]:
        return [some[index] for index in seeded_order(keys_of(some), seed)]

    assert ordered(names) == ordered(names[::-1])
    assert [name for name in ordered([*names, "one more"]) if name != "one more"] == [
        name for name in ordered(names) if name != "one more"
    ]


def test_another_seed_is_another_order() -> None:
    keys = keys_of(str(number) for number in range(50))
    assert seeded_order(keys, 0).tolist() != seeded_order(keys, 1).tolist()


@given(st.lists(st.integers(1, 100), max_size=60), st.integers(1, 9))
def test_sorting_by_length_keeps_every_global_batch(lengths: list[int], batch: int) -> None:
    order = batches_by_length(lengths, batch)
    for start in range(0, len(lengths), batch):
        chosen = order[start : start + batch]
        assert sorted(chosen) == list(range(start, min(start + batch, len(lengths))))
        assert [lengths[index] for index in chosen] == sorted(lengths[index] for index in chosen)
