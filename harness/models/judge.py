"""The judge of a recipe or of the command line: found, and made ready to be asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from data_mixes.prompt_words import PromptError
from data_mixes.prompts import Renderer
from eval.engines.endpoint import Price, Spending
from eval.engines.engine import Engine, EngineSettings
from eval.judges.endpoint_judge import EndpointJudge
from eval.judges.engine_judge import EngineJudge
from eval.judges.judge import Judge
from harness.console import say
from harness.errors import Problem, UserError, suggestion
from harness.models.base import find_model, load_config, load_tokenizer, locate_model
from harness.models.engines import EngineChoice
from harness.recipe import evaluation_section as settings
from harness.recipe.schema import Recipe

if TYPE_CHECKING:
    pass


OwnEngine: TypeAlias = Callable[[], tuple[EngineChoice, str]]
"""The engine and the number format of a judge without an endpoint."""


Where: TypeAlias = Callable[[str], str]
"""The place of a judge's setting in the recipe or on the command line."""


def in_recipe(key: str) -> str:
    """The place of a judge's setting in a recipe."""
    return f"evaluation.judge.{key}"


def on_command_line(key: str) -> str:
    """The option for a judge's setting."""
    return {"price": "--price-in, --price-out"}.get(key, f"--{key.replace('_', '-')}")


def judge_study_problems(recipe: Recipe, models: Sequence[str]) -> list[Problem]:
    """A judge that cannot be found, or is to compare with a cell that there is not; no weights are read for it."""
    given = recipe.evaluation.judge
    if given is None:
        return []
    problems: list[Problem] = []
    if given.against is not None and given.against not in models:
        message = f"no cell {given.against!r}; {suggestion(given.against, models)}"
        problems.append(Problem(in_recipe("against"), message))
    if given.endpoint is None:
        try:
            located(given, in_recipe)
        except UserError as error:
            problems += error.problems
    return problems


def made_judge(given: settings.Judge, own: OwnEngine, where: Where) -> Judge:
    """The judge that the settings describe, in the harness's own engine if it has no endpoint.

    Raises UserError if its model cannot be found or talked to.
    """
    if given.endpoint is not None:
        price = Price(given.price.input, given.price.output) if given.price else None
        cap = Decimal(f"{given.max_cost:.12g}") if given.max_cost is not None else None
        return EndpointJudge(
            name=given.model,
            endpoint=given.endpoint,
            max_tokens=given.max_tokens,
            concurrency=given.concurrency,
            greedy=given.decoding == "greedy",
            spending=Spending(price, cap),
            key_variable=given.api_key_variable,
        )
    engine, dtype = own()
    renderer = local_renderer(given, where)
    model = find_model(given.model, None, where("model"))
    context = context_of(model.location, model.revision)

    def start(longest: int) -> Engine:
        length = min(context, -(-longest // 64) * 64)
        say(f"starting the judge ({given.model})")
        return engine.start(EngineSettings(model.location, model.revision, dtype, False, (), length))

    return EngineJudge(
        name=model.identity,
        renderer=renderer,
        start_engine=start,
        context=context,
        max_tokens=given.max_tokens,
        engine_settings={"engine": engine.version, "dtype": dtype},
    )


def local_renderer(given: settings.Judge, where: Where) -> Renderer:
    """What puts questions to a judge in our own engine. Raises UserError for one that is no chat model."""
    tokenizer = load_tokenizer(*located(given, where), where=where("model"))
    try:
        renderer = Renderer(tokenizer)
        renderer.messages(["?"])
    except PromptError as error:
        raise UserError([Problem(where("model"), f"{given.model} cannot judge: {error}")]) from None
    return renderer


def located(given: settings.Judge, where: Where) -> tuple[str, str | None]:
    """Location and revision of a judge in our own engine. Raises UserError if there is no such model."""
    try:
        return locate_model(given.model, where("model"))
    except UserError as error:
        hint = f"a model behind an endpoint needs {where('endpoint')}"
        raise UserError([Problem(problem.where, f"{problem.message}; {hint}") for problem in error.problems]) from None


def context_of(location: str, revision: str | None) -> int:
    """How many tokens a model can read and write together; without end for one that has no positions."""
    config = load_config(location, revision)
    return int(getattr(config.get_text_config(), "max_position_embeddings", None) or sys.maxsize)
