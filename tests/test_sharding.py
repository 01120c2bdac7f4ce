"""Two processes, with the whole model each or with a part of it, train as one does, also when they are killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.training.trainer import last_whole_checkpoint
from tests.support import kill_with_children, small_recipe, train_here
from tests.test_training import SCRIPT, distance, record, train, weights

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


@pytest.mark.parametrize("sharding", ["none", "fsdp2", "zero3"])
def test_two_processes_killed_in_each_cell_train_as_one_undisturbed(
    sharding: str, alone: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    """With a copy of the model in each process, and with a part."""
    if sharding == "zero3":
        pytest.importorskip("deepspeed")
    data, undisturbed = alone
    recipe = tmp_path / "recipe.yaml"
    execution = {"sharding": sharding, "activation_checkpointing": sharding == "zero3"}
    recipe.write_text(json.dumps(data | {"execution": execution}))
    for cell in CELLS:
        kill_after_a_checkpoint(recipe, tmp_path / "runs", cell)
    train(recipe, tmp_path / "runs", processes=2)
    for cell, noise in CELLS.items():
        one, two = record(undisturbed, cell), record(tmp_path / "runs", cell)
        assert two["processes"] == 2 and two["sharded"] == (sharding != "none") and not one["sharded"]
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


def kill_after_a_checkpoint(recipe: Path, runs: Path, cell: str) -> None:
    """Trains a cell in two processes, which are killed when it has a checkpoint."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", SCRIPT, recipe]
    with subprocess.Popen([*command, "--runs", runs, "--cells", cell], stderr=subprocess.DEVNULL) as run:
        while last_whole_checkpoint(runs / "small" / cell / "checkpoints") is None:
            assert run.poll() is None
            time.sleep(0.005)
        kill_with_children(run)
