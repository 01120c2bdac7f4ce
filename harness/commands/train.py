"""harness train: the cells that are not trained yet, and nothing else."""

from __future__ import annotations

from pathlib import Path

import typer

from harness.console import in_groups, say, waiting
from harness.executors.local import check_complete, check_processes, train_pending
from harness.planning.kept_plan import just_planned
from harness.planning.study import Study
from harness.recipe.grid import choose
from harness.training.forecast import check_disk, time_left, training_in_words


def train_study(recipe: Path, runs: Path, cells: str | None, processes: int | None) -> None:
    """Trains the chosen cells, and says which already are. Raises UserError, MachineError, and typer.Exit."""
    if processes:
        check_processes("--processes", processes)
    with waiting("planning"):
        study = Study(recipe, runs)
        chosen = {cell.name for cell in choose(study.cells, cells)}
        for note in study.begin():
            say(note)
        left = time_left(just_planned(study), cells, measure_again=True)
        check_disk(left)
    finished = [plan for plan in study.plans if plan.name in chosen and plan.run.finished]
    for told in in_groups((plan.name, f"{plan.run.record['state']} already") for plan in finished):
        say(told)
    if status := train_pending(study, chosen, training_in_words(left), processes):
        raise typer.Exit(status)
    check_complete(study, chosen)
