"""Training by a recipe: the first process plans, and the others read what it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list

from harness.console import in_groups, say
from harness.errors import Problem, UserError
from harness.planning.jobs import write_jobs
from harness.planning.kept_plan import just_planned
from harness.planning.study import Study
from harness.recipe.grid import choose
from harness.training.forecast import check_disk, time_left, training_in_words
from harness.training.loop import start_process, train_jobs


def train_recipe(recipe: Path, runs: Path, cells: str | None) -> None:
    """Trains the chosen cells that are not trained, and says which already are. Raises UserError in every process."""
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
    study = Study(recipe, runs)
    chosen = {cell.name for cell in choose(study.cells, cells)}
    for note in study.begin():
        say(note)
    plans = [plan for plan in study.plans if plan.name in chosen]
    pending = [plan for plan in plans if not plan.run.finished]
    for told in in_groups((plan.name, f"{plan.run.record['state']} already") for plan in plans if plan.run.finished):
        say(told)
    if not pending:
        return str(study.folder), [], ""
    write_jobs(study, pending)
    names = [plan.name for plan in pending]
    left = time_left(just_planned(study), ",".join(names), measure_again=True)
    check_disk(left)
    return str(study.folder), names, training_in_words(left)
