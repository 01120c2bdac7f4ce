"""Workers on a real SLURM, and on a real Ray, of this machine alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from harness.runs.checkpoints import last_whole_checkpoint
from tests.slurm import asked, cluster
from tests.support import REPOSITORY, run_here, small_recipe

CELLS = ("amount-0", "amount-3")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Path, Path]:
    """A recipe, and the study's folder after one process did it all."""
    folder = tmp_path_factory.mktemp("undisturbed")
    data = small_recipe(tiny_model)
    data["training"] |= {"epochs": 20, "checkpoint_every": 5}
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(data))
    assert run_here(recipe, "--runs", folder / "runs").returncode == 0
    return recipe, folder / "runs" / "small"


def submitted(recipe: Path, runs: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "submit", recipe, "--runs", runs, "--workers", "2", "--gpus", "0",
         "--cores", "1", *options],
        cwd=REPOSITORY, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def until_checkpoint(study: Path, still: Any) -> None:
    """Waits until a cell has a checkpoint."""
    while not any(last_whole_checkpoint(study / cell / "checkpoints") for cell in CELLS):
        assert still(), said_in(study)
        time.sleep(0.02)


def said_in(study: Path) -> str:
    return "\n".join(path.read_text() for path in sorted((study / "logs").glob("*.log")))


def ended_as(study: Path, whole: Path) -> None:
    """The study ended as the undisturbed one did, with a report."""
    assert (study / "report.html").is_file(), said_in(study)
    for table in ("predictions.parquet", "scores.parquet"):
        assert pl.read_parquet(study / table).equals(pl.read_parquet(whole / table))


def test_a_study_on_slurm_survives_scancel_and_requeue(undisturbed: tuple[Path, Path], tmp_path: Path) -> None:
    recipe, whole = undisturbed
    study = tmp_path / "runs" / "small"
    with cluster(tmp_path / "slurm") as slurm:
        process = submitted(recipe, tmp_path / "runs", "--time", "1:00:00", "--option", "partition=main", **slurm)
        told, _ = process.communicate()
        assert process.returncode == 0 and "2 cells, 2 workers" in told, told
        assert "array job 1 of 2; the study is ended by job 2 after them" in told
        until_checkpoint(study, lambda: "RUNNING" in asked("squeue", "-h", "-o", "%T", environment=slurm))
        asked("scontrol", "requeue", "1_0", environment=slurm)
        asked("scancel", "1_1", environment=slurm)
        while asked("squeue", "-h", environment=slurm).strip():
            time.sleep(0.5)
        jobs = asked("scontrol", "show", "job", "-o", environment=slurm)
    assert "Restarts=1" in jobs and "JobState=CANCELLED" in jobs and jobs.count("JobState=COMPLETED") == 2, jobs
    assert any(json.loads((study / cell / "record.json").read_text())["resumed_at"] for cell in CELLS)
    ended_as(study, whole)


def test_a_study_on_ray_survives_a_killed_worker(undisturbed: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("ray")
    recipe, whole = undisturbed
    study = tmp_path / "runs" / "small"
    process = submitted(
        recipe, tmp_path / "runs", "--to", "ray", RAY_DISABLE_METRICS_COLLECTION="1", RAY_worker_niceness="0"
    )
    until_checkpoint(study, lambda: process.poll() is None)
    holders = [json.loads(lease.read_text())["process"] for lease in study.glob("*/.lock.lease")]
    os.kill(holders[0], 9)
    told, _ = process.communicate()
    assert process.returncode == 0 and f"the report: {study / 'report.html'}" in told, told
    ended_as(study, whole)
