"""Cells that begin with the weights of others: what identifies them, and which must be there first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from eval.analysis.stages import Chain
from harness.errors import Problem
from harness.planning.bases import Base
from harness.planning.cells import CellPlan
from harness.planning.design import is_seed
from harness.recipe.grid import Cell, base_names, name_of
from harness.recipe.schema import STAGE, Recipe
from harness.recipe.stages import Staged
from harness.recipe.stages_section import OWN
from harness.runs.record import fingerprint

REGIME = {"stages.order", "stages.start", "stages.replay", "stages.joint"}
"""Keys that say how stages follow one another, and not what each of them is."""


def linked(plans: Sequence[CellPlan], grid: Sequence[Cell]) -> list[CellPlan]:
    """The plans, whose identities now hold the fingerprints of the cells that they begin with.

    So a stage is another one where anything before it is, and what begins alike is trained once.
    """
    known: dict[str, CellPlan] = {}
    for plan in plans:
        known[plan.name] = replace(plan, run=replace(plan.run, identity=_identity(plan, known, grid)))
    return list(known.values())


def _identity(plan: CellPlan, known: Mapping[str, CellPlan], grid: Sequence[Cell]) -> Mapping[str, Any]:
    stage = plan.cell.stage
    if stage is None or not stage.parents:
        return plan.run.identity
    first = {name: known[name_of(grid, cell)].run.identity for name, cell in stage.parents.items()}
    prints = {name: fingerprint(identity) for name, identity in first.items()}
    if stage.made_of is None:
        (hashed,) = prints.values()
        return {**plan.run.identity, "after": {"stage": hashed, "start": stage.start}}

    def hashed_part(part: str) -> str:
        name = part.removesuffix(OWN)
        return prints[name] + part[len(name) :]

    made, sums, layers = stage.made_of, dict[str, float](), dict[str, list[list[int]]]()
    for part, weight in (
        made.sum or made.ties or {}
    ).items():  # parts that are one and the same cell count as often as they stand
        sums[hashed_part(part)] = sums.get(hashed_part(part), 0.0) + weight
    for part, spans in (made.layers or {}).items():
        layers[hashed_part(part)] = sorted([*layers.get(hashed_part(part), []), *map(list, spans)])
    parts: dict[str, Any] = {"take": hashed_part(made.take), "layers": layers} if made.take else {"sum": sums}
    if made.ties:
        parts = {"ties": {hashed_part(part): weight for part, weight in made.ties.items()},
                 "density": made.density, "rank": made.rank}  # fmt: skip
    method = next(iter(first.values()))["training"].get("method")
    kept = {key: plan.run.identity[key] for key in ("version", "model", "mixture")}
    return {**kept, "training": {"method": method} if method else {}, "made_of": parts}


def learned_languages(plans: Sequence[CellPlan], grid: Sequence[Cell]) -> dict[str, tuple[str, ...]]:
    """Cell → the languages of its rows, and of those of the cells that it begins with, in the order of the recipe."""
    learned: dict[str, tuple[str, ...]] = {}
    for plan in plans:
        before = [language for parent in plan.cell.parents for language in learned[name_of(grid, parent)]]
        languages = {*plan.trained_languages, *before}
        learned[plan.name] = tuple(name for name in plan.cell.recipe.languages.seen if name in languages)
    return learned


def stage_notes(cells: Sequence[Cell]) -> list[str]:
    """What cells begin with, where that is not the base model, and what composed ones are made of."""
    begun = Counter(cell.stage.start for cell in cells if cell.stage and cell.parents and not cell.is_made)
    words = {"continue": "go on with the weights of the stage before", "stack": "put a new adapter on top of it"}
    told = ", ".join(f"{count} {words[start]} ({start})" for start, count in begun.items() if start in words)
    notes = [f"Of {len(cells)} cells {told}; optimizer and schedule begin anew in each stage"] if told else []
    for cell in cells:
        if cell.stage and (made := cell.stage.made_of):
            sums = " + ".join(f"{weight:g} × {part}" for part, weight in (made.sum or {}).items())
            spans = {part: ", ".join(f"{first}–{end - 1}" for first, end in layers)
                     for part, layers in (made.layers or {}).items()}  # fmt: skip
            taken = "; ".join(f"layers {layers} of {part}" for part, layers in spans.items())
            sums = sums or " + ".join(f"{weight:g} × {part}" for part, weight in (made.ties or {}).items())
            sums += f" by TIES, of each the largest {made.density:.0%}, rank {made.rank}" if made.ties else ""
            notes.append(f"{cell.name} is made of {sums or f'{made.take} with {taken}'}")
    return notes


def with_parents(cells: Sequence[Cell], chosen: Collection[str]) -> frozenset[str]:
    """The chosen cells and all that must be trained before them, or before rows of theirs are written, by name."""
    by_name = {cell.name: cell for cell in cells}
    wanted, pending = set[str](), list(chosen)
    while pending:
        if (name := pending.pop()) not in wanted:
            wanted.add(name)
            pending += [name_of(cells, needed) for needed in by_name[name].needs]
    return frozenset(wanted)


def chains_of(recipe: Recipe, cells: Sequence[Cell]) -> list[Chain]:
    """The chains of stages whose every stage is tested, in each combination of the other axes."""
    if recipe.stages is None or recipe.evaluation.after != "every-stage":
        return []
    bases = base_names(recipe, cells) if recipe.evaluation.base else {}
    orders = [name for name, axis in recipe.grid.items() if axis.paths == ("stages.order",)]
    apart = {*orders, *(name for name, axis in recipe.grid.items() if is_seed(axis))}
    regime = {name for name, axis in recipe.grid.items() if {*axis.paths} <= REGIME}
    alone = {(in_words(placed.place, {STAGE, *regime}), placed.stage.name): cell.name
             for cell in cells for placed in (cell, *cell.also) if placed.stage and is_alone(placed)}  # fmt: skip
    trained: dict[str, dict[str, tuple[Staged, str]]] = {}
    places: dict[str, Mapping[str, float | str]] = {}
    for cell in cells:
        for placed in (cell, *cell.also):
            if (stage := placed.stage) and not placed.is_made:
                name = in_words(placed.place, {STAGE})
                places[name] = placed.place
                trained.setdefault(name, {})[stage.name] = (stage, cell.name)
    chains: list[Chain] = []
    for others, stages in trained.items():
        first, _ = next(iter(stages.values()))
        place = places[others]
        order = [name for name in first.order if name in stages]
        follow = all({*stages[name][0].parents} == {before} for before, name in pairwise(order))
        if len(order) > 1 and (first.by_language or follow):
            named = tuple(stages[name][1] for name in order)
            of_order = ", ".join(str(place[axis]) for axis in orders)
            group = in_words(place, {STAGE, *apart})
            own = [alone.get((in_words(place, {STAGE, *regime}), name)) for name in order]
            chain = Chain(others, tuple(order), named, bases.get(named[0]), first.by_language, of_order, group)
            chains.append(replace(chain, alone=tuple(filter(None, own)) if all(own) else ()))
    return chains


def is_alone(cell: Cell) -> bool:
    """Whether a stage for a language is trained on this alone, with nothing before it."""
    languages = {name for part in cell.recipe.ingredients.values() for name in part.all_languages}
    return cell.stage is not None and cell.stage.by_language and not cell.parents and languages == {cell.stage.name}


def in_words(place: Mapping[str, float | str], without: Collection[str]) -> str:
    """The values on the axes but some."""
    return ", ".join(f"{axis} {value}" for axis, value in place.items() if axis not in without)


def layer_problems(cells: Sequence[Cell], bases: Sequence[Base]) -> list[Problem]:
    """Layers of composed cells that the base model does not have."""
    problems: list[Problem] = []
    for cell in cells:
        made = cell.stage.made_of if cell.stage else None
        spans = [span for of_stage in ((made and made.layers) or {}).values() for span in of_stage]
        base = next(base for base in bases if base.settings == cell.recipe.base_model) if spans else None
        count = base.layers if base else None
        problems += [
            Problem(f"compose.{cell.stage.name}.layers", f"got [{first}, {end}], and the model has {count} layers")
            for first, end in spans if cell.stage and count is not None and end > count
        ]  # fmt: skip
    return problems
