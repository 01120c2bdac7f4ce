"""Rows that a model is to write: what it is asked, whether it has answered, and which cells wait for that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as parquet

from data_mixes.example import SCHEMA, Example, from_table
from data_mixes.generated import GeneratedSource, Written
from data_mixes.mixture import Component, Orders, allot, materialise
from data_mixes.rows import Rows
from data_mixes.source import Drops
from harness.planning.row_files import is_whole
from harness.recipe.generated_section import BASE_MODEL
from harness.recipe.grid import Cell, name_of
from harness.recipe.schema import Recipe
from harness.runs.folder import StudyFolder
from harness.runs.record import fingerprint, read_json

if TYPE_CHECKING:
    from harness.planning.cells import CellPlan
    from harness.planning.study import Study

ABOUT = b"about"
"""The key of a table's metadata that says who wrote it and how."""
REASON = "reason"
"""The column that says why an answer is no target; null where it is one."""


def generated_sources(recipe: Recipe) -> list[GeneratedSource]:
    """The sources of a cell's rows that a model writes, each once."""
    named = {source.name: source for part in recipe.components for source in part.sources}
    return [source for source in named.values() if isinstance(source, GeneratedSource)]


def asked_of(recipe: Recipe) -> list[Component]:
    """What models are asked to write a cell's rows, as components: their languages share items with the others."""
    return [source.prompts for source in generated_sources(recipe)]


def prompts_for(cell: Cell, orders: Orders) -> dict[str, Rows]:
    """Generated source → its prompts. Raises BudgetError where their source has fewer."""
    asked = {source.name: source.prompts for source in generated_sources(cell.recipe)}
    return {name: materialise(allot([part], orders), [part], orders, 0) for name, part in asked.items()}


def with_written(study: Study, plans: Sequence[CellPlan]) -> list[Cell] | None:
    """The cells with what models have written by now for their rows; None where that is known of all of them.

    `plans` are of the cells as they are known, with their identities. A source's version holds the fingerprint of the
    model that writes it, so that it is another source where anything before it changes.
    """
    by_name, changed = {plan.name: plan for plan in plans}, False
    cells: list[Cell] = []
    for cell in study.grid:
        bound: dict[str, GeneratedSource] = {}
        for source in generated_sources(cell.recipe):
            version = version_of(study, by_name[cell.name], source, by_name)
            path = StudyFolder(study.folder).written(source.name, version)
            there = is_whole(path)
            if (version, there) != (source.version, source.written is not None):
                asked = list(by_name[cell.name].prompts[source.name])
                bound[source.name] = source.bound(version, asked, read_written(path) if there else None)
        changed = changed or bool(bound)
        cells.append(replace(cell, recipe=cell.recipe.with_sources(bound)) if bound else cell)
    return cells if changed else None


def version_of(study: Study, plan: CellPlan, source: GeneratedSource, plans: Mapping[str, CellPlan]) -> str:
    """A hash of all that decides what is written: the model, the prompts and their words, decoding, what is kept."""
    recipe, base = plan.cell.recipe, study.base_of(plan.cell)
    prompts = plan.prompts[source.name]
    given = recipe.generated[source.name]
    decided: list[Any] = [
        given.model_dump(mode="json", exclude={"by", "prompts", "short"}),
        writer_identity(study, plan, given.by, source.name, plans),
        hashlib.sha256(prompts.keys.tobytes()).hexdigest(),
        source.prompts.sources[0].version,
        base.renderer.template_hash,
        study.precision.dtype,
        str(recipe.evaluation.identifier) if given.keep.language else None,
    ]
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()[:16]


def writer_identity(study: Study, plan: CellPlan, by: str, source: str, plans: Mapping[str, CellPlan]) -> str:
    """What identifies the model that writes: the fingerprint of a stage's cell, or the files or address of another."""
    writers = plan.cell.stage.writers if plan.cell.stage else {}
    if source in writers:
        return fingerprint(plans[name_of(study.grid, writers[source])].run.identity)
    if by == BASE_MODEL:
        return study.base_of(plan.cell).files.identity
    model = next(model for model in study.outside if model.name == by)
    return model.under_test().weights or ""


def read_written(path: Path) -> Written:
    """What a model wrote."""
    table = parquet.read_table(path)
    examples = list(from_table(table.select(SCHEMA.names)))
    rows: dict[str, list[Example]] = {}
    left_out: dict[str, list[str]] = {}
    for example, reason in zip(examples, table[REASON].to_pylist(), strict=True):
        if reason is None:
            rows.setdefault(example.language, []).append(example)
        else:
            left_out.setdefault(f"{example.language}: {reason}", []).append(example.id)
    drops = Drops()
    for reason, ids in sorted(left_out.items()):
        drops.add(reason, ids)
    return Written(rows, drops)


def unwritten(plan: CellPlan) -> list[GeneratedSource]:
    """The sources of a cell's rows that are not written yet."""
    used = {allotment.source for allotment in plan.allotments if allotment.examples}
    return [source for source in generated_sources(plan.cell.recipe) if source.name in used and source.written is None]


def waiting(plans: Sequence[CellPlan], grid: Sequence[Cell]) -> dict[str, tuple[str, ...]]:
    """Cell → the sources that must be written before it, or a cell that it begins with, can be trained."""
    names: dict[str, tuple[str, ...]] = {}
    for plan in plans:
        own = [source.name for source in unwritten(plan)]
        before = [name for parent in plan.cell.parents for name in names.get(name_of(grid, parent), ())]
        if (own or before) and not plan.run.finished:
            names[plan.name] = tuple(dict.fromkeys((*before, *own)))
    return names


def as_trained(identity: Mapping[str, Any], record: Path) -> Mapping[str, Any]:
    """The identity of a cell whose rows are not there: that of its run, where this was trained on the same sources.

    So a cell stays what it is where the table of its rows is lost, or damaged.
    """
    before = (read_json(record) or {}).get("identity", {})
    same = {"mixture", "rows"} if before.get("sources") == identity["sources"] else set[str]()
    return {key: before[key] if key in same else value for key, value in identity.items()}


def generated_notes(study: Study) -> list[str]:
    """What models are asked to write, and what became of it."""
    written, to_come = dict[str, dict[str, int]](), dict[str, dict[str, None]]()
    held = waiting(study.plans, study.cells)
    for plan in study.plans:
        for source in generated_sources(plan.cell.recipe):
            given, each = plan.cell.recipe.generated[source.name], plan.cell.recipe.generated[source.name].samples + 1
            prompts = f"{len(plan.prompts[source.name]):,} prompts of {given.prompts.source}"
            told = f"{source.name}: {prompts}, {each} completion{'s' * (each > 1)} each"
            writers = plan.cell.stage.writers if plan.cell.stage else {}
            writer = name_of(study.cells, writers[source.name]) if source.name in writers else given.by
            if source.written is not None:
                written.setdefault(told, {})[writer] = sum(map(len, source.written.rows.values()))
            elif plan.name in held:
                to_come.setdefault(told, {})[writer] = None
    notes = [f"{told}, written by {', '.join(f'{writer} ({kept:,} kept)' for writer, kept in writers.items())}"
             for told, writers in written.items()]  # fmt: skip
    notes += [f"{told}, to be written by {', '.join(writers)}" for told, writers in to_come.items()]
    if to_come:
        notes.append(
            "Until rows are written, which is once the models are trained that write them, a prompt stands for each; "
            "its target counts as a token or two, and the time estimate leaves the writing out"
        )
    return notes
