"""The questions of the lm_eval tasks that a recipe names."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from data_mixes.prompts import Renderer
from eval.interop.lm_eval_names import NamedTask
from harness.console import say
from harness.errors import Problem, UserError
from harness.recipe.schema import Recipe

if TYPE_CHECKING:
    from eval.interop.lm_eval_tasks import LmEvalSet
from harness.recipe.named_tasks import as_mapping, named_tasks

Result = TypeVar("Result")


def lm_eval_sets(recipe: Recipe, renderer: Renderer, config: Any) -> list[LmEvalSet]:
    """The tasks' questions for a model of this configuration. Raises UserError with every problem of any task."""
    if find_spec("lm_eval") is None:
        message = "lm-evaluation-harness is not installed: pip install '.[lm-eval]'"
        raise UserError([Problem("evaluation.lm_eval", message)])
    from eval.interop.lm_eval_tasks import Catalogue, ask, chosen_items, load, longest_question

    folder = recipe.evaluation.lm_eval_folder
    catalogue = Catalogue(Path(folder) if folder else None)
    wanted = named_tasks(recipe)
    paths = each_of(
        wanted, lambda where: unambiguous(catalogue.find(wanted[where][0], recipe.all_languages), *wanted[where])
    )
    named = {where: read[0] for where, (_, read) in wanted.items()}
    say(f"reading {len(named)} tasks of lm_eval's")
    definitions = each_of(paths, lambda where: load(paths[where]))
    items: dict[str, dict[int, str]] = {}
    for task in dict.fromkeys(reading.task for reading in named.values()):
        docs = {where: list(definitions[where].eval_docs) for where, reading in named.items() if reading.task == task}
        items |= chosen_items(docs, recipe.evaluation.items_of(task))
    longest = longest_question(config, renderer.tokenizer)
    asked = each_of(named, lambda where: ask(named[where], definitions[where], items[where], renderer, longest))
    return list(asked.values())


def each_of(keys: dict[str, Any], make: Callable[[str], Result]) -> dict[str, Result]:
    """The result of `make` for each key. Raises UserError with the problems of all that fail."""
    from eval.interop.lm_eval_tasks import LmEvalError

    made: dict[str, Result] = {}
    problems: list[Problem] = []
    for where in keys:
        try:
            made[where] = make(where)
        except LmEvalError as error:
            problems.append(Problem(where, str(error)))
    if problems:
        raise UserError(problems)
    return made


def unambiguous(path: Path, name: str, read: list[NamedTask]) -> Path:
    """The path of a task whose name says one language. Raises LmEvalError with how to say which it is."""
    from eval.interop.lm_eval_tasks import LmEvalError

    if len(read) == 1:
        return path
    languages = f"names {' and '.join(task.language for task in read)}" if read else "names no language of the study"
    example = as_mapping(read[0], read[0].task) if read else as_mapping(NamedTask(name, name, "en"), name)
    raise LmEvalError(f"{name!r} {languages}; say which it is in, as in {example}")
