"""Training by a recipe: the first process plans, and the others read what it wrote."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list

from harness.errors import Problem, UserError
from harness.executors.begun import begin, say_finished
from harness.executors.rounds import say_waiting
from harness.planning.jobs import write_jobs
from harness.recipe.load import load_recipe
from harness.training.forecast import check_disk, training_in_words
from harness.training.loop import start_process, train_jobs
from harness.training.sharding import sharding_variables


def train_recipe(recipe: Path, runs: Path, cells: str | None) -> None:
    """Trains the chosen cells that are not trained, and says which already are. Raises UserError in every process."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        os.environ.update(sharding_variables(load_recipe(recipe)[0].execution))
    state = start_process()
    planned: list[Any] = [None, [], "", []]
    if state.is_main_process:
        try:
            planned = [*plan_training(recipe, runs, cells), []]
        except UserError as error:
            planned[3] = [(problem.where, problem.message) for problem in error.problems]
    if state.num_processes > 1:
        broadcast_object_list(planned)
    folder, names, expected, problems = planned
    if problems:
        raise UserError([Problem(*problem) for problem in problems])
    if names:
        train_jobs(Path(folder), names, state, expected)


def plan_training(recipe: Path, runs: Path, cells: str | None) -> tuple[str, list[str], str]:
    """The study's folder, the cells to train with their jobs on disk, and what is known of the time."""
    begun = begin(recipe, runs, cells)
    say_finished(begun)
    say_waiting(begun)
    names = [plan.name for plan in begun.pending]
    if not names:
        return str(begun.study.folder), [], ""
    check_disk(begun.left)
    write_jobs(begun.study, begun.pending)
    return str(begun.study.folder), names, training_in_words(begun.left)
