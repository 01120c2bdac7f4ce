"""Rows that a term of `training.objectives` sees, and the likelihood does not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from data_mixes.mixture import Component, Costs, Orders, allot, materialise
from data_mixes.rows import Rows
from data_mixes.tokens import Measures
from harness.planning.cells import Aside, CellPlan, examples_by_source
from harness.recipe.grid import Cell

if TYPE_CHECKING:
    from harness.planning.study import Study

HELD_OUT, FEWEST = 48, 8
"""Items of each pair of languages that translations are looked for among, at most and at least."""


def learned(components: Sequence[Component]) -> list[Component]:
    """The components that the likelihood is of."""
    return [component for component in components if component.only_for is None]


def asides_of(components: Sequence[Component], orders: Orders, costs: Costs | None, seed: int) -> dict[str, Aside]:
    """Term → its rows. They move no row of the likelihood. Raises BudgetError for amounts that cannot be served."""
    terms = list(dict.fromkeys(filter(None, (component.only_for for component in components))))
    return {term: aside_of([part for part in components if part.only_for == term], orders, costs, seed)
            for term in terms}  # fmt: skip


def aside_of(components: Sequence[Component], orders: Orders, costs: Costs | None, seed: int) -> Aside:
    """The rows of a term's components, and for pairs those held out, which must not be among them."""
    allotments = allot(components, orders, costs)
    rows = materialise(allotments, components, orders, seed)
    if components[0].only_for != "align":
        return Aside(tuple(allotments), rows)
    if any(part.available - part.start - part.examples < FEWEST for part in allotments):
        more = [replace(part, amount=(part.amount or part.total or 0) + FEWEST, total=None) for part in components]
        allot(more, orders, costs)  # says what the largest amount is that leaves some
    further = [
        replace(part, start=part.start + part.examples,
                examples=min(HELD_OUT, part.available - part.start - part.examples))
        for part in allotments
    ]  # fmt: skip
    return Aside(tuple(allotments), rows, materialise(further, components, orders, seed))


def aside_identity(asides: Mapping[str, Aside], measures: Measures) -> dict[str, Any]:
    """What of these rows decides what a cell becomes."""
    return {
        term: {
            "mixture": examples_by_source(aside.allotments),
            "rows": hashlib.sha256(measures.rows(aside.rows).content.tobytes()).hexdigest()[:16],
        }
        for term, aside in asides.items()
    }


def objective_notes(study: Study) -> list[str]:
    """What the terms of cells see, in how many steps, and what to beware of."""
    notes: list[str] = []
    for plan in study.plans:
        notes += [note for term in plan.asides for note in notes_of(plan, term)]
    return list(dict.fromkeys(notes))


def notes_of(plan: CellPlan, term: str) -> Iterator[str]:
    """What one term of a cell sees."""
    aside, settings = plan.asides[term], getattr(plan.cell.recipe.training.objectives, term)
    counts = ", ".join(f"{rows} {pool}" for pool, rows in examples_by_source(aside.allotments).items())
    if term == "ewc":
        yield f"ewc: what weights matter to earlier rows is estimated on {counts}"
        return
    own = getattr(settings, "schedule", "sum") == "alternate"
    how = f"{plan.steps} steps of its own, one after each" if own else f"added to each of {plan.steps} steps"
    held_out = f"; {len(aside.held_out)} pairs held out to measure it" if len(aside.held_out) else ""
    yield f"{term}: {counts}; batches of {settings.batch}, {how}{held_out}; the time estimate leaves it out"
    if term == "align" and (clusters := templates_of(aside.rows)):
        yield (
            f"align: the pairs of {', '.join(sorted({part.source for part in aside.allotments}))} are of {clusters} "
            "templates, so most texts of a batch differ in names and numbers alone, and the loss can fall by telling "
            "those apart while translations of other texts grow less alike; use varied text, and see what is held out"
        )


def templates_of(rows: Rows) -> int:
    """How many templates, or other clusters, rows are of, where these are much fewer than the rows; else 0."""
    clusters = [example.cluster for example in rows]
    return len({*clusters}) if None not in clusters and len({*clusters}) < len(clusters) / 4 else 0


def asides_for(cell: Cell, orders: Orders, costs: Costs | None) -> dict[str, Aside]:
    """The rows of a cell's terms."""
    return asides_of(cell.recipe.components, orders, costs, cell.recipe.training.seed)
