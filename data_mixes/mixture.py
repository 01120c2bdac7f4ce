"""Mixtures: components → exact integers → rows, in order. Nothing is sampled by weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data_mixes.example import Example
from data_mixes.order import in_seeded_order, rank
from data_mixes.sources import SOURCES


@dataclass(frozen=True, slots=True)
class Allotment:
    """How many examples one component takes from one source in one language, decided before training."""

    component: str
    task: str
    source: str
    language: str
    examples: int
    available: int

    @property
    def shortfall(self) -> int:
        """How many examples the source lacks."""
        return max(0, self.examples - self.available)


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a mixture: `amount` examples of each of its sources in each of its languages."""

    name: str
    sources: Sequence[str]
    languages: Sequence[str]
    amount: int


def allot(components: Sequence[Component]) -> list[Allotment]:
    """Every component's exact counts, in the order of the recipe; empty ones left out."""
    return [
        Allotment(
            component=component.name,
            task=SOURCES[source].task,
            source=source,
            language=language,
            examples=component.amount,
            available=len(SOURCES[source].item_ids("train")),
        )
        for component in components
        for source in component.sources
        for language in component.languages
        if component.amount
    ]


def materialise(allotments: Sequence[Allotment], seed: int) -> list[Example]:
    """The rows of a mixture in training order.

    A source's items are taken in one seeded order for all languages, so the languages share their
    items and a smaller amount is contained in a larger one. The rows of all sources are then put
    in the seeded order of their ids: a row added elsewhere moves no two others past each other.
    """
    orders = {
        source: in_seeded_order(SOURCES[source].item_ids("train"), seed)
        for source in {allotment.source for allotment in allotments}
    }
    rows: list[Example] = []
    for allotment in merge(allotments):
        chosen = orders[allotment.source][: allotment.examples]
        rows += SOURCES[allotment.source].examples(chosen, allotment.language)
    return sorted(rows, key=lambda example: rank(example.id, seed))


def merge(allotments: Sequence[Allotment]) -> list[Allotment]:
    """Allotments of several components from one source in one language added up.

    So that two components never take the same rows twice.
    """
    totals: dict[tuple[str, str], Allotment] = {}
    for each in allotments:
        place = (each.source, each.language)
        before = totals[place].examples if place in totals else 0
        totals[place] = Allotment(
            each.component, each.task, each.source, each.language, before + each.examples, each.available
        )
    return list(totals.values())


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
