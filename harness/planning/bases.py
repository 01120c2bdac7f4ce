"""The base models of a study: their files, and how examples become token ids for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from data_mixes.example import Example
from data_mixes.prompt_words import PromptError
from data_mixes.prompts import Renderer, Rendering
from data_mixes.storage import cache_folder
from data_mixes.tokens import Measures, TokenStore
from eval.analysis.design import BASE
from eval.engines.engine import ModelFiles
from eval.generation.requests import EvaluationSet
from harness.errors import Problem, UserError
from harness.models.base import find_model, load_config, load_tokenizer
from harness.planning.lm_eval_sets import lm_eval_sets
from harness.planning.problems import as_problems, problems_of
from harness.planning.validation import validation_examples
from harness.recipe.grid import Cell, base_names
from harness.recipe.schema import Model, Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from eval.interop.lm_eval_tasks import LmEvalSet


class Base:
    """A base model of a study; everything costly is made when it is first asked for."""

    def __init__(
        self, name: str, settings: Model, recipe: Recipe, grid: Sequence[Cell], where: str = "model.name"
    ) -> None:
        """`name` is what it is called among the models of the study, `where` the key that names it."""
        self.name, self.settings, self.recipe, self.grid, self.where = name, settings, recipe, grid, where
        self._prompts: dict[tuple[str, str], list[tuple[list[int], int]]] = {}

    @cached_property
    def files(self) -> ModelFiles:
        """Its files. Raises UserError where they cannot be had."""
        files, rounded = find_model(self.settings.name, self.settings.revision, self.where), self.settings.quantization
        if rounded == "none":
            return files
        return replace(files, identity=f"{files.identity}, {rounded}", quantization=rounded)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer."""
        return load_tokenizer(self.files.location, self.files.revision, self.settings.trust_remote_code, self.where)

    @cached_property
    def renderer(self) -> Renderer:
        """How examples become token ids for it."""
        prompts = self.recipe.prompts
        try:
            return Renderer(
                self.tokenizer,  # pyright: ignore[reportArgumentType]
                prompts.chat_template,
                self.recipe.words,
                prompts.max_tokens,
                verbatim=prompts.verbatim,
                supervise=prompts.supervise,
            )
        except PromptError as error:
            raise UserError([Problem(self.where, str(error))]) from None

    @property
    def layers(self) -> int | None:
        """How many layers it has, where its configuration says so."""
        where = self.files.location, self.files.revision, self.settings.trust_remote_code, self.where
        return getattr(load_config(*where).get_text_config(), "num_hidden_layers", None)

    @cached_property
    def tokens(self) -> TokenStore:
        """Token ids, each row's made once."""
        return TokenStore(cache_folder() / "tokens" / f"{self.renderer.identity}.sqlite", self.renderer)

    @cached_property
    def measures(self) -> Measures:
        """The rows' lengths in tokens."""
        return Measures(self.tokens)

    def prompts(self, tested: EvaluationSet) -> list[tuple[list[int], int]]:
        """The token ids of each prompt of an evaluation set, and how many tokens its text was shortened by."""
        place = (tested.name, tested.language)
        if place not in self._prompts:
            with as_problems(self.recipe):
                self._prompts[place] = self.renderer.prompts(tested.examples)
        return self._prompts[place]

    @cached_property
    def lm_eval_sets(self) -> list[LmEvalSet]:
        """What lm_eval's tasks ask of it. Raises UserError for tasks that cannot be had."""
        if not self.recipe.evaluation.lm_eval:
            return []
        config = load_config(self.files.location, self.files.revision, self.settings.trust_remote_code, self.where)
        return lm_eval_sets(self.recipe, self.renderer, config)

    @cached_property
    def validation_examples(self) -> dict[str, list[Example]]:
        """Language → the examples of these rows."""
        if self.recipe.selection is None:
            return {}
        with as_problems(self.recipe):
            return validation_examples(self.grid, self.recipe.selection)

    @cached_property
    def validation(self) -> dict[str, list[Rendering]]:
        """Language → the rows that choose the step whose weights are a cell's; empty where the last one's are."""
        with as_problems(self.recipe):
            return {language: self.tokens.render(chosen) for language, chosen in self.validation_examples.items()}


def bases_of(recipe: Recipe, grid: Sequence[Cell]) -> list[Base]:
    """The base models of a study's cells, each once, in the order of the grid; without cells that of the recipe."""
    names = base_names(recipe, grid)
    settings = {names[cell.name]: cell.recipe.base_model for cell in grid}
    if not grid and recipe.model:
        settings = {BASE: recipe.model}
    return [Base(name, model, recipe, grid) for name, model in settings.items()]


def overview_of_models(models: Sequence[tuple[str, str]]) -> str:
    """What identifies a model; of several, each by its name."""
    return models[0][1] if len(models) == 1 else ", ".join(f"{name}: {identity}" for name, identity in models)


def base_problems(bases: Sequence[Base]) -> list[Problem]:
    """Base models that cannot be had, or that are one and the same."""
    problems: list[Problem] = []
    known: dict[str, Base] = {}
    for base in bases:
        wrong = problems_of(lambda base=base: base.files)
        problems += wrong
        if not wrong and (same := known.setdefault(base.files.identity, base)) is not base:
            message = f"{same.settings.name} and {base.settings.name} are one model; name it once"
            problems.append(Problem(base.where, message))
    return problems
