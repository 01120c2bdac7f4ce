"""Trains the cells of a recipe: accelerate launch harness/train.py recipe.yaml"""

import os
import sys

if __name__ == "__main__":  # a script's own folder comes first on sys.path; the project's belongs there
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from pathlib import Path

import typer

from harness.commands.options import Cells, RecipeFile, Runs, Settings, names_in
from harness.console import waiting
from harness.executors.processes import start_missing_processes
from harness.exits import reporting_mistakes, show_what_can_be_shown


def main(recipe: RecipeFile, runs: Runs = Path("runs"), cells: Cells = None, settings: Settings = None) -> None:
    """Train every cell of RECIPE that is not trained yet, one after another on one base model.

    Killed or stopped, it goes on from the last checkpoint when started again. In place of a recipe it takes the folder
    of a planned study, with the cells to train; `harness run` starts it so.

    Examples:

        accelerate launch harness/train.py recipes/quickstart.yaml

        accelerate launch --cpu --num_processes 2 harness/train.py recipes/quickstart.yaml --cells amount-20
    """
    with reporting_mistakes():
        start_missing_processes()
        with waiting("loading PyTorch and TRL"):
            from harness.models.base import leave_out_scikit_learn

            leave_out_scikit_learn()
            from harness.training.loop import start_process, train_jobs
            from harness.training.planned import train_recipe
        from harness.recipe.settings import with_settings

        if recipe.is_dir():
            train_jobs(recipe, names_in(cells or ""), start_process())
        else:
            train_recipe(with_settings(recipe, settings), runs, cells)


if __name__ == "__main__":
    show_what_can_be_shown()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    app.command()(main)
    app()
