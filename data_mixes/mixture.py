"""Mixtures: components become exact integers, then rows in order. Nothing is sampled by weight."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data_mixes.order import Keys, mixed, seeded_order
from data_mixes.pairs import Variant
from data_mixes.rows import Rows, row_keys
from data_mixes.source import Pool, Source, common

Unit: TypeAlias = Literal["examples", "items", "tokens", "supervised_tokens"]
ItemPolicy: TypeAlias = Literal["shared", "disjoint", "independent"]
REST = "rest"
Share: TypeAlias = float | Literal["rest"]
"""A variant's part of a total: in proportion to the others'; beside a rest, of the whole."""
Costs: TypeAlias = Callable[[Pool, NDArray[np.int64], Unit], NDArray[np.int64]]
"""The cost in tokens of the rows at some places of a pool."""

TOKEN_UNITS = ("tokens", "supervised_tokens")
FIRST_LOOK = 256
SLICE = 1 << 21
"""Rows put in order at a time."""


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a mixture: an amount of each of its sources in each of its variants.

    Either `amount`, for each source and variant, or `total`, for each source, to be divided among
    the variants: by `shares`, or in proportion to what the source has to the power 1/`temperature`
    (1 is proportional, infinity uniform). Without `items`, languages share the items of a parallel
    source, and choose independently in any other source.
    """

    name: str
    sources: Sequence[Source]
    variants: Sequence[Variant]
    amount: int | None = None
    total: int | None = None
    temperature: float = 1.0
    shares: Mapping[str, Share] | None = None
    unit: Unit = "examples"
    items: ItemPolicy | None = None
    max_repeats: int = 1
    only_for: str | None = None
    """What alone sees the rows, where that is not the likelihood."""

    def policy(self, source: Source) -> ItemPolicy:
        """How the variants of this source's rows choose their items."""
        return self.items or ("shared" if source.parallel else "independent")


@dataclass(frozen=True, slots=True)
class Allotment:
    """How many rows one component takes from one source in one variant, decided before training.

    Its rows begin at `start` in the source's order, after those of earlier components; rows
    beyond `available` repeat the order from the beginning.
    """

    component: str
    task: str
    source: str
    variant: str
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
    variant: str
    asked: int
    largest: int
    unit: Unit
    sharing: tuple[str, ...] = ()
    """The variants that have fewer items in common than this one has, where it takes none but those."""

    def __str__(self) -> str:
        unit = self.unit.replace("_", " ")
        common = f", counting the items that all of {', '.join(self.sharing)} have" if self.sharing else ""
        fix = ", raise max_repeats, or set items: independent" if self.sharing else ", or raise max_repeats"
        return (
            f"got {self.asked} {unit}, but {self.source} can serve {self.largest} in {self.variant!r}{common}; "
            f"ask for {self.largest} or fewer{fix}"
        )


class BudgetError(ValueError):
    """Budgets that the sources cannot serve, all of them."""

    def __init__(self, shortfalls: Sequence[Shortfall]) -> None:
        self.shortfalls = tuple(shortfalls)
        super().__init__("; ".join(map(str, shortfalls)))


@dataclass(frozen=True)
class Orders:
    """The order in which each variant takes a source's training rows under one seed, made once for all cells.

    `components` are those of every cell of a study: languages that share items share those that all languages of the
    study have, so that one more language in a cell replaces no row of another.
    """

    components: Sequence[Component]
    seed: int = 0
    excluded: Mapping[str, Keys] = field(default_factory=dict[str, Keys])
    """Source → keys of items that no row may be made of, in any language."""
    _made: dict[tuple[str, Variant, ItemPolicy], NDArray[np.uint32]] = field(
        default_factory=dict[tuple[str, Variant, ItemPolicy], NDArray[np.uint32]], init=False, repr=False
    )

    def places(self, component: Component, source: Source, variant: Variant) -> NDArray[np.uint32]:
        """The places that the variant may take, in order; independent ones have an order of their own."""
        policy = component.policy(source)
        key = (source.name, variant, policy)
        if key not in self._made:
            available = self._available(source, variant, policy)
            own = f" {variant.plain_name}" if policy == "independent" else ""
            items = variant.pool(source, "train").items[available]
            self._made[key] = available[seeded_order(items, f"{self.seed}{own}")].astype(np.uint32)
        return self._made[key]

    def _available(self, source: Source, variant: Variant, policy: ItemPolicy) -> NDArray[np.int64]:
        """The places that the variant may take, in no order.

        Shared: the items that all variants of the source have. Disjoint: of these, the ones that a hash of item and
        variant gives to this variant (rendezvous hashing), so that a language more takes items from the others and
        moves none between them.
        """
        items = variant.pool(source, "train").items
        kept = np.ones(len(items), dtype=bool)
        if source.name in self.excluded:
            kept &= ~np.isin(items, self.excluded[source.name])
        if policy != "independent" and source.parallel:
            variants = self.sharing(source)
            common = common_items(source, variants)
            if len(common) < len(items):
                kept &= np.isin(items, common)
            if policy == "disjoint":
                kept &= owners(items, variants, self.seed) == variants.index(variant)
        return np.flatnonzero(kept)

    def sharing(self, source: Source) -> tuple[Variant, ...]:
        """The variants that choose a source's items together, in some component of some cell."""
        users = [
            component
            for component in self.components
            for used in component.sources
            if used.name == source.name and component.policy(source) != "independent"
        ]
        return tuple(dict.fromkeys(variant for user in users for variant in user.variants))

    def limited_by(self, component: Component, source: Source, variant: Variant) -> tuple[str, ...]:
        """The variants that leave this one fewer items than it has, as they share them."""
        if component.policy(source) == "independent" or not source.parallel:
            return ()
        variants = self.sharing(source)
        fewer = len(common_items(source, variants)) < len(variant.pool(source, "train").items)
        return tuple(variant.name for variant in variants) if fewer else ()


@lru_cache(maxsize=64)
def common_items(source: Source, variants: tuple[Variant, ...]) -> Keys:
    """The keys of the training items that all of the variants have."""
    return common(variant.pool(source, "train").items for variant in variants)


def owners(items: Keys, variants: Sequence[Variant], seed: int) -> NDArray[np.int64]:
    """The index of the one variant that owns each item when variants share no items."""
    return np.argmin([mixed(items, f"owner {seed} {variant.plain_name}") for variant in variants], axis=0)


def allot(components: Sequence[Component], orders: Orders, costs: Costs | None = None) -> list[Allotment]:
    """Every component's exact counts, in the order of the recipe; empty ones left out.

    Budgets in tokens need `costs`. Raises BudgetError with every budget that cannot be served.
    """
    taken: dict[tuple[str, str], int] = {}
    allotments: list[Allotment] = []
    shortfalls: list[Shortfall] = []
    for component, source in [(part, source) for part in components for source in part.sources]:
        sizes = {variant.name: len(orders.places(component, source, variant)) for variant in component.variants}
        wanted = budgets(component, sizes)
        for variant in component.variants:
            start = taken.get((source.name, variant.name), 0)
            repeats = 1 if component.unit == "items" else component.max_repeats  # a repeated item is not another item
            room = max(0, sizes[variant.name] * repeats - start)
            budget = wanted[variant.name]
            if component.unit in TOKEN_UNITS and budget:
                served, largest = fit(component, source, variant, budget, start, room, orders, costs)
            else:
                served, largest = budget, room
            if budget > largest and source.falls_short:
                budget, served = largest, min(served, room)
            if budget > largest:
                where = (component.name, source.name, variant.name)
                sharing = orders.limited_by(component, source, variant)
                shortfalls.append(Shortfall(*where, budget, largest, component.unit, sharing))
            elif budget:  # served may be 0: a budget of tokens that holds no whole row
                taken[source.name, variant.name] = start + served
                row_kind = (component.name, variant.pool(source, "train").task, source.name, variant.name)
                allotments.append(Allotment(*row_kind, start, served, sizes[variant.name]))
    if shortfalls:
        raise BudgetError(shortfalls)
    return allotments


def budgets(component: Component, sizes: Mapping[str, int]) -> dict[str, int]:
    """What each variant gets of one source, in the component's unit; `sizes` are the rows it has."""
    names = [variant.name for variant in component.variants]
    if component.amount is not None:
        if component.unit == "items" and component.items == "disjoint":
            return apportion(component.amount, dict.fromkeys(names, 1.0))
        return dict.fromkeys(names, component.amount)
    assert component.total is not None
    if component.shares is not None:
        shares: dict[str, Share] = {
            variant.name: component.shares[variant.plain_name] for variant in component.variants
        }
        return apportion(component.total, with_rest(shares))
    exponent = 1 / component.temperature
    largest = max(*sizes.values(), 1)
    return apportion(
        component.total, {name: (size / largest) ** exponent if size else 0 for name, size in sizes.items()}
    )


def with_rest(shares: Mapping[str, Share]) -> Mapping[str, float | Fraction]:
    """The shares as numbers: what the others leave of 1 for a rest."""
    named = {name: share for name, share in shares.items() if not isinstance(share, str)}
    if len(named) == len(shares):
        return named
    exact = {name: Fraction(str(share)) for name, share in named.items()}
    return {name: exact.get(name, 1 - sum(exact.values())) for name in shares}


def apportion(total: int, weights: Mapping[str, float | Fraction]) -> dict[str, int]:
    """Whole numbers in proportion to the weights that add up to `total` (Webster, Sainte-Laguë).

    A divisor method: a larger total takes nothing from anyone, so mixtures of it nest.
    """
    if not any(weights.values()):
        weights = dict.fromkeys(weights, 1.0)
    exact = {name: Fraction(weight) for name, weight in weights.items() if weight}
    whole = sum(exact.values())
    counts = dict.fromkeys(weights, 0) | {
        name: math.floor(total * weight / whole + Fraction(1, 2)) for name, weight in exact.items()
    }
    rank = {name: number for number, name in enumerate(exact)}
    while (missing := total - sum(counts.values())) != 0:
        if missing > 0:
            counts[min(exact, key=lambda name: ((2 * counts[name] + 1) / exact[name], rank[name]))] += 1
        else:
            counts[max(exact, key=lambda name: ((2 * counts[name] - 1) / exact[name], rank[name]))] -= 1
    return counts


def fit(
    component: Component,
    source: Source,
    variant: Variant,
    budget: int,
    start: int,
    room: int,
    orders: Orders,
    costs: Costs | None,
) -> tuple[int, int]:
    """How many rows fit in a budget of tokens; and the budget, or what all rows come to if that is less."""
    if costs is None:
        raise ValueError("a budget in tokens needs a tokenizer")
    pool, order = variant.pool(source, "train"), orders.places(component, source, variant)
    spent, rows, look = 0, 0, FIRST_LOOK
    while rows < room:
        positions = np.arange(start + rows, start + min(rows + look, room)) % len(order)
        totals = spent + np.cumsum(costs(pool, order[positions].astype(np.int64), component.unit))
        fitting = int(np.searchsorted(totals, budget, side="right"))
        if fitting < len(totals):
            return rows + fitting, budget
        spent, rows, look = int(totals[-1]), rows + len(totals), 2 * look
    return rows, spent


def materialise(allotments: Sequence[Allotment], components: Sequence[Component], orders: Orders, seed: int) -> Rows:
    """The rows of a mixture in training order, with a pool for each allotment that has rows, in their order.

    A smaller budget's rows are the first of a larger one's. The rows of all sources are then put in the order of their
    keys under `seed`: a row added elsewhere moves no two others past each other.
    """
    by_name = {component.name: component for component in components}
    pools: list[Pool] = []
    chosen: list[tuple[NDArray[np.uint32], NDArray[np.uint16]]] = []
    for allotment in allotments:
        component = by_name[allotment.component]
        source = next(source for source in component.sources if source.name == allotment.source)
        variant = next(variant for variant in component.variants if variant.name == allotment.variant)
        if not allotment.examples:
            continue
        order = orders.places(component, source, variant)
        position = np.arange(allotment.start, allotment.start + allotment.examples)
        pools.append(variant.pool(source, "train"))
        chosen.append((order[position % len(order)], (position // len(order)).astype(np.uint16)))
    return in_training_order(pools, chosen, seed)


def in_training_order(
    pools: Sequence[Pool], chosen: Sequence[tuple[NDArray[np.uint32], NDArray[np.uint16]]], seed: int
) -> Rows:
    """Rows given as places and turns in their pools, by rank; a range of ranks at a time, to keep memory low."""
    total = sum(len(places) for places, _ in chosen)
    numbers, ordered = np.empty(total, np.uint16), np.empty(total, np.uint32)
    done, slices = 0, max(1, total // SLICE) if total else 0
    for part in range(slices):
        parts: list[tuple[Keys, NDArray[np.uint16], NDArray[np.uint32]]] = []
        for number, (pool, (places, turns)) in enumerate(zip(pools, chosen, strict=True)):
            ranks = training_ranks(row_keys(pool, places), turns, seed)
            own = ranks // np.uint64(2**64 // slices + 1) == part if slices > 1 else slice(None)
            parts.append((ranks[own], np.full(len(ranks[own]), number, np.uint16), places[own]))
        ranks, from_pool, places = map(np.concatenate, zip(*parts, strict=True))
        order = np.argsort(ranks, kind="stable")
        numbers[done : done + len(order)], ordered[done : done + len(order)] = from_pool[order], places[order]
        done += len(order)
    return Rows(tuple(pools), numbers, ordered)


def training_ranks(keys: Keys, turns: NDArray[np.uint16], seed: int) -> Keys:
    """The ranks of rows in training; the n-th repetition of a row has a rank of its own."""
    ranks = np.empty(len(keys), dtype=np.uint64)
    for turn in np.unique(turns):
        own = turns == turn
        ranks[own] = mixed(keys[own], f"training {seed} {turn}")
    return ranks


def epochs_of(rows: Rows, seed: int) -> Iterator[NDArray[np.int64]]:
    """Indices of the rows of a mixture, epoch by epoch: first in their order, then reshuffled for every epoch."""
    yield np.arange(len(rows))
    epoch = 0
    while True:
        epoch += 1
        yield seeded_order(rows.keys, f"epoch {seed} {epoch}")


def batches_by_length(lengths: NDArray[np.int64], global_batch: int) -> NDArray[np.int64]:
    """An order of rows in which each global batch holds the same rows, sorted by length.

    A gradient step sums over its global batch, so the order within it does not touch the result,
    and micro-batches of rows of like length waste little on padding. A last batch that is not
    full stays as it is.
    """
    batches = np.arange(len(lengths)) // global_batch
    return np.lexsort((lengths, batches))
