"""A study from recipe to scores: what is planned, trained and evaluated, and where it is kept."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from data_mixes.mixture import TOKEN_UNITS, Allotment, BudgetError, allot, epochs_of, materialise
from data_mixes.order import Keys
from data_mixes.prompts import PromptError, Renderer
from data_mixes.rows import Rows
from data_mixes.source import Source, SourceError
from data_mixes.storage import cache_folder
from data_mixes.tokens import Lengths, Measures, TokenStore
from eval.analysis.summary import Design, LanguageGroups
from eval.generation.requests import EvaluationSet
from harness.errors import Problem, UserError
from harness.evaluation.judged import in_recipe, judge_study_problems, local_renderer
from harness.models.base import ModelFiles, find_model, load_tokenizer
from harness.models.engines import EngineChoice, engine_for
from harness.models.precision import Precision, begin_in, study_precision, this_device
from harness.planning.card import Cards
from harness.planning.contrast import Compared, neighbours
from harness.planning.design import design_of
from harness.planning.references import references_of
from harness.planning.screening import Dropped, Screening
from harness.planning.testsets import evaluation_problems, evaluation_sets
from harness.recipe.grid import Cell, cells_of, choose
from harness.recipe.lm_eval import lm_eval_sets
from harness.recipe.load import load_recipe
from harness.recipe.schema import Recipe, Training
from harness.runs.record import CellRun, open_cell, prepare_runs_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from eval.interop.lm_eval_tasks import LmEvalSet

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class LanguageCount:
    """What one cell trains on in one task and language: one epoch of it."""

    task: str
    language: str
    examples: int
    tokens: int
    supervised_tokens: int
    shortened: int
    """Rows whose text was shortened to fit in prompts.max_tokens."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A cell's mixture before it is known how long to train on it."""

    cell: Cell
    allotments: tuple[Allotment, ...]
    mixture: Rows


@dataclass(frozen=True, slots=True)
class CellPlan:
    """A cell with its rows in training order and what they count."""

    cell: Cell
    allotments: tuple[Allotment, ...]
    mixture: Rows
    """One epoch."""
    rows: Rows
    """All that is trained on."""
    lengths: Lengths
    """Of `rows`."""
    counts: tuple[LanguageCount, ...]
    steps: int
    run: CellRun

    @property
    def name(self) -> str:
        """The cell's name."""
        return self.cell.name

    @property
    def epochs(self) -> float:
        """How often the mixture is gone through."""
        return len(self.rows) / len(self.mixture)


class Study:
    """A recipe with its model and runs folder; everything costly is made when it is first asked for."""

    def __init__(self, recipe_path: Path, runs: Path) -> None:
        self.recipe, self.raw = load_recipe(recipe_path)
        self.cells = cells_of(self.recipe, self.raw)
        prepare_runs_folder(runs)
        self.folder = runs / self.recipe.study
        problems = opening_problems(self.cells) + evaluation_problems(self.recipe)
        problems += judge_study_problems(self.recipe, [cell.name for cell in self.cells])
        problems = problems or [problem for cell in self.cells for problem in shortfalls(cell)]
        if problems:
            raise UserError(list(dict.fromkeys(problems)))
        self.references = references_of(self.recipe)
        self.model: ModelFiles = find_model(self.recipe.model.name, self.recipe.model.revision)

    @property
    def groups(self) -> LanguageGroups:
        """The languages and their groups."""
        languages = self.recipe.languages
        return LanguageGroups(languages.seen, languages.unseen, dict(languages.groups), languages.pivot)

    @cached_property
    def design(self) -> Design:
        """How the cells belong together."""
        return design_of(self.recipe, self.cells)

    @cached_property
    def precision(self) -> Precision:
        """The number format of training and of every engine."""
        return study_precision(self.folder, self.recipe.model.dtype)

    @cached_property
    def engine(self) -> EngineChoice:
        """What generates."""
        return engine_for(self.recipe.evaluation.engine)

    def begin(self) -> list[str]:
        """Notes what holds from now on, whatever machine goes on; what there is to say of it on this one.

        Raises UserError if this one cannot go on.
        """
        return begin_in(self.folder, self.precision, this_device())

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The base model's tokenizer."""
        return load_tokenizer(self.model.location, self.model.revision, self.recipe.model.trust_remote_code)

    @cached_property
    def renderer(self) -> Renderer:
        """How examples become token ids for this model."""
        prompts = self.recipe.prompts
        try:
            return Renderer(self.tokenizer, prompts.chat_template, prompts.words, prompts.max_tokens)  # pyright: ignore[reportArgumentType]
        except PromptError as error:
            raise UserError([Problem("model.name", str(error))]) from None

    @cached_property
    def tokens(self) -> TokenStore:
        """Token ids, each row's made once."""
        return TokenStore(cache_folder() / "tokens" / f"{self.renderer.identity}.sqlite", self.renderer)

    @cached_property
    def measures(self) -> Measures:
        """The rows' lengths in tokens."""
        return Measures(self.tokens)

    @cached_property
    def plans(self) -> list[CellPlan]:
        """Every cell of the grid, planned. Raises UserError if a run folder holds another experiment."""
        plans = gathered([partial(self._plan, draft) for draft in self._drafts])
        _ = self.shortened_tests  # a prompt that cannot be rendered is found before training
        if (judge := self.recipe.evaluation.judge) and judge.endpoint is None:
            local_renderer(judge, in_recipe)  # and a judge that cannot be talked to
        return plans

    @cached_property
    def shortened_tests(self) -> dict[tuple[str, str], int]:
        """Task and language → how many test prompts were shortened to prompts.max_tokens."""
        return {
            (each.task, each.language): sum(cut > 0 for _, cut in self.test_prompts(each))
            for each in self.evaluation_sets
        }

    def test_prompts(self, tested: EvaluationSet) -> list[tuple[list[int], int]]:
        """The token ids of each prompt of an evaluation set, and how many tokens its text was shortened by."""
        return self._test_prompts[tested.task, tested.language]

    @cached_property
    def _test_prompts(self) -> dict[tuple[str, str], list[tuple[list[int], int]]]:
        with as_problems(self.recipe):
            return {(each.task, each.language): self.renderer.prompts(each.examples) for each in self.evaluation_sets}

    def cards(self, cells: str | None = None) -> dict[str, list[dict[str, Any]]]:
        """The mixture cards of the chosen cells, by name."""
        chosen = {cell.name for cell in choose(self.cells, cells)}
        return {plan.name: [asdict(row) for row in self._cards.card(plan.mixture)]
                for plan in self.plans if plan.name in chosen}  # fmt: skip

    @cached_property
    def _cards(self) -> Cards:
        return Cards(self.measures, self.recipe.all_languages)

    @property
    def dropped(self) -> list[Dropped]:
        """Rows that were left out because they are too long or tested on, counted by language."""
        _ = self._drafts
        return self._screening.dropped

    @cached_property
    def _screening(self) -> Screening:
        texts = [text for each in self.lm_eval_sets for text in each.texts]
        return Screening(self.recipe, self.evaluation_sets, texts)

    @cached_property
    def _drafts(self) -> list[Draft]:
        """The cells' mixtures, without the items that screening excludes: from all cells alike, so that they nest."""
        while True:
            drafts = gathered([partial(self._draft, cell, self._screening.excluded) for cell in self.cells])
            before = self._screening.count
            with as_problems(self.recipe):
                self._screening.screen([(each.cell.recipe, each.mixture) for each in drafts], self.measures)
            if self._screening.count == before:
                return drafts

    def _draft(self, cell: Cell, excluded: dict[str, Keys]) -> Draft:
        training, components = cell.recipe.training, cell.recipe.components
        with as_problems(cell.recipe):
            allotments = allot(components, training.seed, self.measures.costs, excluded)
        if not any(each.examples for each in allotments):
            message = f"cell {cell.name!r} trains on nothing: its budgets hold no whole row"
            raise UserError([Problem("mixture", message)])
        return Draft(cell, tuple(allotments), materialise(allotments, components, training.seed, excluded))

    def _plan(self, draft: Draft) -> CellPlan:
        training = draft.cell.recipe.training
        one_epoch = self.measures.rows(draft.mixture)
        order = training_order(draft.mixture, one_epoch, training)
        if not len(order):
            message = f"got {training.supervised_tokens}, which holds no whole row; raise it"
            raise UserError([Problem("training.supervised_tokens", message)])
        lengths = one_epoch.take(order)
        return CellPlan(
            cell=draft.cell,
            allotments=draft.allotments,
            mixture=draft.mixture,
            rows=draft.mixture.take(order),
            lengths=lengths,
            counts=count_by_language(draft.mixture, one_epoch),
            steps=math.ceil(len(order) / training.global_batch),
            run=open_cell(self.folder, draft.cell.name, self._identity(draft, lengths)),
        )

    def _identity(self, draft: Draft, lengths: Lengths) -> dict[str, Any]:
        """All that decides what the cell's adapter becomes, and nothing else."""
        recipe = draft.cell.recipe
        not_deciding = {"checkpoint_every", "micro_batch", "max_length", "long_rows"}
        return {
            "model": {"identity": self.model.identity, "dtype": self.precision.dtype},
            "adapter": recipe.adapter.model_dump(mode="json"),
            "training": recipe.training.model_dump(mode="json", exclude=not_deciding, exclude_none=True),
            "mixture": examples_by_source(draft.allotments),
            "sources": {name: recipe.known_sources[name].version for name in sorted(sources_of(draft.allotments))},
            "rows": hashlib.sha256(lengths.content.tobytes()).hexdigest()[:16],
        }

    @cached_property
    def evaluation_sets(self) -> list[EvaluationSet]:
        """The same test items for every cell and in every language of the study."""
        with as_problems(self.recipe):
            return evaluation_sets(self.recipe)

    @cached_property
    def lm_eval_sets(self) -> list[LmEvalSet]:
        """What lm_eval's tasks ask of every model. Raises UserError for tasks that cannot be had."""
        if not self.recipe.evaluation.lm_eval:
            return []
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(  # pyright: ignore[reportUnknownMemberType]
            self.model.location,
            revision=self.model.revision,
            trust_remote_code=self.recipe.model.trust_remote_code,
        )
        return lm_eval_sets(self.recipe, self.renderer, config)


@contextmanager
def as_problems(recipe: Recipe) -> Generator[None]:
    """Errors of `data_mixes` as the user's mistakes, at their keys."""
    try:
        yield
    except BudgetError as error:
        raise UserError(budget_problems(error, recipe)) from None
    except SourceError as error:
        raise UserError([Problem(f"sources.{error.source}", str(error))]) from None
    except PromptError as error:
        raise UserError([Problem("prompts", str(error))]) from None


def gathered(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """What all calls return. Raises UserError with the problems of all that fail."""
    results: list[Result] = []
    problems: list[Problem] = []
    for call in calls:
        try:
            results.append(call())
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(list(dict.fromkeys(problems)))
    return results


def sources_of(allotments: Sequence[Allotment]) -> set[str]:
    """The names of the sources that rows are taken from."""
    return {each.source for each in allotments}


def examples_by_source(allotments: Sequence[Allotment]) -> dict[str, int]:
    """Source and variant → examples, whatever the components are called."""
    totals: dict[str, int] = {}
    for each in allotments:
        place = f"{each.source}/{each.variant}"
        totals[place] = totals.get(place, 0) + each.examples
    return totals


def training_order(mixture: Rows, lengths: Lengths, training: Training) -> NDArray[np.int64]:
    """Which rows a cell is trained on: whole epochs, so many steps, or as many rows as fit in the tokens."""
    tokens = training.supervised_tokens
    wanted = training.global_batch * training.steps if training.steps else len(mixture) * (training.epochs or 1)
    one_epoch = int(lengths.supervised_tokens.sum())
    rounds = math.ceil(wanted / len(mixture)) if tokens is None else tokens // one_epoch + 1
    order = np.concatenate(list(islice(epochs_of(mixture, training.seed), rounds)))
    if tokens is None:
        return order[:wanted]
    return order[: int(np.searchsorted(np.cumsum(lengths.supervised_tokens[order]), tokens, side="right"))]


def opening_problems(cells: Sequence[Cell]) -> list[Problem]:
    """Sources of some cell's mixture that cannot be read."""
    wanted: dict[str, tuple[Source, set[str]]] = {}
    for component in [component for cell in cells for component in cell.recipe.components]:
        for source in component.sources:
            languages = {language for each in component.variants for language in (each.language, each.prompt_language)}
            wanted.setdefault(source.name, (source, set()))[1].update(filter(None, languages))
    problems: list[Problem] = []
    for name, (source, languages) in wanted.items():
        try:
            for language in sorted(languages):
                source.pool("train", language)
        except SourceError as error:
            problems.append(Problem(f"sources.{name}", str(error)))
    return problems


def shortfalls(cell: Cell) -> list[Problem]:
    """Amounts that a source cannot serve, as far as can be told without a tokenizer."""
    components = cell.recipe.components
    if not any(component.amount or component.total for component in components):
        return [Problem("mixture", f"cell {cell.name!r} trains on nothing; give some component an amount above 0")]
    if any(component.unit in TOKEN_UNITS for component in components):
        return []
    try:
        allot(components, cell.recipe.training.seed)
    except BudgetError as error:
        return budget_problems(error, cell.recipe)
    return []


def budget_problems(error: BudgetError, recipe: Recipe) -> list[Problem]:
    """The budgets that cannot be served, at their keys, with what their source had to leave out."""
    problems: list[Problem] = []
    for each in error.shortfalls:
        left_out = str(recipe.known_sources[each.source].drops("train"))
        note = f" ({each.source} left out when read: {left_out})" if left_out else ""
        problems.append(Problem(f"mixture.{each.component}", f"{each}{note}"))
    return problems


def count_by_language(mixture: Rows, lengths: Lengths) -> tuple[LanguageCount, ...]:
    """Examples, tokens and supervised tokens per task and language of one epoch."""
    totals: dict[tuple[str, str], NDArray[np.int64]] = {}
    for pool, positions, _ in mixture.by_pool():
        sums = [len(positions), lengths.tokens[positions].sum(), lengths.supervised_tokens[positions].sum(),
                np.count_nonzero(lengths.cut[positions])]  # fmt: skip
        place = (pool.task, pool.language)
        totals[place] = totals.get(place, np.zeros(4, dtype=np.int64)) + np.array(sums, dtype=np.int64)
    return tuple(LanguageCount(*place, *map(int, total)) for place, total in sorted(totals.items()))


def plan_data(study: Study) -> dict[str, Any]:
    """The plan as plain data, for `harness plan --json`."""
    return {
        "study": study.recipe.study,
        "model": study.model.identity,
        "precision": asdict(study.precision),
        "engine": asdict(study.engine),
        "languages": study.recipe.all_languages,
        "cells": [
            {
                "name": plan.name,
                "state": plan.run.record.get("state", "new"),
                "epochs": round(plan.epochs, 3),
                "steps": plan.steps,
                "rows": len(plan.rows),
                "supervised_tokens": int(plan.lengths.supervised_tokens.sum()),
                "counts": [asdict(count) for count in plan.counts],
                "allotments": [asdict(each) | {"repeats": each.repeats} for each in plan.allotments],
            }
            for plan in study.plans
        ],
        "differences": [
            asdict(each) | {"changes": [str(change) for change in each.changes], "one_factor": each.one_factor}
            for each in neighbours([Compared(p.name, p.cell.recipe, p.mixture, p.steps) for p in study.plans])
        ],
        "sources": source_data(study),
        "dropped": [asdict(each) for each in study.dropped],
        "evaluation": [
            {
                "task": each.task,
                "language": each.language,
                "items": len(each.examples),
                "shortened": study.shortened_tests[each.task, each.language],
            }
            for each in study.evaluation_sets
        ],
        "lm_eval": [
            {
                "task": each.named.task,
                "language": each.named.language,
                "items": len(each.items),
                "name": each.named.name,
                "metric": each.metric,
                "left_out": each.left_out,
                "shortened": each.cut,
                "version": each.version,
            }
            for each in study.lm_eval_sets
        ],
    }


def source_data(study: Study) -> list[dict[str, Any]]:
    """The versions of the sources trained on, and what was left out when they were read."""
    used = sorted({name for plan in study.plans for name in sources_of(plan.allotments)})
    sources = [study.recipe.known_sources[name] for name in used]
    return [
        {
            "name": each.name,
            "version": each.version,
            "origin": each.origin_name,
            "dropped": dict(drops.counts),
            "report": str(drops),
        }
        for each in sources
        for drops in [each.drops("train")]
    ]
