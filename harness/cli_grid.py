"""The commands for grids on several GPUs and machines: `harness work` and `harness submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from harness.commands.options import Cells, RecipeFile, Runs, Settings
from harness.exits import reporting_mistakes

PANEL = "Several GPUs and machines"
app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def work(
    study: Annotated[
        Path,
        typer.Argument(metavar="RECIPE|FOLDER", help="A recipe, or the folder of a planned study.", show_default=False),
    ],
    runs: Runs = Path("runs"),
    cells: Cells = None,
    phase: Annotated[
        Literal["train", "evaluate"] | None,
        typer.Option(help="Only train, or only help to generate.", show_default="both"),
    ] = None,
    settings: Settings = None,
) -> None:
    """Work on a study beside other workers: train the next cell that nobody holds, then help to generate.

    Start as many as you have GPUs, on one machine or on many that share the folder of runs. A worker that dies gives
    back its cell, and the next one goes on from the last checkpoint. harness run, started at any time, does what is
    left and writes the report.

    Examples:

        CUDA_VISIBLE_DEVICES=1 harness work recipes/quickstart.yaml

        harness work runs/quickstart --cells 'amount-2*'
    """
    with reporting_mistakes():
        from harness.commands.work import work as work_on
        from harness.recipe.settings import with_settings

        work_on(with_settings(study, settings), runs, cells, phase)


@app.command(rich_help_panel=PANEL)
def submit(
    recipe: RecipeFile,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="How many workers.", show_default=False)],
    to: Annotated[Literal["slurm", "ray"], typer.Option(help="What starts them.")] = "slurm",
    runs: Runs = Path("runs"),
    cells: Cells = None,
    gpus: Annotated[int, typer.Option(metavar="N", min=0, help="GPUs of each worker.")] = 1,
    cores: Annotated[int, typer.Option(metavar="N", min=1, help="CPU cores of each worker.")] = 8,
    time: Annotated[str, typer.Option(metavar="H:MM:SS", help="SLURM: the longest that a job may take.")] = "24:00:00",
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="SLURM: a further option of sbatch. Repeatable.", show_default=False),
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Ray: that of a cluster.", show_default="this machine")
    ] = None,
    only_print: Annotated[bool, typer.Option("--print", help="SLURM: print the batch scripts, and stop.")] = False,
    settings: Settings = None,
) -> None:
    """Have a study done by workers on a cluster whose machines share the folder of runs.

    On SLURM it is an array of workers, each of which gives back its cell when its time is over and waits for its next
    turn, and a job after them that does what they left and writes the report. On Ray it is a task per worker.

    Examples:

        harness submit recipes/quickstart.yaml --workers 8 --time 4:00:00 --option partition=gpu --option account=nlp

        harness submit recipes/quickstart.yaml --workers 8 --to ray --address auto
    """
    with reporting_mistakes():
        from harness.commands.submit import executor_for, print_scripts, submission_of, submit_study
        from harness.executors.slurm import Slurm
        from harness.recipe.settings import with_settings

        submission = submission_of(with_settings(recipe, settings), runs, cells, workers, gpus, cores)
        slurm = Slurm(time, tuple(option or ()))
        if only_print:
            print_scripts(submission, slurm)
        else:
            submit_study(submission, slurm if to == "slurm" else executor_for(address))
