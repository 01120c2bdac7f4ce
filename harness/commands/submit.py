"""harness submit: the workers of a study on a cluster."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from harness.console import counted, line, say, waiting
from harness.errors import Problem, UserError
from harness.executors.slurm import Slurm
from harness.executors.submission import Executor, Submission
from harness.othello.study import MothelloStudy
from harness.planning.study import Study
from harness.recipe.grid import choose
from harness.recipe.load import load_recipe
from harness.recipe.mothello import is_mothello, load_mothello


def submit_study(submission: Submission, executor: Executor) -> None:
    """Plans a study, so that its mistakes are found before it waits in a queue, then has it done. Raises UserError."""
    with waiting("planning"):
        number = cells_planned(submission)
    say(f"{counted(number, 'cell')}, {counted(submission.workers, 'worker')}")
    for told in executor.submit(submission):
        say(told)


def cells_planned(submission: Submission) -> int:
    """How many cells there are to work on, once all of the study is planned. Raises UserError."""
    if is_mothello(submission.recipe):
        return len(choose(MothelloStudy.of(submission.recipe, submission.runs).cells, submission.cells))
    return len(choose(Study(submission.recipe, submission.runs).cells, submission.cells))


def executor_for(address: str | None) -> Executor:
    """The Ray cluster of this address, or this machine. Raises UserError where Ray is not installed."""
    if find_spec("ray") is None:
        message = "Ray is not installed; pip install 'transfer-study-harness[ray]'"
        raise UserError([Problem("--to ray", message)])
    from harness.executors.ray_tasks import Ray

    return Ray(address)


def print_scripts(submission: Submission, slurm: Slurm) -> None:
    """Prints the batch scripts that would be submitted."""
    line(slurm.workers_script(submission))
    line(slurm.end_script(submission))


def submission_of(recipe: Path, runs: Path, cells: str | None, workers: int, gpus: int, cores: int) -> Submission:
    """Workers of the study that a recipe describes. Raises UserError for a recipe that cannot be read."""
    study = load_mothello(recipe)[0].study if is_mothello(recipe) else load_recipe(recipe)[0].study
    return Submission(recipe.resolve(), runs.resolve(), study, workers, gpus, cores, cells)
