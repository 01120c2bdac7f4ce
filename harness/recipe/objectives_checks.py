"""Whether the terms beside the likelihood have the rows that they need, and can be computed as cells are trained."""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import Problem, UserError, suggestion
from harness.recipe.mixture_section import Ingredient
from harness.recipe.objectives_section import Own
from harness.recipe.own_code import own_loss
from harness.recipe.schema import Recipe

WITH_ROWS = ("align", "keep", "label_similarity", "own")
"""Terms whose rows are a component of the mixture."""


def check_objectives(recipe: Recipe) -> list[Problem]:
    """All mistakes in `training.objectives` of a single training, and in what of the mixture is only for them."""
    objectives, problems = recipe.training.objectives, list[Problem]()
    where = "training.objectives"
    for name in WITH_ROWS:
        if (term := getattr(objectives, name)) is not None:
            problems += _rows_problems(recipe, f"{where}.{name}.on", name, term.on)
    if objectives.own is not None:
        problems += _code_problems(objectives.own)
    for name, part in recipe.ingredients.items():
        if part.only_for is not None:
            problems += _form_problems(f"mixture.{name}", part.only_for, part)
    if objectives.names:
        problems += _machine_problems(recipe, where)
    return problems


def _code_problems(own: Own) -> list[Problem]:
    """Why a file of code cannot be run, or holds no term."""
    try:
        own_loss(own.code)
    except UserError as error:
        return list(error.problems)
    return []


def check_terms_of_before(recipe: Recipe) -> list[Problem]:
    """Terms that need a stage before, in a recipe without stages."""
    if recipe.stages is not None:
        return []
    return [
        Problem(f"training.objectives.{name}", "needs a stage before; add stages, or remove it")
        for name in recipe.training.objectives.active.of_before
    ]


def _rows_problems(recipe: Recipe, where: str, term: str, component: str) -> Iterator[Problem]:
    """A component that there is not, or that is trained on as well."""
    if component not in recipe.ingredients:
        yield Problem(where, f"no component {component!r}; {suggestion(component, recipe.ingredients)}")
    elif recipe.ingredients[component].only_for != term:
        yield Problem(where, f"{component!r} is for something else; give it only_for: {term}")


def _form_problems(where: str, term: str, part: Ingredient) -> Iterator[Problem]:
    """Rows that a term cannot use."""
    if term == "own" and part.translate:
        yield Problem(f"{where}.translate", "rows for own are texts, or pairs of them, as they are; remove the key")
    if term == "align" and (part.languages is not None or part.translate):
        yield Problem(where, "pairs to align are of two languages: give prompts_in and answers_in, without translate")
    if term in ("keep", "label_similarity") and part.languages is None:
        yield Problem(where, f"rows for {term} are in one language each: give languages")
    elif term == "label_similarity" and len(part.languages or ()) < 2:
        yield Problem(f"{where}.languages", "names one language, and prompts in different ones are compared; add some")
    if term in WITH_ROWS and part.made_as is not None:
        yield Problem(f"{where}.as", f"a component that is only for {term} is of texts as they are; remove the key")


def _machine_problems(recipe: Recipe, where: str) -> Iterator[Problem]:
    """What cannot carry a term."""
    objectives, names = recipe.training.objectives.active, ", ".join(recipe.training.objectives.names)
    if recipe.execution.sharding != "none":
        message = f"{names}: of a model that is parted among processes none sees a term whole; remove sharding"
        yield Problem("execution.sharding", message)
    if recipe.execution.gpus_per_cell > 1:
        message = f"{names}: a term compares all rows of its batch in one process; use one GPU per cell"
        yield Problem("execution.gpus_per_cell", message)
    if recipe.reinitialised:
        yield Problem("model.reinitialise", f"does not go with {where}; remove one of both")
    if recipe.training.method == "full":
        if objectives.distil:
            message = "needs the earlier model beside the one that is tuned; use method: lora"
            yield Problem(f"{where}.distil", message)
        message = "got base, which full tuning does not keep beside what it tunes; use previous, or method: lora"
        yield from (
            Problem(f"{where}.{name}.to", message)
            for name in ("keep", "label_similarity")
            if (term := getattr(objectives, name)) and term.to == "base"
        )
