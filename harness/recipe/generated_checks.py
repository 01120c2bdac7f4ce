"""Whether there is a model to write generated rows, and something that it is asked."""

from __future__ import annotations

from collections.abc import Iterator

from data_mixes.mixture import TOKEN_UNITS
from harness.errors import Problem, suggestion
from harness.recipe.generated_section import BASE_MODEL, Generated
from harness.recipe.schema import Recipe

AGREEING = "math"
"""The task whose answers are read, so that several completions can agree."""


def check_generated(recipe: Recipe) -> list[Problem]:
    """All mistakes in `generated`, and in components that train on what is generated."""
    problems = [
        problem for name, given in recipe.generated.items() for problem in _source_problems(recipe, name, given)
    ]
    return problems or [*_use_problems(recipe)]


def _source_problems(recipe: Recipe, name: str, given: Generated) -> Iterator[Problem]:
    where, sources = f"generated.{name}", recipe.named_sources
    if name in sources:
        yield Problem(where, f"a source is called {name!r} already; call it otherwise")
    stages = recipe.stages.in_order if recipe.stages else {}
    writers = [BASE_MODEL, *stages, *recipe.models]
    if given.by not in writers:
        yield Problem(f"{where}.by", f"no model {given.by!r}; {suggestion(given.by, writers)}")
    elif list(writers).count(given.by) > 1:
        yield Problem(f"{where}.by", f"{given.by!r} is a stage and one of models; call one of them otherwise")
    asked = given.prompts
    if asked.source not in sources:
        yield Problem(f"{where}.prompts.source", f"no source {asked.source!r}; {suggestion(asked.source, sources)}")
        return
    source = sources[asked.source]
    if lacking := [language for language in asked.languages if language not in source.languages]:
        told = f"{asked.source} has no {', '.join(map(repr, lacking))}, only {', '.join(source.languages)}"
        yield Problem(f"{where}.prompts.languages", told)
    if source.task not in recipe.known_tasks:
        yield Problem(f"{where}.prompts.source", f"its task {source.task!r} is none that says how answers end")
    if asked.items in ("shared", "disjoint") and not source.parallel:
        told = f"items: {asked.items} needs translations, and {asked.source} does not say which rows are"
        yield Problem(f"{where}.prompts.items", f"{told}; leave it out")
    yield from _keep_problems(recipe, where, given, source.task)


def _keep_problems(recipe: Recipe, where: str, given: Generated, task: str) -> Iterator[Problem]:
    if given.keep.agree is not None and task != AGREEING:
        told = f"only {AGREEING} has answers that can be read and compared, and {given.prompts.source} is {task}"
        yield Problem(f"{where}.keep.agree", f"{told}; use most_likely")
    elif given.keep.agree is not None and not given.samples:
        yield Problem(f"{where}.keep.agree", "a greedy completion agrees with itself; give samples")
    if not given.samples and "temperature" in given.model_fields_set:
        yield Problem(f"{where}.temperature", "goes with samples; add them, or remove it")
    model = recipe.models.get(given.by)
    if model and model.endpoint and given.keep.most_likely is not None:
        yield Problem(f"{where}.keep.most_likely", f"{given.by} is behind an endpoint, which gives no likelihoods")


def _use_problems(recipe: Recipe) -> Iterator[Problem]:
    """Stages that train on what a later one writes, and amounts that cannot be counted before there are rows."""
    stages = [*(recipe.stages.in_order if recipe.stages else {})]
    mixtures = {f"stages.{name}.mixture": stage.mixture for name, stage in recipe.stages.in_order.items()} \
        if recipe.stages else {"mixture": recipe.mixture}  # fmt: skip
    for place, (where, mixture) in enumerate(mixtures.items()):
        for component, part in mixture.ingredients.items():
            for name in part.sources:
                if (given := recipe.generated.get(name)) is None:
                    continue
                if given.by in stages and given.by not in stages[:place]:
                    told = f"{name} is written by {given.by!r}, which does not come before this stage"
                    yield Problem(f"{where}.{component}.sources", f"{told}; put that first")
                if part.unit in TOKEN_UNITS:
                    told = f"got {part.unit}, and {name} has no tokens before it is written; count examples"
                    yield Problem(f"{where}.{component}.unit", told)
