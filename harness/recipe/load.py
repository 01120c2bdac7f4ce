"""Reading recipes: YAML to plain data to models, strictly, every mistake reported at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from harness.errors import Problem, UserError, suggestion
from harness.recipe.checks import check_varied, cross_check
from harness.recipe.mixture_section import Ingredient, Mixture
from harness.recipe.objectives_checks import check_terms_of_before
from harness.recipe.schema import Recipe
from harness.recipe.section import Section
from harness.recipe.written import read_recipe, with_own_sources, written_out
from harness.recipe.yaml_files import shortened

Read = TypeVar("Read", bound=Section)

MOTHELLO = "mothello"
"""The kind of recipes that `harness.recipe.mothello` reads."""
NAMED = "the files and the model that the recipe names"
"""What is checked only once a recipe has no mistake in itself."""


def load_recipe(path: Path) -> tuple[Recipe, dict[str, Any]]:
    """The recipe and its YAML as plain data. Raises UserError with every mistake found."""
    written = read_recipe(path)
    if written.get("kind") == MOTHELLO:
        message = f"got {MOTHELLO!r}; such a recipe goes through harness plan, run, work, status and report alone"
        raise UserError([Problem("kind", message)])
    raw = with_own_sources(written)
    return parse_recipe(raw), raw


def parse_recipe(raw: Mapping[str, Any]) -> Recipe:
    """The recipe in `raw`. Raises UserError with every mistake found."""
    return _without_mistakes(read_as(Recipe, raw), cross_check)


def parse_cell(raw: Mapping[str, Any]) -> Recipe:
    """The recipe of one cell; what all cells share was checked with the whole recipe. Raises UserError."""
    return _without_mistakes(read_as(Recipe, raw), check_varied)


def _without_mistakes(recipe: Recipe, check: Callable[[Recipe], list[Problem]]) -> Recipe:
    """The recipe. Raises UserError with every mistake found."""
    problems = check(recipe) + check_terms_of_before(recipe)
    if problems:
        raise UserError(problems, NAMED)
    return recipe


def read_as(kind: type[Read], raw: Mapping[str, Any]) -> Read:
    """Plain data as a recipe of some kind, key by key. Raises UserError with every mistake found."""
    try:
        text = json.dumps({**raw, **written_out(raw)}, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError([Problem("recipe", f"is not plain data: {error}")]) from None
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        problems = [_problem(details, kind) for details in error.errors()]
        raise UserError(problems, f"how the keys fit together, {NAMED}") from None


REFUSED_KEYS = {
    "modules_to_save": "vLLM cannot serve adapters with modules_to_save; remove the key and train LoRA weights only",
    "use_dora": "vLLM cannot serve DoRA adapters; remove the key and train plain LoRA",
}


def _problem(details: Any, kind: type[Section]) -> Problem:
    """A pydantic error in the words of this program."""
    if details["type"] == "json_invalid":  # the only text that JSON can hold and pydantic cannot
        return Problem("recipe", "holds half of a surrogate pair (\\ud800 to \\udfff), which is no character")
    location = _without_branches(details["loc"])
    where = ".".join(map(str, location))
    if details["type"] == "extra_forbidden":
        key = str(location[-1])
        if key in REFUSED_KEYS:
            return Problem(where, REFUSED_KEYS[key])
        return Problem(where, f"unknown key; {suggestion(key, _keys_at(location[:-1], kind))}")
    if details["type"] == "missing":
        return Problem(where, "missing; add this key")
    message = details["msg"].replace("Input should be", "should be")
    for pydantics, ours in (("greater than or equal to", "at least"), ("less than or equal to", "at most")):
        message = message.replace(pydantics, ours)
    return Problem(where, f"got {shortened(repr(details['input']))}; {message}")


def _without_branches(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Pydantic's location without the names it gives to the branches of a union, such as "tuple[str, ...]"."""
    return tuple(part for part in location if not (isinstance(part, str) and ("[" in part or part == "str")))


def _keys_at(location: Sequence[str | int], recipe: type[Section]) -> list[str]:
    """The keys allowed in the section at `location` of a recipe of some kind."""
    kind: Any = recipe
    for part in location:
        if kind is Mixture and part not in Mixture.model_fields:
            kind = Ingredient
        elif isinstance(kind, type) and issubclass(kind, Section):
            known = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
            kind = known[str(part)]
        else:
            kind = get_args(kind)[-1]
        sections = [section for section in get_args(kind) if isinstance(section, type) and issubclass(section, Section)]
        kind = sections[0] if sections and type(None) in get_args(kind) else kind
    return [field.alias or name for name, field in getattr(kind, "model_fields", {}).items()]
