"""Two processes that each hold a part of the model train as one that holds it all."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file

from harness.training.trainer import last_whole_checkpoint
from tests.support import small_recipe, train_here
from tests.test_training import SCRIPT, distance, record, train


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """Two cells, one tuned whole, one with an adapter, to be sharded where there are several processes."""
    data = small_recipe(tiny_model)
    data["training"] |= {"learning_rate": 1e-3, "checkpoint_every": 3}
    data["grid"] = {"method": {"path": "training.method", "values": ["full", "lora"]}}
    data["selection"] = {"languages": ["fr"], "every": 2, "items": 3}
    data["execution"] = {"sharding": "fsdp2"}
    path = tmp_path_factory.mktemp("sharded") / "recipe.yaml"
    path.write_text(json.dumps(data))
    return path


def test_shards_train_as_the_whole_and_are_saved_as_it(recipe: Path, tmp_path: Path) -> None:
    assert train_here(recipe, tmp_path / "whole").returncode == 0
    train(recipe, tmp_path / "sharded", processes=2)
    for cell in ("method-full", "method-lora"):
        whole, sharded = record(tmp_path / "whole", cell), record(tmp_path / "sharded", cell)
        assert sharded["processes"] == 2 and sharded["sharded"] and not whole["sharded"]
        assert sharded["loss"] == pytest.approx(whole["loss"], abs=1e-4)
        assert sharded["fingerprint"] == whole["fingerprint"]
        for point, same in zip(whole["selection"]["curve"], sharded["selection"]["curve"], strict=True):
            assert point == pytest.approx(same, abs=1e-4)
        files = [next((tmp_path / runs / "small" / cell).glob("*/*.safetensors")) for runs in ("whole", "sharded")]
        assert distance(*map(load_file, files)) < 1e-4
        names = [sorted(path.name for path in file.parent.iterdir()) for file in files]
        assert names[0] == names[1]


def test_shards_killed_in_the_middle_go_on_and_end_the_same(recipe: Path, tmp_path: Path) -> None:
    data = json.loads(recipe.read_text())
    data["training"] |= {"epochs": 30, "checkpoint_every": 20}
    del data["selection"]
    longer, cell = tmp_path / "recipe.yaml", "method-full"
    longer.write_text(json.dumps(data))
    assert train_here(longer, tmp_path / "whole", "--cells", cell).returncode == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", SCRIPT, longer]
    with subprocess.Popen(
        [*command, "--runs", tmp_path / "sharded", "--cells", cell], stderr=subprocess.DEVNULL
    ) as run:
        checkpoints = tmp_path / "sharded" / "small" / cell / "checkpoints"
        while last_whole_checkpoint(checkpoints) is None:
            assert run.poll() is None
            time.sleep(0.005)
        for process in (*psutil.Process(run.pid).children(recursive=True), run):
            process.send_signal(signal.SIGKILL)
    train(longer, tmp_path / "sharded", "--cells", cell, processes=2)
    done, undisturbed = record(tmp_path / "sharded", cell), record(tmp_path / "whole", cell)
    assert 20 <= done["resumed_at"] < done["steps"] == undisturbed["steps"]
    assert done["loss"] == pytest.approx(undisturbed["loss"], abs=2e-3)
    files = [tmp_path / runs / "small" / cell / "model" / "model.safetensors" for runs in ("whole", "sharded")]
    assert distance(*map(load_file, files)) < 1e-3
