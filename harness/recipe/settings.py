"""Keys of a recipe that are changed on the command line, as if they were written in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from data_mixes.storage import cache_folder, write_text
from harness.errors import Problem, UserError
from harness.recipe.written import read_recipe
from harness.recipe.yaml_files import as_yaml

OPTION = "--set"


def with_settings(recipe: Path, settings: Sequence[str] | None) -> Path:
    """The recipe with each KEY=VALUE in place, as a file in the cache; without any, the recipe itself.

    Raises UserError for a recipe that cannot be read, and for settings that cannot be put into it.
    """
    if not settings or recipe.is_dir():
        return recipe
    raw = read_recipe(recipe)
    problems = [problem for setting in settings if (problem := put(raw, setting))]
    if problems:
        raise UserError(problems)
    text = as_yaml(raw)
    changed = cache_folder() / "recipes" / hashlib.sha256(text.encode()).hexdigest()[:16] / recipe.name
    write_text(changed, text)
    return changed


def put(raw: dict[str, Any], setting: str) -> Problem | None:
    """Puts a setting into a recipe's data; what is wrong with it, if it cannot be."""
    path, equals, text = setting.partition("=")
    *parents, last = path.strip().split(".")
    if not equals or not all((*parents, last)):
        return Problem(OPTION, f"got {setting!r}; a setting is KEY=VALUE, as in training.learning_rate=5e-4")
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return Problem(OPTION, f"got {setting!r}; {text!r} is no YAML value")
    section: Any = raw
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            return Problem(OPTION, f"got {setting!r}; {parent!r} holds no keys in this recipe: set it as a whole")
    section[last] = value
    return None
