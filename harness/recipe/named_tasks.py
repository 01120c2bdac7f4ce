"""lm_eval's tasks that a recipe names: which they are, in what language, and what is wrong with the names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.interop.lm_eval_names import NamedTask, readings
from harness.errors import Problem, suggestion
from harness.recipe.schema import Recipe

if TYPE_CHECKING:
    pass


def named_tasks(recipe: Recipe) -> dict[str, tuple[str, list[NamedTask]]]:
    """Key's path → a task's name, and what it may be: what the recipe says, or what the name does of its languages."""
    given = recipe.evaluation.lm_eval
    if isinstance(given, dict):
        return {
            f"evaluation.lm_eval.{task}.{language}": (name, [NamedTask(name, task, language)])
            for task, by_language in given.items()
            for language, name in by_language.items()
        }
    return {
        f"evaluation.lm_eval.{number}": (name, readings(name, recipe.all_languages))
        for number, name in enumerate(given)
    }


def naming_problems(recipe: Recipe) -> list[Problem]:
    """Mistakes that can be told without lm_eval: of names that say what they are."""
    problems: list[Problem] = []
    taken: dict[tuple[str, str], str] = {}
    for where, (name, read) in named_tasks(recipe).items():
        if len(read) != 1:
            continue
        (named,) = read
        if named.language not in recipe.all_languages:
            hint = suggestion(named.language, recipe.all_languages)
            problems.append(Problem(where, f"{named.language!r} is no language of the study; {hint}"))
        if named.task in recipe.known_tasks:
            message = f"{named.task!r} is a task of the harness's own; call it another name: {as_mapping(named)}"
            problems.append(Problem(where, message))
        before = taken.setdefault((named.task, named.language), name)
        if before != name:
            message = f"{name!r} and {before!r} are both {named.task} in {named.language!r}"
            problems.append(Problem(where, f"{message}; call one another name: {as_mapping(named, 'other-name')}"))
    return problems


def as_mapping(named: NamedTask, task: str = "name") -> str:
    """How a recipe says which task and language a name is."""
    return f"lm_eval: {{{task}: {{{named.language}: {named.name}}}}}"
