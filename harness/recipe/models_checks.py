"""Whether a recipe has what it trains with, or leaves all of it out, and whether its models can be told apart."""

from __future__ import annotations

from harness.errors import Problem
from harness.recipe.evaluation_checks import endpoint_problem
from harness.recipe.models_section import OutsideModel
from harness.recipe.revisions_section import Revisions
from harness.recipe.schema import Recipe

ALONE = "a recipe without training and mixture is evaluation alone"
KINDS = {
    "name": {"revision"},
    "adapter": {"base", "revision"},
    "endpoint": {"model", "chat", "concurrency", "api_key_variable"},
}
"""The key that says what a model is → those that go with it."""


def check_phases(recipe: Recipe) -> list[Problem]:
    """Recipes that train with some of what this takes, or that neither train nor evaluate anything."""
    given, languages = recipe.model_fields_set, recipe.languages
    if not recipe.trains:
        problems = [Problem(key, f"goes with training, and {ALONE}; remove it, or add them")
                    for key in ("grid", "selection", "adapter", "checkpoints") if key in given]  # fmt: skip
        if not recipe.all_languages:
            problems.append(Problem("languages", "names no language; give a list, as in languages: [en, fr]"))
        if recipe.model is None and not recipe.models:
            problems.append(Problem("model", "missing; add this key, or name models"))
        return problems
    problems = [Problem(key, f"missing; add this key. {ALONE[0].upper()}{ALONE[1:]}")
                for key in ("training", "mixture") if key not in given and recipe.stages is None]  # fmt: skip
    if recipe.model is None:
        problems.append(Problem("model", "missing; add this key"))
    if languages.tested:
        message = "a recipe that trains says which languages it trains on; put them into seen and unseen"
        problems.append(Problem("languages.tested", message))
    elif not languages.seen:
        problems.append(Problem("languages.seen", "names no language; give those that cells may train on"))
    return problems


def check_models(recipe: Recipe) -> list[Problem]:
    """Models that are of no kind or of several, and keys that belong to another kind."""
    problems: list[Problem] = []
    for name, model in recipe.models.items():
        where, kinds = f"models.{name}", [kind for kind in KINDS if getattr(model, kind) is not None]
        if len(kinds) != 1:
            got = f"got {' and '.join(kinds)}; " if kinds else ""
            message = (
                f"{got}give one of name (a folder or a Hugging Face id), adapter (a folder) and endpoint (an address)"
            )
            problems.append(Problem(where, message))
            continue
        (kind,) = kinds
        problems += [Problem(f"{where}.{key}", f"does not go with {kind}; remove it")
                     for key in sorted(model.model_fields_set - {kind, *KINDS[kind]})]  # fmt: skip
        problems += _check_one(recipe, where, model)
    return problems


def _check_one(recipe: Recipe, where: str, model: OutsideModel) -> list[Problem]:
    if model.adapter is not None and isinstance(model.revision, Revisions):
        return [Problem(f"{where}.revision", "a pattern goes with name; give the commit or branch of the base")]
    if model.endpoint is not None:
        problem = endpoint_problem(model.endpoint)
        problems = [Problem(f"{where}.endpoint", problem)] if problem else []
        if not model.model:
            problems.append(Problem(f"{where}.model", "missing; add the endpoint's name for the model"))
        return problems
    if model.adapter is not None and model.base is None:
        if recipe.model is None:
            message = "missing; name the base model of the adapter, as there is no model in the recipe"
            return [Problem(f"{where}.base", message)]
        if model.revision is not None:
            return [Problem(f"{where}.revision", "is of a base; the recipe's model has its own, in model.revision")]
    return []
