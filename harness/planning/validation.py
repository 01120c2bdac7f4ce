"""Validation rows: what chooses the step whose weights are a cell's, the same rows for all cells of a study."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from data_mixes.example import Example
from data_mixes.order import seeded_order
from data_mixes.prompts import Rendering
from data_mixes.source import SourceError
from eval.tasks import TASKS
from harness.errors import Problem, UserError
from harness.planning.identity import FIRST_KEYS, deciding
from harness.planning.testsets import is_number
from harness.recipe.grid import Cell
from harness.recipe.schema import Recipe
from harness.recipe.selection_section import Selection

SEED = "validation"


def validation_examples(cells: Sequence[Cell], selection: Selection) -> dict[str, list[Example]]:
    """Language → the first validation rows of each of the mixtures' sources. Raises UserError where there are none."""
    names = dict.fromkeys(name for cell in cells for part in cell.recipe.ingredients.values()
                          if part.only_for is None for name in part.sources)  # fmt: skip
    sources = [cells[0].recipe.known_sources[name] for name in names]
    chosen: dict[str, list[Example]] = {}
    problems: list[Problem] = []
    for index, language in enumerate(selection.languages):
        chosen[language] = []
        for source in sources:
            if language not in source.languages or not source.has("validation"):
                continue
            try:
                pool = source.pool("validation", language)
                ordered = seeded_order(pool.items, SEED)
                examples = pool.examples(ordered if selection.task == "math" else ordered[: selection.items])
                chosen[language] += [each for each in examples if can_choose(selection, each)][: selection.items]
            except SourceError as error:
                problems.append(Problem(f"sources.{source.name}", str(error)))
        if not chosen[language]:
            of_task = f" of {selection.task}" if selection.task else ""
            message = f"no source of the mixture ({', '.join(names)}) has validation rows{of_task} in {language!r}"
            if selection.task == "math":
                message += ", with an answer that is a number (columns.answer)"
            problems.append(Problem(f"selection.languages.{index}", message))
    if not problems and selection.task:
        problems += metric_problems(selection, chosen[selection.languages[0]][0])
    if problems:
        raise UserError(problems)
    return chosen


def can_choose(selection: Selection, example: Example) -> bool:
    """Whether a validation row is of the task that chooses, and can be scored if that is math."""
    return selection.task in (None, example.task) and (selection.task != "math" or is_number(example.answer))


def metric_problems(selection: Selection, example: Example) -> list[Problem]:
    """A metric that the task has not."""
    metrics = [score.metric for score in TASKS[example.task].score(example, example.target)]
    if selection.metric in (None, *metrics):
        return []
    message = f"{selection.task} has no metric {selection.metric!r}; it has {', '.join(metrics)}"
    return [Problem("selection.by", message)]


def how_answered(recipe: Recipe, task: str, chat: bool) -> dict[str, Any]:
    """How many tokens an answer to a validation prompt may have, and the texts that end it."""
    decoding, stop = recipe.evaluation.decoded(task), () if chat else TASKS[task].stop
    return {
        "max_tokens": decoding.max_tokens or TASKS[task].max_tokens,
        "stop": stop if decoding.stop is None else decoding.stop,
    }


def selection_identity(recipe: Recipe, rows: Mapping[str, Sequence[Rendering]], chat: bool) -> dict[str, Any]:
    """What of a selection decides which step it chooses."""
    selection = recipe.selection
    assert selection is not None
    answered = {"answered": how_answered(recipe, selection.task, chat)} if selection.task else {}
    content = json.dumps(
        [(language, row.prompt_ids, row.completion_ids) for language in rows for row in rows[language]]
    )
    shown = hashlib.sha256(content.encode()).hexdigest()[:16]
    return deciding(selection, FIRST_KEYS["selection"]) | {"rows": shown} | answered
