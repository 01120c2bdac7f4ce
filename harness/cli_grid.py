"""The commands for grids on several GPUs and machines: `harness work` and `harness submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from harness.commands.options import Cells, Runs, Settings
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
