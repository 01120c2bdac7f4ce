"""A study from recipe to scores: what is planned, trained and evaluated, and where it is kept."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_mixes.mixture import Orders, allot, materialise
from data_mixes.rows import NO_ROWS
from eval.analysis.design import Design
from eval.generation.requests import EvaluationSet
from harness.errors import Problem, UserError
from harness.models.devices import this_device
from harness.models.engines import EngineChoice, engine_for
from harness.models.judge import in_recipe, judge_study_problems, local_renderer
from harness.models.precision import Precision, begin_in, note_in_study, study_precision
from harness.planning.asides import aside_identity, asides_for, learned
from harness.planning.bases import Base, base_problems, bases_of
from harness.planning.blocks import block_problems
from harness.planning.card import Cards
from harness.planning.cells import CellPlan, Draft, count_by_language, training_order
from harness.planning.choice import Choice, choice_of
from harness.planning.design import design_of
from harness.planning.drawing import Drawing
from harness.planning.generated import as_trained, prompts_for, unwritten, with_written
from harness.planning.identity import alike, cell_identity
from harness.planning.lengths import NOTED, noted_lengths, with_lengths
from harness.planning.outside import Outside, against, outside_of, outside_problems
from harness.planning.problems import as_problems, gathered, opening_problems, problems_of, shortfalls
from harness.planning.references import references_of
from harness.planning.revisions import load_study
from harness.planning.screening import Dropped, Screening
from harness.planning.stages import layer_problems, learned_languages, linked
from harness.planning.testsets import evaluation_problems, evaluation_sets
from harness.planning.validation import selection_identity
from harness.recipe.grid import Cell, cells_of, choose, joined, only_evaluated
from harness.runs.cells import open_cells, rename
from harness.runs.damage import mend
from harness.runs.folder import StudyFolder
from harness.runs.record import CellRun, earlier_runs, prepare_runs_folder
from harness.runs.shared import take_shared

if TYPE_CHECKING:
    import polars as pl

    from eval.interop.lm_eval_tasks import LmEvalSet

ANEW = "To train and evaluate as the recipe says now, give the study another name or choose another --runs folder"


class Study:
    """A recipe with its model and runs folder; everything costly is made when it is first asked for."""

    def __init__(self, recipe_path: Path, runs: Path) -> None:
        """Reads the recipe, and nothing that it names. Raises UserError."""
        self.recipe, self.raw = load_study(recipe_path, runs)
        self.grid = cells_of(self.recipe, self.raw)
        self.runs = runs
        self.folder = runs / self.recipe.study

    @cached_property
    def drawing(self) -> Drawing:
        """The orders in which cells take rows, those that items are left out of aside."""
        return Drawing.of(self.grid, self.folder)

    @cached_property
    def references(self) -> pl.DataFrame:
        """Published scores to lay over the study's own. Raises UserError for a table that cannot be read."""
        return references_of(self.recipe)

    @cached_property
    def bases(self) -> list[Base]:
        """The base models, in the order of the grid."""
        return bases_of(self.recipe, self.grid)

    @cached_property
    def outside(self) -> list[Outside]:
        """The models that are there already."""
        return outside_of(self.recipe, self.bases)

    @property
    def names_bases(self) -> bool:
        """Whether scores name what identifies a base model: where there are several, or nothing else does."""
        return len(self.bases) > 1 or not self.recipe.trains

    @cached_property
    def hosts(self) -> list[Base]:
        """The whole models that engines load, each with its tokenizer: the bases, then others."""
        return list(dict.fromkeys([*self.bases, *(model.host for model in self.outside if model.host)]))

    def base_of(self, cell: Cell) -> Base:
        """The base model of a cell."""
        return next(base for base in self.bases if base.settings == cell.recipe.base_model)

    def choice(self, names: str | None) -> Choice:
        """What --cells names. Raises UserError for a name that is of nothing."""
        untuned = [base.name for base in self.bases] if self.recipe.evaluation.base else []
        return choice_of(self.cells, untuned, [model.name for model in self.outside], names)

    def check(self) -> None:
        """Opens all that the recipe names. Raises UserError with everything that cannot be opened, or is too small."""
        if self._problems:
            raise UserError(self._problems, "the rows: how many there are, their lengths, leakage")

    @cached_property
    def _problems(self) -> list[Problem]:
        problems = opening_problems(self.grid) + evaluation_problems(self.recipe)
        problems += judge_study_problems(self.recipe, self._opponents)
        problems += problems_of(lambda: self.references) + base_problems(self.bases)
        problems += block_problems(self.grid, self.base_of) if not problems else []
        problems += outside_problems(
            self.recipe, self.outside, [model.name for models in (self.bases, self.grid) for model in models]
        )
        problems = problems or layer_problems(self.grid, self.bases)
        problems = problems or [problem for cell in self.grid for problem in shortfalls(cell, self.drawing)]
        return list(dict.fromkeys(problems))

    @property
    def _opponents(self) -> list[str]:
        """What a judge may compare with."""
        return [model.name for models in (self.bases, self.grid, self.outside) for model in models]

    @cached_property
    def design(self) -> Design:
        """How the cells belong together."""
        return design_of(self.recipe, only_evaluated(self.cells), against(self.bases, self.outside))

    @cached_property
    def precision(self) -> Precision:
        """The number format of training and of every engine."""
        return study_precision(self.folder, self.recipe.dtype)

    @cached_property
    def engine(self) -> EngineChoice:
        """What generates."""
        evaluation, rounded = self.recipe.evaluation, {host.settings.quantization for host in self.hosts}
        return engine_for(evaluation.engine, evaluation.batch_invariant, four_bit="nf4" in rounded)

    def begin(self) -> list[str]:
        """Notes what holds from now on, whatever machine goes on; what there is to say of it on this one.

        Raises UserError if this one cannot go on.
        """
        told = self.mend()
        if earlier := earlier_runs({plan.name: plan.run for plan in self.plans}):
            raise UserError([Problem(str(self.folder), f"{cells}. {ANEW}") for cells in earlier])
        told += take_shared(
            {plan.name: plan.run for plan in self.plans}, [self.runs / name for name in self.recipe.share]
        )
        told += self._rename()
        noted = noted_lengths(self.folder)
        lengths = {tested.task: tested.max_tokens for tested in self.evaluation_sets}
        told += begin_in(self.folder, self.precision, this_device())
        if noted is not None:
            note_in_study(self.folder, **{NOTED: lengths | noted})
        return told

    def mend(self) -> list[str]:
        """Makes the folder, and sets damaged files aside; what to tell of them. Raises UserError where it cannot."""
        self.check()
        prepare_runs_folder(self.runs)
        return mend(self.folder, [cell.name for cell in self.grid])

    def _rename(self) -> list[str]:
        """Gives runs that were begun under other names the names of their cells; what to tell of it."""
        told = rename({plan.name: plan.run for plan in self.plans})
        if told:
            del self.plans  # they know where their runs were
        return told

    @property
    def cells(self) -> list[Cell]:
        """The cells to train: those of the grid, but that cells which come out alike are one."""
        return [plan.cell for plan in self.plans]

    @cached_property
    def plans(self) -> list[CellPlan]:
        """Every cell to train, planned. Raises UserError if a run folder holds another experiment."""
        self.check()
        plans = self._linked()
        while (cells := with_written(self, plans)) is not None:  # once more where rows follow from other rows
            self._plan_anew(cells)
            plans = self._linked()
        identities = {plan.name: plan.run.identity for plan in plans}
        prompts = {plan.name: self.base_of(plan.cell).renderer.template_hash for plan in plans}
        runs = open_cells(self.folder, identities, prompts)
        plans = [replace(plan, run=runs[plan.name]) for plan in plans]
        same = alike({plan.name: plan.run for plan in plans})
        by_name = {plan.name: plan for plan in plans}
        plans = [replace(by_name[cell.name], cell=cell) for cell in joined(self.grid, same)]
        _ = self.shortened_tests  # a prompt that cannot be rendered is found before training
        if (judge := self.recipe.evaluation.judge) and judge.endpoint is None:
            local_renderer(judge, in_recipe)  # and a judge that cannot be talked to
        return plans

    def _linked(self) -> list[CellPlan]:
        """The plans with their identities, whatever runs there are."""
        return linked(gathered([partial(self._plan, draft) for draft in self._drafts]), self.grid)

    def _plan_anew(self, cells: list[Cell]) -> None:
        """Takes the cells with other rows in place of those that there were. Raises UserError."""
        self.grid = cells
        for made in ("drawing", "_problems", "_screening", "_drafts"):
            self.__dict__.pop(made, None)
        self.check()

    @property
    def learned(self) -> dict[str, tuple[str, ...]]:
        """Cell → the languages that it has learned, in all its stages."""
        return learned_languages(self.plans, self.cells)

    @property
    def lm_eval_sets(self) -> list[LmEvalSet]:
        """What lm_eval's tasks ask, as the first of the models that engines load is asked it."""
        return self.hosts[0].lm_eval_sets if self.hosts else []

    @cached_property
    def shortened_tests(self) -> dict[tuple[str, str], int]:
        """Task and language → how many test prompts were shortened to prompts.max_tokens, for the model with most."""
        return {
            (tested.name, tested.language): max(
                (sum(cut > 0 for _, cut in host.prompts(tested)) for host in self.hosts), default=0
            )
            for tested in self.evaluation_sets
        }

    def cards(self, cells: str | None = None) -> dict[str, list[dict[str, Any]]]:
        """The mixture cards of the chosen cells, by name."""
        chosen = {cell.name for cell in choose(self.cells, cells)}
        by_cell: dict[str, list[dict[str, Any]]] = {}
        for base in self.bases:
            plans = [plan for plan in self.plans if plan.name in chosen and self.base_of(plan.cell) is base]
            cards = Cards(base.measures, self.recipe.all_languages)
            cards.read(plan.mixture for plan in plans)
            by_cell |= {plan.name: [asdict(row) for row in cards.card(plan.mixture)] for plan in plans}
        return {plan.name: by_cell[plan.name] for plan in self.plans if plan.name in chosen}

    @property
    def dropped(self) -> list[Dropped]:
        """Rows that were left out because they are too long or tested on, counted by language."""
        _ = self._drafts
        return self._screening.dropped

    @cached_property
    def _screening(self) -> Screening:
        texts = [text for lm_eval_set in self.lm_eval_sets for text in lm_eval_set.texts]
        return Screening(self.recipe, self.evaluation_sets, texts)

    @cached_property
    def _drafts(self) -> list[Draft]:
        """The cells' mixtures, without the items that screening excludes: from all cells alike, so that they nest."""
        while True:
            drawing = self.drawing.without(self._screening.excluded)
            drafts = gathered([partial(self._draft, cell, drawing.orders(cell)) for cell in self.grid])
            before = self._screening.count
            with as_problems(self.recipe):
                self._screening.screen(
                    [
                        (draft.cell.recipe, rows, self.base_of(draft.cell).measures)
                        for draft in drafts
                        for rows in draft.all_rows
                    ]
                )
            if self._screening.count == before:
                return drafts

    def _draft(self, cell: Cell, orders: Orders) -> Draft:
        components = cell.recipe.components
        if cell.is_made:
            return Draft(cell, (), NO_ROWS)
        with as_problems(cell.recipe):
            costs = self.base_of(cell).measures.costs
            allotments = allot(learned(components), orders, costs)
            asides = asides_for(cell, orders, costs)
            prompts = prompts_for(cell, orders)
        if not any(allotment.examples for allotment in allotments):
            message = f"cell {cell.name!r} has no training rows: every budget is smaller than one row"
            raise UserError([Problem("mixture", message)])
        mixture = materialise(allotments, components, orders, cell.recipe.training.seed)
        return Draft(cell, tuple(allotments), mixture, asides, prompts)

    def _plan(self, draft: Draft) -> CellPlan:
        training, base = draft.cell.recipe.training, self.base_of(draft.cell)
        one_epoch = base.measures.rows(draft.mixture)
        order = training_order(draft.mixture, one_epoch, training)
        if not len(order) and not draft.cell.is_made:
            message = f"got {training.supervised_tokens}, which holds no whole row; raise it"
            raise UserError([Problem("training.supervised_tokens", message)])
        lengths = one_epoch.take(order)
        drawn_under = None if self.drawing.as_before else self.drawing.seed(draft.cell)
        identity = cell_identity(
            draft.cell.recipe,
            base.files.identity,
            self.precision.dtype,
            drawn_under,
            draft.allotments,
            lengths,
            selection_identity(self.recipe, base.validation, base.renderer.template is not None)
            if self.recipe.selection
            else None,
            aside_identity(draft.asides, base.measures),
        )
        plan = CellPlan(
            cell=draft.cell,
            allotments=draft.allotments,
            mixture=draft.mixture,
            rows=draft.mixture.take(order),
            lengths=lengths,
            counts=count_by_language(draft.mixture, one_epoch),
            steps=math.ceil(len(order) / training.global_batch),
            run=CellRun(StudyFolder(self.folder).cell(draft.cell.name).path, identity),
            asides=draft.asides,
            prompts=draft.prompts,
        )
        return replace(plan, run=replace(plan.run, identity=as_trained(identity, plan.run.files.record))) \
            if unwritten(plan) else plan  # fmt: skip

    @cached_property
    def evaluation_sets(self) -> list[EvaluationSet]:
        """The same test items for every cell and in every language of the study."""
        with as_problems(self.recipe):
            sets = evaluation_sets(self.recipe)
            return with_lengths(self.recipe, self.folder, sets, [host.renderer for host in self.hosts])
