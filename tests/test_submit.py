"""The scripts that SLURM gets, and what is said where there is no SLURM."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import harness


@pytest.fixture
def recipe(recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path]) -> Path:
    """A small study's recipe."""
    return write_recipe(recipe_data)


def test_the_scripts_can_be_read_before_they_are_submitted(recipe: Path, tmp_path: Path) -> None:
    done = harness("submit", recipe, "--runs", tmp_path, "--workers", 8, "--time", "4:00:00",
                   "--option", "partition=gpu", "--cells", "amount-*", "--print")  # fmt: skip
    workers, _, end = done.stdout.partition("\n#!/bin/bash")
    for option in ("array=0-7", "gpus-per-task=1", "time=4:00:00", "requeue", "partition=gpu"):
        assert f"#SBATCH --{option}\n" in workers
    assert f"harness.cli work {recipe} --runs {tmp_path} --cells 'amount-*'" in workers
    assert "--array" not in end and "#SBATCH --partition=gpu" in end and "harness.cli run " in end
    for number, script in enumerate((workers, f"#!/bin/bash{end}")):
        path = tmp_path / f"{number}.sh"
        path.write_text(script)
        assert subprocess.run(["bash", "-n", path], check=False).returncode == 0


def test_what_cannot_be_submitted_is_said(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    refused = harness("submit", recipe, "--runs", tmp_path / "runs", "--workers", 2)
    assert refused.returncode == 2 and "--to slurm: there is no sbatch here; submit from a login node" in refused.stderr
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: gpu' >&2\nexit 1\n")
    (tmp_path / "sbatch").chmod(0o755)
    refused = harness("submit", recipe, "--runs", tmp_path / "runs", "--workers", 2)
    assert refused.returncode == 1 and "error: sbatch: error: invalid partition specified: gpu" in refused.stderr
