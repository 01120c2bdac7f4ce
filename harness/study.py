"""A study from recipe to scores: what is planned, trained and evaluated, and where it is kept."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_mixes.example import Example
from data_mixes.mixture import TOKEN_UNITS, Allotment, BudgetError, Render, allot, epochs_of, materialise
from data_mixes.order import in_seeded_order
from data_mixes.prompts import PromptError, Renderer, Rendering
from data_mixes.sources import SOURCES
from eval.evaluate import EvaluationSet
from eval.tasks import TASKS
from harness.compare import Compared, neighbours
from harness.errors import Problem, UserError
from harness.grid import Cell, cells_of
from harness.models import ModelFiles, find_model
from harness.recipe import Recipe, Training, load_recipe
from harness.runs import CellRun, open_cell, prepare_runs_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

EVALUATION_SEED = 0


@dataclass(frozen=True, slots=True)
class LanguageCount:
    """What one cell trains on in one task and language."""

    task: str
    language: str
    examples: int
    tokens: int
    supervised_tokens: int


@dataclass(frozen=True, slots=True)
class CellPlan:
    """A cell with its rows in training order and what they count."""

    cell: Cell
    allotments: tuple[Allotment, ...]
    rows: tuple[Example, ...]
    renderings: tuple[Rendering, ...]
    counts: tuple[LanguageCount, ...]
    """Of one epoch."""
    epochs: float
    steps: int
    run: CellRun

    @property
    def name(self) -> str:
        """The cell's name."""
        return self.cell.name


class Study:
    """A recipe with its model and runs folder; everything costly is made when it is first asked for."""

    def __init__(self, recipe_path: Path, runs: Path) -> None:
        self.recipe, self.raw = load_recipe(recipe_path)
        self.cells = cells_of(self.recipe, self.raw)
        problems = [problem for cell in self.cells for problem in shortfalls(cell)]
        if problems:
            raise UserError(list(dict.fromkeys(problems)))
        prepare_runs_folder(runs)
        self.folder = runs / self.recipe.study
        self.model: ModelFiles = find_model(self.recipe.model.name, self.recipe.model.revision)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The base model's tokenizer."""
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                self.model.location,
                revision=self.model.revision,
                trust_remote_code=self.recipe.model.trust_remote_code,
            )
        except (OSError, ValueError) as error:
            message = f"{self.recipe.model.name} has no tokenizer that transformers can load: {error}"
            raise UserError([Problem("model.name", " ".join(message.split())[:300])]) from None

    @cached_property
    def renderer(self) -> Renderer:
        """How examples become token ids for this model."""
        try:
            return Renderer(self.tokenizer)  # pyright: ignore[reportArgumentType]
        except PromptError as error:
            raise UserError([Problem("model.name", str(error))]) from None

    @cached_property
    def plans(self) -> list[CellPlan]:
        """Every cell of the grid, planned. Raises UserError if a run folder holds another experiment."""
        rendered: dict[str, Rendering] = {}
        plans: list[CellPlan] = []
        problems: list[Problem] = []
        for cell in self.cells:
            try:
                plans.append(self._plan(cell, rendered))
            except UserError as error:
                problems += error.problems
            except PromptError as error:
                problems.append(Problem("model.name", str(error)))
        if problems:
            raise UserError(list(dict.fromkeys(problems)))
        return plans

    def _plan(self, cell: Cell, rendered: dict[str, Rendering]) -> CellPlan:
        training = cell.recipe.training
        components = cell.recipe.components

        def render(example: Example) -> Rendering:
            if example.id not in rendered:
                rendered[example.id] = self.renderer.render(example)
            return rendered[example.id]

        try:
            allotments = allot(components, training.seed, render)
        except BudgetError as error:
            raise UserError(budget_problems(error)) from None
        rows = materialise(allotments, components, training.seed)
        if not rows:
            raise UserError(
                [Problem("mixture", f"cell {cell.name!r} trains on nothing: its budgets hold no whole row")]
            )
        for row in rows:
            render(row)
        refuse_long_rows(rows, rendered, training.max_length)
        ordered = training_rows(rows, training, render)
        if not ordered:
            message = f"got {training.supervised_tokens}, which holds no whole row; raise it"
            raise UserError([Problem("training.supervised_tokens", message)])
        renderings = tuple(rendered[row.id] for row in ordered)
        identity = self._identity(cell, allotments, renderings)
        return CellPlan(
            cell=cell,
            allotments=tuple(allotments),
            rows=ordered,
            renderings=renderings,
            counts=count_by_language(rows, rendered),
            epochs=len(ordered) / len(rows),
            steps=math.ceil(len(ordered) / training.global_batch),
            run=open_cell(self.folder, cell.name, identity),
        )

    def _identity(self, cell: Cell, allotments: Sequence[Allotment], rows: Sequence[Rendering]) -> dict[str, Any]:
        """All that decides what the cell's adapter becomes, and nothing else."""
        training = cell.recipe.training.model_dump(
            mode="json", exclude={"checkpoint_every", "micro_batch", "max_length"}, exclude_none=True
        )
        return {
            "model": {"identity": self.model.identity, "dtype": cell.recipe.model.dtype},
            "adapter": cell.recipe.adapter.model_dump(mode="json"),
            "training": training,
            "mixture": examples_by_source(allotments),
            "sources": {each.source: SOURCES[each.source].version for each in allotments},
            "rows": tokens_hash(rows),
            "prompts": self.renderer.template_hash,
        }

    def evaluation_sets(self) -> list[EvaluationSet]:
        """The same test items for every cell and in every language of the study."""
        return evaluation_sets(self.recipe)


def examples_by_source(allotments: Sequence[Allotment]) -> dict[str, int]:
    """Source and language → examples, whatever the components are called."""
    totals: dict[str, int] = {}
    for each in allotments:
        place = f"{each.source}/{each.language}"
        totals[place] = totals.get(place, 0) + each.examples
    return totals


def tokens_hash(rows: Sequence[Rendering]) -> str:
    """Identifies all that is trained on, token by token, whatever text and tokenizer it came from."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row.prompt_ids, row.completion_ids]).encode())
    return digest.hexdigest()[:16]


def training_rows(rows: Sequence[Example], training: Training, render: Render) -> tuple[Example, ...]:
    """The rows a cell is trained on, in order: whole epochs, so many steps, or as many rows as fit in the tokens."""
    if training.supervised_tokens is None:
        wanted = training.global_batch * training.steps if training.steps else len(rows) * (training.epochs or 1)
        return tuple(islice(epochs_of(rows, training.seed), wanted))
    taken: list[Example] = []
    left = training.supervised_tokens
    for row in epochs_of(rows, training.seed):
        left -= render(row).supervised_tokens
        if left < 0:
            break
        taken.append(row)
    return tuple(taken)


def shortfalls(cell: Cell) -> list[Problem]:
    """Amounts that a source cannot serve, and languages that it has not."""
    problems: list[Problem] = []
    for name, part in cell.recipe.mixture.items():
        for source in part.sources:
            for language in part.languages:
                if language not in SOURCES[source].languages:
                    known = ", ".join(SOURCES[source].languages)
                    problems.append(Problem(f"mixture.{name}", f"{source} has no {language!r}, only {known}"))
    if problems:
        return problems
    components = cell.recipe.components
    if not any(component.amount or component.total for component in components):
        return [Problem("mixture", f"cell {cell.name!r} trains on nothing; give some component an amount above 0")]
    if any(component.unit in TOKEN_UNITS for component in components):
        return []  # only the tokenizer can tell
    try:
        allot(components, cell.recipe.training.seed)
    except BudgetError as error:
        return budget_problems(error)
    return []


def budget_problems(error: BudgetError) -> list[Problem]:
    """The budgets that cannot be served, at their keys."""
    return [Problem(f"mixture.{each.component}", str(each)) for each in error.shortfalls]


def refuse_long_rows(rows: Sequence[Example], rendered: dict[str, Rendering], max_length: int) -> None:
    """Raises UserError if a row is longer than `max_length` tokens: nothing is cut off in silence."""
    lengths = {row.id: rendered[row.id].tokens for row in rows}
    too_long = sorted({row.language for row in rows if lengths[row.id] > max_length})
    if too_long:
        found = f"got {max_length}, but rows in {', '.join(too_long)} have up to {max(lengths.values())} tokens"
        raise UserError([Problem("training.max_length", f"{found}; raise it")])


def count_by_language(rows: Sequence[Example], rendered: dict[str, Rendering]) -> tuple[LanguageCount, ...]:
    """Examples, tokens and supervised tokens per task and language of one epoch."""
    totals: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        total = totals.setdefault((row.task, row.language), [0, 0, 0])
        total[0] += 1
        total[1] += rendered[row.id].tokens
        total[2] += rendered[row.id].supervised_tokens
    return tuple(LanguageCount(*place, *total) for place, total in sorted(totals.items()))


def evaluation_sets(recipe: Recipe) -> list[EvaluationSet]:
    """The first items of each source's seeded order, the same in each of the study's languages."""
    sets: list[EvaluationSet] = []
    for task in recipe.evaluation.tasks:
        source = SOURCES[recipe.evaluation.sources.get(task, TASKS[task].source)]
        order = in_seeded_order(source.item_ids(recipe.evaluation.split), EVALUATION_SEED)
        for language in recipe.all_languages:
            if language in source.languages:
                examples = source.examples(order[: recipe.evaluation.items], language)
                max_tokens = recipe.evaluation.max_tokens.get(task, TASKS[task].max_tokens)
                sets.append(EvaluationSet(task, language, tuple(examples), max_tokens))
    return sets


def plan_data(study: Study) -> dict[str, Any]:
    """The plan as plain data, for `harness plan --json`."""
    return {
        "study": study.recipe.study,
        "model": study.model.identity,
        "cells": [
            {
                "name": plan.name,
                "state": plan.run.record.get("state", "new"),
                "epochs": round(plan.epochs, 3),
                "steps": plan.steps,
                "rows": len(plan.rows),
                "supervised_tokens": sum(rendering.supervised_tokens for rendering in plan.renderings),
                "counts": [asdict(count) for count in plan.counts],
            }
            for plan in study.plans
        ],
        "differences": [
            asdict(each) | {"changes": [str(change) for change in each.changes], "one_factor": each.one_factor}
            for each in neighbours([Compared(p.name, p.cell.recipe, p.rows, p.steps) for p in study.plans])
        ],
        "evaluation": [
            {"task": each.task, "language": each.language, "items": len(each.examples)}
            for each in study.evaluation_sets()
        ],
    }
