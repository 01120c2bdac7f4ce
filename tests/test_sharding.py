"""One process and two, with the whole model each or with a part of it, train alike, also when they are killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from harness.training.trainer import last_whole_checkpoint
from tests.support import free_port, small_recipe, train_here
from tests.test_training import distance, record, train, weights

CELLS = {"method-full": 2e-3, "method-lora": 1e-3}
"""Both ways to tune, with the noise of adding up in another order at a high learning rate."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[dict[str, Any], Path]:
    """A recipe's data, and the runs folder in which one process trained its cells undisturbed."""
    folder = tmp_path_factory.mktemp("alone")
    data = small_recipe(tiny_model)
    data["training"] |= {"learning_rate": 1e-3, "epochs": 12, "checkpoint_every": 8}
    data["grid"] = {"method": {"path": "training.method", "values": ["full", "lora"]}}
    data["selection"] = {"languages": ["fr"], "every": 8, "items": 3}
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(data))
    assert train_here(recipe, folder / "runs").returncode == 0
    return data, folder / "runs"


@pytest.mark.parametrize(("processes", "sharding"), [(1, "none"), (2, "none"), (2, "fsdp2"), (2, "zero3")])
def test_processes_killed_in_each_cell_train_as_one_undisturbed(
    processes: int, sharding: str, alone: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    """One process; two with a copy of the model each; two with a part."""
    if sharding == "zero3":
        pytest.importorskip("deepspeed")
    data, undisturbed = alone
    recipe = tmp_path / "recipe.yaml"
    execution = {"sharding": sharding, "activation_checkpointing": sharding == "zero3"}
    recipe.write_text(json.dumps(data | {"execution": execution}))
    for cell in CELLS:
        kill_after_a_checkpoint(recipe, tmp_path / "runs", cell, processes)
    if sharding == "none":
        resumed = train_in_forks(recipe, tmp_path / "runs", processes)
        for process in resumed:
            process.join()
        assert not any(process.exitcode for process in resumed)
    else:
        train(recipe, tmp_path / "runs", processes=processes)
    for cell, noise in CELLS.items():
        noise = noise if processes > 1 else 1e-6
        one, two = record(undisturbed, cell), record(tmp_path / "runs", cell)
        assert two["processes"] == processes and two["sharded"] == (sharding != "none") and not one["sharded"]
        assert 8 <= two["resumed_at"] < two["steps"] == one["steps"]
        assert two["loss"][:8] == pytest.approx(one["loss"][:8], abs=1e-4)
        assert two["loss"] == pytest.approx(one["loss"], abs=noise)
        assert two["fingerprint"] == one["fingerprint"]
        for point, same in zip(one["selection"]["curve"], two["selection"]["curve"], strict=True):
            assert point == pytest.approx(same, abs=noise)
        assert distance(weights(undisturbed, cell), weights(tmp_path / "runs", cell)) < noise
        names = [sorted(path.name for path in next((runs / "small" / cell).glob("*/*.safetensors")).parent.iterdir())
                 for runs in (undisturbed, tmp_path / "runs")]  # fmt: skip
        assert names[0] == names[1]


def kill_after_a_checkpoint(recipe: Path, runs: Path, cell: str, processes: int) -> None:
    """Trains a cell in so many processes, which are killed when it has a checkpoint."""
    started = train_in_forks(recipe, runs, processes, "--cells", cell)
    while last_whole_checkpoint(runs / "small" / cell / "checkpoints") is None:
        assert all(process.is_alive() for process in started)
        time.sleep(0.005)
    for process in started:
        process.kill()
    for process in started:
        process.join()


def train_in_forks(recipe: Path, runs: Path, processes: int, *options: str) -> list[ForkServerProcess]:
    """Has so many processes train.

    They are forks of one that has imported all that training does, which takes most of the time to start.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["harness.training.loop", "harness.training.trainer", "tests.support"])
    port = free_port()
    started = [context.Process(target=train_as, args=(rank, processes, port, recipe, runs, options))
               for rank in range(processes)]  # fmt: skip
    for process in started:
        process.start()
    return started


def train_as(rank: int, processes: int, port: int, recipe: Path, runs: Path, options: Sequence[str]) -> None:
    """Trains as one of some processes, as launchers for several start them."""
    several = {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    here = several | {"RANK": rank, "LOCAL_RANK": rank} if processes > 1 else {}
    os.environ |= {name: str(value) for name, value in here.items()}
    sys.exit(train_here(recipe, runs, *options).returncode)
