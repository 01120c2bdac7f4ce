"""A planned study, read from its kept plan: for commands that need no rows, tokenizer or model.

The plan is kept in the study's folder under a key of all that it follows from. Where any of that has changed, the study
is planned anew; a plan that might be out of date is never read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from glob import glob
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import ValidationError

from data_mixes.storage import DamagedError, expanded, is_file, is_folder, read_sealed, write_sealed
from eval.analysis.design import Design
from eval.analysis.groups import LanguageGroups
from harness.console import say
from harness.models.devices import machine
from harness.planning.bases import overview_of_models
from harness.planning.card import CardRow
from harness.planning.cells import LanguageCount
from harness.planning.choice import Choice, choice_of
from harness.planning.design import design_of, groups_of
from harness.planning.drawing import Drawing
from harness.planning.outside import compared_with
from harness.planning.plan import StudyPlan, plan_of
from harness.planning.references import references_of
from harness.planning.revisions import load_study
from harness.planning.time_left import TimeLeft
from harness.planning.work import StudyWork, work_of
from harness.recipe.grid import Cell, base_names, cells_of, joined, only_evaluated
from harness.recipe.models_section import Model
from harness.recipe.own_code import files_named
from harness.recipe.schema import Recipe
from harness.results import Result
from harness.runs.cells import open_cells, orphans
from harness.runs.damage import Damage, damage_in
from harness.runs.folder import StudyFolder
from harness.runs.record import CellRun, earlier_runs, read_json

if TYPE_CHECKING:
    from harness.planning.bases import Base
    from harness.planning.outside import Outside
    from harness.planning.study import Study

CODE = Path(__file__).parents[2]
ROOMS = ("data_mixes", "eval", "harness")
DECIDING_PACKAGES = ("transformers", "tokenizers", "pydantic")


class KeptCell(Result):
    """A cell in the kept plan."""

    name: str
    identity: dict[str, Any]
    card: tuple[CardRow, ...]


class KeptBase(Result):
    """A base model in the kept plan."""

    name: str
    """What it is called among the models of the study."""
    model: str
    """What identifies it."""
    prompts: str
    """The hash of its prompts' template."""
    fertility: dict[str, float]
    """Tokens per character of the test prompts, per language."""
    token_overlap: dict[str, dict[str, float]]
    """The Jaccard index of the tokens that occur in the test prompts of two languages."""


class KeptModel(Result):
    """A model from elsewhere in the kept plan."""

    name: str
    weights: str
    """What identifies it."""
    host: str | None
    """The whole model that engines load for it, by name; none behind an endpoint."""
    requests: int
    """Completions that its endpoint is asked for; none of a model that engines load."""


class KeptPlan(Result):
    """A study's plan as it is kept on disk."""

    key: str
    model_files: str | None
    """What is known of the models' files, where they are folders here."""
    bases: tuple[KeptBase, ...]
    outside: tuple[KeptModel, ...]
    hosts: dict[str, Model]
    """The whole models that engines load, by name."""
    dtype: str
    dtype_reason: str
    items: int
    """Test items of a model, in all tasks and languages."""
    machine: str
    """Where it was planned."""
    overview: StudyPlan
    """What `harness plan` shows of it."""
    work: StudyWork
    cells: tuple[KeptCell, ...]

    @property
    def model(self) -> str:
        """What identifies the base model, or each of several by its name."""
        return overview_of_models([(base.name, base.model) for base in self.bases])


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """A cell with its run and what it trains on."""

    name: str
    run: CellRun
    steps: int
    counts: Sequence[LanguageCount]


@dataclass(frozen=True)
class PlannedStudy:
    """A study whose plan is known."""

    recipe: Recipe
    raw: Mapping[str, Any]
    cells: list[Cell]
    folder: Path
    kept: KeptPlan
    damage: Sequence[Damage] = ()
    """Files that changed since they were written."""

    @cached_property
    def base_names(self) -> dict[str, str]:
        """Cell → what its base model is called."""
        return base_names(self.recipe, self.cells)

    @cached_property
    def evaluated(self) -> frozenset[str]:
        """The cells that are evaluated, and not steps on the way to others alone."""
        return frozenset(cell.name for cell in only_evaluated(self.cells))

    @cached_property
    def trained_once(self) -> frozenset[str]:
        """The cells that began with the base model, so that they have learned from their own rows alone."""
        return frozenset(cell.name for cell in self.cells if not cell.parents)

    @property
    def untuned(self) -> dict[str, str | None]:
        """The base models by name, with what scores name their weights by."""
        named = len(self.kept.bases) > 1 or not self.recipe.trains
        return {base.name: base.model if named else None for base in self.kept.bases}

    @property
    def against(self) -> dict[str, str]:
        """Model from elsewhere → the untuned model that it is compared with."""
        bases = [base.name for base in self.kept.bases]
        return {model.name: compared_with(bases, model.host) for model in self.kept.outside}

    @property
    def outside(self) -> dict[str, str | None]:
        """The models from elsewhere by name, with what scores name their weights by."""
        return {model.name: model.weights for model in self.kept.outside}

    def choice(self, names: str | None) -> Choice:
        """What --cells names. Raises UserError for a name that is of nothing."""
        untuned = self.untuned if self.recipe.evaluation.base else {}
        return choice_of(self.cells, untuned, self.outside, names)

    def base_of(self, cell: str) -> KeptBase:
        """The base model of a cell."""
        return next(base for base in self.kept.bases if base.name == self.base_names[cell])

    def models_of(self, base: KeptBase) -> list[str]:
        """A base model and its cells, by name."""
        return [base.name, *(cell for cell, name in self.base_names.items() if name == base.name)]

    @cached_property
    def groups(self) -> LanguageGroups:
        """The languages and their groups, those that each cell is trained on among them."""
        return groups_of(self.recipe, {cell.name: cell.trained for cell in self.kept.overview.cells}, self.design)

    @cached_property
    def design(self) -> Design:
        """How the cells belong together."""
        return design_of(self.recipe, only_evaluated(self.cells), self.against)

    @cached_property
    def references(self) -> pl.DataFrame:
        """Published scores to lay over the study's own."""
        return references_of(self.recipe)

    @cached_property
    def plans(self) -> list[PlannedCell]:
        """The cells. Raises UserError if a run folder holds another experiment."""
        identities = {kept.name: kept.identity for kept in self.kept.cells}
        prompts = {kept.name: self.base_of(kept.name).prompts for kept in self.kept.cells}
        runs = open_cells(self.folder, identities, prompts)
        return [PlannedCell(cell.name, runs[cell.name], cell.steps, cell.counts) for cell in self.kept.overview.cells]

    def overview(self, chosen: Collection[str], time: TimeLeft) -> StudyPlan:
        """What `harness plan` shows: the chosen cells, each in its present state, and the time left."""
        states = {plan.name: plan.run.record.get("state", "new") for plan in self.plans}
        cells = [
            cell.model_copy(update={"state": states[cell.name]})
            for cell in self.kept.overview.cells
            if cell.name in chosen
        ]
        left = {"cells": tuple(cells), "time": time, "orphans": self.orphans}
        return self.kept.overview.model_copy(update=left)

    @property
    def orphans(self) -> tuple[str, ...]:
        """The folders with a run that is no cell of the recipe as it is now, by name."""
        return tuple(cell.path.name for cell in orphans(self.folder, (plan.run for plan in self.plans)))


def planned_study(recipe: Path, runs: Path, here: bool = False) -> PlannedStudy:
    """The study as it was planned, or planned now; if `here` is wanted, on this machine. Raises UserError."""
    parsed, raw = load_study(recipe, runs)
    folder = runs / parsed.study
    grid = cells_of(parsed, raw)
    kept = read_plan(folder, plan_key(parsed, raw, folder, Drawing.of(grid, folder)), stated_models(parsed, grid))
    if kept is None or (here and kept.machine != machine()):
        from harness.planning.study import Study

        planned = just_planned(Study(recipe, runs))
    else:
        cells = joined(grid, {name: cell.name for cell in kept.overview.cells for name in cell.also})
        planned = PlannedStudy(parsed, raw, cells, folder, kept)
    planned = replace(planned, damage=damage_in(folder, [cell.name for cell in planned.cells]))
    for damaged in planned.damage:
        say(f"{damaged}; harness run and harness eval set it aside and make it again")
    for earlier in earlier_runs({plan.name: plan.run for plan in planned.plans}):
        say(earlier)
    return planned


def just_planned(study: Study) -> PlannedStudy:
    """A study whose rows are at hand, with its plan, which is kept. Raises UserError if it cannot be planned."""
    return PlannedStudy(study.recipe, study.raw, study.cells, study.folder, keep_plan(study))


def read_plan(folder: Path, key: str, model_files: str | None) -> KeptPlan | None:
    """The plan kept under this key; None if there is none, or it is of another key or base model."""
    try:
        kept = KeptPlan.model_validate_json(read_sealed(StudyFolder(folder).plan))
    except (OSError, DamagedError, ValidationError):
        return None
    return kept if kept.key == key and model_files in (None, kept.model_files) else None


def keep_plan(study: Study) -> KeptPlan:
    """Keeps the plan of a study. Raises UserError if it cannot be planned."""
    cards = study.cards()
    kept = KeptPlan(
        key=plan_key(study.recipe, study.raw, study.folder, study.drawing),
        model_files=stated_models(study.recipe, study.grid),
        bases=tuple(kept_base(study, base) for base in study.bases),
        outside=tuple(kept_model(study, model) for model in study.outside),
        hosts={host.name: host.settings for host in study.hosts},
        dtype=study.precision.dtype,
        dtype_reason=study.precision.reason,
        items=sum(len(evaluation_set.examples) for evaluation_set in study.evaluation_sets)
        + sum(len(lm_eval_set.items) for lm_eval_set in study.lm_eval_sets),
        machine=machine(),
        overview=plan_of(study),
        work=work_of(study),
        cells=tuple(
            KeptCell(
                name=plan.name,
                identity=dict(plan.run.identity),
                card=tuple(CardRow(**row) for row in cards[plan.name]),
            )
            for plan in study.plans
        ),
    )
    with suppress(OSError):  # a plan that cannot be kept, as on a read-only file system, costs time alone
        shown = kept.model_dump_json(indent=1, by_alias=True, exclude={"overview": {"time"}})
        write_sealed(StudyFolder(study.folder).plan, shown + "\n")
    return kept


def kept_model(study: Study, model: Outside) -> KeptModel:
    """A model from elsewhere, with what it is asked for if it is behind an endpoint."""
    return KeptModel(
        name=model.name,
        weights=model.under_test().weights or "",
        host=model.host and model.host.name,
        requests=0 if model.host else sum(len(each.examples) * each.samples for each in study.evaluation_sets),
    )


def kept_base(study: Study, base: Base) -> KeptBase:
    """A base model, with what its tokenizer makes of the test prompts."""
    prompts: dict[str, list[str]] = {}
    for tested in study.evaluation_sets:
        prompts.setdefault(tested.language, []).extend(example.prompt for example in tested.examples)
    ids = {language: base.renderer.ids(texts) for language, texts in prompts.items()}
    kinds = {language: {token for text in tokens for token in text} for language, tokens in ids.items()}
    return KeptBase(
        name=base.name,
        model=base.files.identity,
        prompts=base.renderer.template_hash,
        fertility={
            name: sum(map(len, of_language)) / sum(map(len, prompts[name])) for name, of_language in ids.items()
        },
        token_overlap={one: {other: jaccard(kinds[one], kinds[other]) for other in kinds} for one in kinds},
    )


def jaccard(one: set[int], other: set[int]) -> float:
    """The size of two sets' intersection over that of their union (Jaccard 1901)."""
    return len(one & other) / len(one | other)


def plan_key(recipe: Recipe, raw: Mapping[str, Any], folder: Path, drawing: Drawing) -> str:
    """A hash of all that a plan follows from: the recipe, files it names, what the study began with, the code."""
    begun = (read_json(StudyFolder(folder).study) or {}).get("dtype"), drawing.as_before
    code = [path for room in ROOMS for end in ("py", "yaml") for path in (CODE / room).rglob(f"*.{end}")]
    code += [Path(given["code"]) for given in files_named(raw) if is_file(Path(given["code"]))]
    written = sorted(StudyFolder(folder).generated.glob("*.parquet"))
    packages = [version(name) for name in DECIDING_PACKAGES]
    planned = {key: value for key, value in raw.items() if key != "report"}
    text = json.dumps(
        [planned, begun, stated([*sorted({*code}), *inputs_of(recipe), *written]), packages],
        default=str,
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def stated(paths: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Files by path, size and time of change."""
    return [(str(path), status.st_size, status.st_mtime_ns) for path in paths for status in [path.stat()]]


def stated_models(recipe: Recipe, cells: Sequence[Cell]) -> str | None:
    """A hash of what is known of models' folders; None where none is a folder on this machine."""
    bases = [cell.recipe.model for cell in cells] or [recipe.model]
    names = [model.name for model in bases if model]
    names += [name for model in recipe.models.values() for name in (model.name, model.adapter, model.base) if name]
    folders = [expanded(name) for name in dict.fromkeys(names)]
    known = [stated(sorted(folder.iterdir())) for folder in folders if is_folder(folder)]
    if not known:
        return None
    text = json.dumps(known[0] if len(folders) == 1 else known)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def inputs_of(recipe: Recipe) -> Iterator[Path]:
    """The files on this machine that a recipe names beside its model: sources, lexicons, tables, tasks."""
    folders = [recipe.evaluation.lm_eval_folder, *(settings.hub for settings in recipe.sources.values())]
    for name in filter(None, folders):
        folder = expanded(name)
        if is_folder(folder):
            yield from sorted(path for path in folder.rglob("*") if path.is_file())
    patterns = [path for settings in recipe.sources.values() for path in (settings.files or {}).values()]
    for pattern in patterns:
        yield from sorted(map(Path, glob(pattern.replace("{language}", "*"))))  # noqa: PTH207  # it may be absolute
    lexicons = [Path(settings.file) for settings in recipe.lexicons.values() if settings.file]
    yield from filter(is_file, lexicons)
    yield from (Path(reference.file) for reference in recipe.reference if is_file(Path(reference.file)))
    yield from map(Path, recipe.evaluation.code_files.values())
