"""Mixtures: components → exact integers → rows, in order. Nothing is sampled by weight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal, TypeAlias

from data_mixes.example import Example
from data_mixes.order import in_seeded_order, rank
from data_mixes.prompts import Rendering
from data_mixes.sources import SOURCES

Unit: TypeAlias = Literal["examples", "items", "tokens", "supervised_tokens"]
ItemPolicy: TypeAlias = Literal["shared", "disjoint", "independent"]
Render: TypeAlias = Callable[[Example], Rendering]

TOKEN_UNITS = ("tokens", "supervised_tokens")


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a mixture: an amount of each of its sources in each of its languages.

    Either `amount`, for each source and language, or `total`, for each source, to be divided among
    the languages: by `shares`, or in proportion to what the source has to the power 1/`temperature`
    (1 is proportional, infinity uniform).
    """

    name: str
    sources: Sequence[str]
    languages: Sequence[str]
    amount: int | None = None
    total: int | None = None
    temperature: float = 1.0
    shares: Mapping[str, float] | None = None
    unit: Unit = "examples"
    items: ItemPolicy = "shared"
    max_repeats: int = 1


@dataclass(frozen=True, slots=True)
class Allotment:
    """How many rows one component takes from one source in one language, decided before training.

    `start` is where in the source's order its rows begin, after those of earlier components; rows
    beyond `available` repeat the order from its beginning.
    """

    component: str
    task: str
    source: str
    language: str
    start: int
    examples: int
    available: int

    @property
    def repeats(self) -> int:
        """How often the row taken most often is taken."""
        return -(-(self.start + self.examples) // self.available) if self.examples else 0


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A budget that a source cannot serve, and the largest that it can, in the component's unit."""

    component: str
    source: str
    language: str
    asked: int
    largest: int
    unit: Unit

    def __str__(self) -> str:
        unit = self.unit.replace("_", " ")
        return (
            f"got {self.asked} {unit}, but {self.source} can serve {self.largest} in {self.language!r}; "
            f"ask for {self.largest} or fewer, or raise max_repeats"
        )


class BudgetError(ValueError):
    """Budgets that the sources cannot serve, all of them."""

    def __init__(self, shortfalls: Sequence[Shortfall]) -> None:
        self.shortfalls = tuple(shortfalls)
        super().__init__("; ".join(map(str, shortfalls)))


class Orders:
    """The order in which a source's training items are taken in each language, under one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._known: dict[tuple[str, ...], list[str]] = {}

    def items(self, component: Component, source: str, language: str) -> list[str]:
        """Item ids in order.

        Shared: the same for every language. Independent: every language its own. Disjoint: each item
        belongs to the one of the component's languages that a hash of both ranks first, so that a
        language more takes items from the others and moves none between them.
        """
        match component.items:
            case "shared":
                return self._once((source,), lambda: in_seeded_order(SOURCES[source].item_ids("train"), self.seed))
            case "independent":
                items = SOURCES[source].item_ids("train")
                return self._once(
                    (source, language), lambda: sorted(items, key=lambda item: rank(f"{item}@{language}", self.seed))
                )
            case "disjoint":
                shared = self._once((source,), lambda: in_seeded_order(SOURCES[source].item_ids("train"), self.seed))
                languages = component.languages
                return self._once(
                    (source, language, *languages),
                    lambda: [item for item in shared if owner(item, languages, self.seed) == language],
                )

    def _once(self, key: tuple[str, ...], make: Callable[[], list[str]]) -> list[str]:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]


def owner(item: str, languages: Sequence[str], seed: int) -> str:
    """The language that an item belongs to where each belongs to one (rendezvous hashing)."""
    return min(languages, key=lambda language: rank(f"{item}|{language}", seed))


def allot(components: Sequence[Component], seed: int = 0, render: Render | None = None) -> list[Allotment]:
    """Every component's exact counts, in the order of the recipe; empty ones left out.

    Budgets in tokens need `render`. Raises BudgetError with every budget that cannot be served.
    """
    orders = Orders(seed)
    taken: dict[tuple[str, str], int] = {}
    allotments: list[Allotment] = []
    shortfalls: list[Shortfall] = []
    for component, source in [(part, source) for part in components for source in part.sources]:
        pools = {language: orders.items(component, source, language) for language in component.languages}
        for language, budget in budgets(component, {language: len(pool) for language, pool in pools.items()}).items():
            start = taken.get((source, language), 0)
            served = serve(component, source, language, budget, pools[language], start, render)
            if isinstance(served, Shortfall):
                shortfalls.append(served)
            elif served:
                taken[source, language] = start + served
                place = (component.name, SOURCES[source].task, source, language)
                allotments.append(Allotment(*place, start, served, len(pools[language])))
    if shortfalls:
        raise BudgetError(shortfalls)
    return allotments


def budgets(component: Component, sizes: Mapping[str, int]) -> dict[str, int]:
    """What each language gets of one source, in the component's unit."""
    if component.amount is not None:
        if component.unit == "items" and component.items == "disjoint":
            return apportion(component.amount, dict.fromkeys(component.languages, 1.0))
        return dict.fromkeys(component.languages, component.amount)
    assert component.total is not None
    if component.shares is not None:
        return apportion(component.total, {language: component.shares[language] for language in component.languages})
    exponent = 1 / component.temperature
    largest = max(sizes.values())
    return apportion(component.total, {language: (size / largest) ** exponent for language, size in sizes.items()})


def apportion(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers in proportion to the weights that add up to `total` (largest remainders, Hamilton)."""
    whole = sum(weights.values())
    exact = {name: total * weight / whole for name, weight in weights.items()}
    counts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def serve(
    component: Component,
    source: str,
    language: str,
    budget: int,
    pool: Sequence[str],
    start: int,
    render: Render | None,
) -> int | Shortfall:
    """How many rows serve a budget: exactly as many examples or items, or as many rows as fit in the tokens."""
    room = max(0, len(pool) * component.max_repeats - start)
    if component.unit not in TOKEN_UNITS:
        short = Shortfall(component.name, source, language, budget, room, component.unit)
        return short if budget > room else budget
    if render is None:
        raise ValueError("a budget in tokens needs a tokenizer")
    spent = 0
    for rows in range(room):
        item = pool[(start + rows) % len(pool)]
        rendering = render(SOURCES[source].examples([item], language)[0])
        cost = rendering.tokens if component.unit == "tokens" else rendering.supervised_tokens
        if spent + cost > budget:
            return rows
        spent += cost
    return room if spent == budget else Shortfall(component.name, source, language, budget, spent, component.unit)


def materialise(allotments: Sequence[Allotment], components: Sequence[Component], seed: int) -> list[Example]:
    """The rows of a mixture in training order.

    A smaller budget's rows are the first of a larger one's. The rows of all sources are then put in
    the seeded order of their ids: a row added elsewhere moves no two others past each other.
    """
    orders = Orders(seed)
    by_name = {component.name: component for component in components}
    rows: list[tuple[bytes, Example]] = []
    for each in allotments:
        pool = orders.items(by_name[each.component], each.source, each.language)
        places = range(each.start, each.start + each.examples)
        chosen = SOURCES[each.source].examples([pool[place % len(pool)] for place in places], each.language)
        rows += _ranked(chosen, (place // len(pool) for place in places), seed)
    return [example for _, example in sorted(rows, key=lambda row: row[0])]


def _ranked(examples: Iterable[Example], rounds: Iterable[int], seed: int) -> Iterable[tuple[bytes, Example]]:
    """Each example with its place in training; the n-th repetition of a row has a place of its own."""
    for example, turn in zip(examples, rounds, strict=True):
        yield rank(f"{example.id}#{turn}" if turn else example.id, seed), example


def epochs_of(rows: Sequence[Example], seed: int) -> Iterator[Example]:
    """The rows of a mixture again and again: the first epoch as they are, each other in a seeded order of its own."""
    yield from rows
    for epoch in count(1):
        yield from sorted(rows, key=lambda row: rank(f"{row.id}~{epoch}", seed))


def batches_by_length(lengths: Sequence[int], global_batch: int) -> list[int]:
    """An order of rows in which each global batch holds the same rows, sorted by length.

    A gradient step sums over its global batch, so the order within it does not touch the result,
    and micro-batches of rows of like length waste little on padding. A last batch that is not
    full stays as it is.
    """
    order: list[int] = []
    for start in range(0, len(lengths), global_batch):
        batch = range(start, min(start + global_batch, len(lengths)))
        order += sorted(batch, key=lambda index: (lengths[index], index))
    return order
