"""Workers that pull cells of one study side by side: nothing is lost, and nothing that is done is done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest

from data_mixes.holds import holding
from harness.errors import MachineError
from harness.executors import local
from harness.executors.local import worker_environments
from harness.recipe.schema import Execution
from harness.runs.checkpoints import checkpoints_in, last_whole_checkpoint
from harness.training.loop import start_process, train_jobs
from tests.support import REPOSITORY, harness, run_here, small_recipe

Write = Callable[[dict[str, Any]], Path]
CELLS = ("amount-0", "amount-1", "amount-2", "amount-3")


def grid(tiny_model: Path) -> dict[str, Any]:
    """Four cells of some twenty steps."""
    data = small_recipe(tiny_model)
    data["grid"]["amount"]["values"] = [0, 1, 2, 3]
    data["training"] |= {"epochs": 6, "checkpoint_every": 3}
    return data


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Path, Path]:
    """A recipe, and the study's folder after one worker did it all."""
    folder = tmp_path_factory.mktemp("undisturbed")
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(grid(tiny_model)))
    assert run_here(recipe, "--runs", folder / "runs").returncode == 0
    return recipe, folder / "runs" / "small"


def started(command: str, recipe: Path, runs: Path, *options: str) -> subprocess.Popen[bytes]:
    """A command in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "harness.cli", command, recipe, "--runs", runs, *options],
        cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def record(study: Path, cell: str) -> dict[str, Any]:
    path = study / cell / "record.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def same_tables(one: Path, other: Path) -> bool:
    return all(
        pl.read_parquet(one / table).equals(pl.read_parquet(other / table))
        for table in ("predictions.parquet", "scores.parquet")
    )


def test_two_workers_one_killed_end_as_one_worker_does(undisturbed: tuple[Path, Path], tmp_path: Path) -> None:
    recipe, whole = undisturbed
    study = tmp_path / "small"
    doomed = started("work", recipe, tmp_path)
    while not any(last_whole_checkpoint(study / cell / "checkpoints") for cell in CELLS):
        assert doomed.poll() is None
        time.sleep(0.005)
    other = started("work", recipe, tmp_path)
    os.killpg(doomed.pid, signal.SIGKILL)
    doomed.wait()
    assert other.wait() == 0
    assert {record(study, cell)["state"] for cell in CELLS} == {"trained"}
    assert any(record(study, cell)["resumed_at"] for cell in CELLS), "it went on from the checkpoint of the dead one"
    before = {path: path.stat().st_mtime_ns for path in study.glob("*/adapter/*.safetensors")}
    chunks = {path: path.stat().st_mtime_ns for path in (study / "evaluation" / "generations").glob("*.jsonl")}
    assert len(before) == 4 and chunks, "it helped to generate at its end"
    ended = run_here(recipe, "--runs", tmp_path)
    assert ended.returncode == 0 and "all there already" in ended.stderr, ended.stderr
    assert all(path.stat().st_mtime_ns == when for path, when in (before | chunks).items())
    assert same_tables(study, whole)
    assert not [path for path in study.rglob("*") if path.name.endswith((".lease", ".unfinished"))]


def test_sigterm_writes_a_checkpoint_and_gives_the_cell_back(undisturbed: tuple[Path, Path], tmp_path: Path) -> None:
    recipe, _ = undisturbed
    checkpoints = tmp_path / "small" / "amount-3" / "checkpoints"
    options = ("--cells", "amount-3", "--phase", "train", "--set", "training.checkpoint_every=1000",
               "--set", "training.epochs=2000")  # fmt: skip
    worker = started("work", recipe, tmp_path, *options)
    log = tmp_path / "small" / "amount-3" / "log.txt"
    while not log.is_file() or " trains" not in log.read_text():
        assert worker.poll() is None
        time.sleep(0.005)
    children = psutil.Process(worker.pid).children(recursive=True)
    worker.terminate()
    assert worker.wait() == 143
    assert not any(child.is_running() for child in children)
    ((steps, _),) = checkpoints_in(checkpoints)
    assert 0 < steps < 1000, "written when it was asked to stop, not when it was due"
    with holding(tmp_path / "small" / "amount-3" / ".lock") as other:
        assert other is None


def test_a_cell_that_another_holds_is_passed_over(
    undisturbed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, _ = undisturbed
    monkeypatch.setattr(local, "launch_training", lambda *_: 3)
    assert harness("train", recipe, "--runs", tmp_path).returncode == 3  # its jobs are on disk
    study = tmp_path / "small"
    unknown = harness("work", study, "--cells", "amuont-1")
    assert unknown.returncode == 2 and "no cell 'amuont-1'; did you mean 'amount-1'?" in unknown.stderr
    with holding(study / "amount-1" / ".lock"):
        train_jobs(study, CELLS, start_process())
    states = {cell: record(study, cell).get("state") for cell in CELLS}
    assert states == dict.fromkeys(CELLS, "trained") | {"amount-1": None}
    assert (study / "plan").is_dir(), "the rows of the cell that is left are not removed"
    train_jobs(study, ["amount-1"], start_process())
    assert record(study, "amount-1")["state"] == "trained" and not (study / "plan").exists()


def test_who_waits_for_a_cell_trains_it_when_it_is_given_back(
    undisturbed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, _ = undisturbed
    launched: list[list[str]] = []

    def launch(study: Path, names: list[str], *_: Any) -> int:
        launched.append(names)
        for name in names:
            (study / name / "record.json").write_text('{"state": "diverged"}')
        return 0

    lock = tmp_path / "small" / "amount-2" / ".lock"
    with holding(lock) as held:
        assert held is None
        monkeypatch.setattr(local, "launch_training", launch)
        monkeypatch.setattr(local, "holder_of", lambda path: held_until_asked_twice(path, lock))
        monkeypatch.setattr(local, "POLLED", 0.01)
        asked: list[Path] = []

        def held_until_asked_twice(path: Path, lock: Path) -> str | None:
            asked.append(path)
            return "process 7" if path == lock and asked.count(lock) < 3 else None

        ended = harness("train", recipe, "--runs", tmp_path)
    assert launched == [["amount-0", "amount-1", "amount-3"], ["amount-2"]]
    assert "amount-2: being trained by process 7; waiting" in ended.stderr


def test_each_worker_has_its_gpus_or_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    def gpus(*of: Any, **execution: Any) -> list[str]:
        return [worker.get("CUDA_VISIBLE_DEVICES", "") for worker in worker_environments(Execution(**execution), *of)]

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(local, "gpu_count", lambda: 8)
    assert gpus(100, None) == ["0", "1", "2", "3", "4", "5", "6", "7"]
    assert gpus(3, None) == ["0", "1", "2"], "no more workers than cells"
    assert gpus(100, None, gpus_per_cell=4) == ["0,1,2,3", "4,5,6,7"]
    assert gpus(100, None, gpus_per_cell=3) == ["0,1,2", "3,4,5"]
    assert gpus(100, None, workers=2, processes_per_gpu=2) == ["0", "1"]
    assert sorted(gpus(100, None, processes_per_gpu=2)) == sorted("01234567" * 2)
    assert gpus(100, 8) == [""], "all GPUs are one cell's, where its processes are given"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    assert gpus(100, None) == ["GPU-a", "GPU-b"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(local, "gpu_count", lambda: 0)
    monkeypatch.setattr(local.os, "cpu_count", lambda: 8)
    assert worker_environments(Execution(), 100, None) == [{}]
    side_by_side = worker_environments(Execution(workers=3), 100, None)
    assert [worker["OMP_NUM_THREADS"] for worker in side_by_side] == ["2", "2", "2"]


def test_a_folder_without_jobs_says_how_to_plan(undisturbed: tuple[Path, Path]) -> None:
    ended = harness("work", undisturbed[1])
    assert ended.returncode == 2 and "has no planned cell that is left to train; plan and train from" in ended.stderr


def test_a_cell_that_fails_stops_no_other(
    undisturbed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, _ = undisturbed
    monkeypatch.setattr(local, "launch_training", lambda *_: 3)
    harness("train", recipe, "--runs", tmp_path)
    from harness.training import loop

    train = loop.train

    def fail(model: Any, tokenizer: Any, job: Any, *rest: Any) -> Any:
        if job.name == "amount-1":
            raise ValueError("a matrix is singular")
        return train(model, tokenizer, job, *rest)

    monkeypatch.setattr(loop, "train", fail)
    with pytest.raises(MachineError, match="amount-1"):
        train_jobs(tmp_path / "small", CELLS, start_process())
    assert [record(tmp_path / "small", cell)["state"] for cell in CELLS] == ["trained", "failed", "trained", "trained"]
    assert record(tmp_path / "small", "amount-1")["reason"] == "ValueError: a matrix is singular"
