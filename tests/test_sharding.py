"""Two processes that each hold a part of the model train as one that holds it all."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from harness.training.trainer import last_whole_checkpoint
from tests.support import kill_with_children, small_recipe, train_here
from tests.test_training import SCRIPT, distance, record, train


@pytest.mark.parametrize("sharding", ["fsdp2", "zero3"])
def test_shards_killed_in_the_middle_train_as_the_whole_and_are_saved_as_it(
    sharding: str, tmp_path: Path, tiny_model: Path
) -> None:
    """Two cells, one tuned whole, which is killed, one with an adapter, which is not."""
    if sharding == "zero3":
        pytest.importorskip("deepspeed")
    data = small_recipe(tiny_model)
    data["training"] |= {"learning_rate": 1e-3, "epochs": 12, "checkpoint_every": 8}
    data["grid"] = {"method": {"path": "training.method", "values": ["full", "lora"]}}
    data["selection"] = {"languages": ["fr"], "every": 8, "items": 3}
    data["execution"] = {"sharding": sharding, "activation_checkpointing": sharding == "zero3"}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(data))
    assert train_here(recipe, tmp_path / "whole").returncode == 0
    kill_after_a_checkpoint(recipe, tmp_path / "sharded", "method-full")
    train(recipe, tmp_path / "sharded", processes=2)
    for cell, noise in (("method-full", 2e-3), ("method-lora", 1e-3)):
        whole, sharded = record(tmp_path / "whole", cell), record(tmp_path / "sharded", cell)
        assert sharded["processes"] == 2 and sharded["sharded"] and not whole["sharded"]
        assert sharded["loss"][:8] == pytest.approx(whole["loss"][:8], abs=1e-4)
        assert sharded["loss"] == pytest.approx(whole["loss"], abs=noise)
        assert sharded["fingerprint"] == whole["fingerprint"]
        for point, same in zip(whole["selection"]["curve"], sharded["selection"]["curve"], strict=True):
            assert point == pytest.approx(same, abs=noise)
        files = [next((tmp_path / runs / "small" / cell).glob("*/*.safetensors")) for runs in ("whole", "sharded")]
        assert distance(*map(load_file, files)) < noise
        names = [sorted(path.name for path in file.parent.iterdir()) for file in files]
        assert names[0] == names[1]
    done = record(tmp_path / "sharded", "method-full")
    assert 8 <= done["resumed_at"] < done["steps"]


def kill_after_a_checkpoint(recipe: Path, runs: Path, cell: str) -> None:
    """Trains a cell in two processes, which are killed when it has a checkpoint."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", SCRIPT, recipe]
    with subprocess.Popen([*command, "--runs", runs, "--cells", cell], stderr=subprocess.DEVNULL) as run:
        while last_whole_checkpoint(runs / "small" / cell / "checkpoints") is None:
            assert run.poll() is None
            time.sleep(0.005)
        kill_with_children(run)
