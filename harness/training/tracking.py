"""Losses reported while a cell trains, to the programs that people watch them with, by the trainer's callbacks.

Each cell is a run of the project that its study is, tagged with the cell and its place on the grid's axes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.runs.folder import StudyFolder
from harness.runs.job import CellJob


def reporting_settings(study: Path, job: CellJob) -> dict[str, Any]:
    """The trainer's settings for reports; sets the variables by which the programs know study, cell and axes.

    What the user has set stays. Nothing needs the network: Weights & Biases keeps a run on disk where nobody is logged
    in, and the others do anyway.
    """
    if not job.training.report_to:
        return {"report_to": "none"}
    os.environ |= {
        "TENSORBOARD_LOGGING_DIR": str(StudyFolder(study).cell(job.name).tensorboard),
        "WANDB_TAGS": ",".join(f"{key}={value}"[:64] for key, value in tags_of(study, job).items()),
        "MLFLOW_TAGS": json.dumps(tags_of(study, job)),
    }
    for variable, value in {
        "WANDB_PROJECT": study.name,
        "WANDB_MODE": "online" if is_logged_in() else "offline",
        "WANDB_SILENT": "true",
        "MLFLOW_EXPERIMENT_NAME": study.name,
    }.items():
        os.environ.setdefault(variable, value)
    return {"report_to": list(job.training.report_to), "run_name": job.name, "project": study.name}


def tags_of(study: Path, job: CellJob) -> dict[str, str]:
    """What a run is known by."""
    return {"study": study.name, "cell": job.name, **job.axes}


def is_logged_in() -> bool:
    """Whether this user has an account of Weights & Biases on this machine."""
    netrc = Path.home() / ".netrc"
    known = netrc.is_file() and "api.wandb.ai" in netrc.read_text(encoding="utf-8", errors="ignore")
    return known or "WANDB_API_KEY" in os.environ


@contextmanager
def ending_reports(job: CellJob) -> Generator[None]:
    """Ends the cell's run of Weights & Biases with the block: the next cell's losses would be added to it."""
    try:
        yield
    finally:
        if "wandb" in job.training.report_to:
            import wandb  # pyright: ignore[reportMissingImports]

            wandb.finish()
