"""How long completions may be where the recipe does not say: somewhat longer than the longest reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data_mixes.prompts import Renderer
from eval.generation.requests import EvaluationSet
from eval.tasks import TASKS
from harness.recipe.schema import Recipe
from harness.runs.folder import StudyFolder
from harness.runs.record import read_json

NOTED = "max_tokens"
"""The key of study.json with the lengths that a study was begun with, by task."""
MARGIN = 1.5
"""How many times as long as the longest reference of a task's test items a completion may be."""
STEP = 16
"""Lengths are multiples of so many tokens."""


def with_lengths(
    recipe: Recipe, folder: Path, sets: Sequence[EvaluationSet], renderers: Sequence[Renderer]
) -> list[EvaluationSet]:
    """The evaluation sets with the lengths that the recipe gives, that the study began with, or that references have.

    `renderers` are those of the base models; references are as long as for the one that makes most tokens of them.
    A study that was begun before references counted keeps the tasks' own, as it keeps its completions. Tasks in files
    of the user's own have the length that their file gives.
    """
    lengths = noted_lengths(folder)
    free = [task for task in {tested.task: tested for tested in sets}
            if task in TASKS and recipe.evaluation.decoded(task).max_tokens is None]  # fmt: skip
    if lengths is None:
        return list(sets)
    for task in free:
        if task not in lengths:
            targets = [example.target for tested in sets if tested.task == task for example in tested.examples]
            least = TASKS[task].max_tokens
            lengths[task] = max((length_for(least, renderer.ids(targets)) for renderer in renderers), default=least)
    return [replace(tested, max_tokens=lengths[tested.task]) if tested.task in free else tested for tested in sets]


def length_for(least: int, references: Sequence[Sequence[int]]) -> int:
    """The most tokens of a completion, the end of its turn among them: never fewer than the task's own."""
    longest = max((len(ids) for ids in references), default=0) + 1
    return max(least, STEP * math.ceil(MARGIN * longest / STEP))


def noted_lengths(folder: Path) -> dict[str, int] | None:
    """The lengths that a study was begun with, none for a new one; None for one begun before there were any."""
    noted = read_json(StudyFolder(folder).study)
    if noted is not None:
        return dict(noted[NOTED]) if NOTED in noted else None
    begun = [read_json(cell.record) for cell in StudyFolder(folder).recorded_cells()]
    return None if any(record and "seed" not in record["identity"].get("mixture", {}) for record in begun) else {}
