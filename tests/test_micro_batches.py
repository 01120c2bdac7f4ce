"""How many rows a forward pass takes: as many as there is room for, fewer out of memory, with the same result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from harness.recipe.schema import Adapter, Training
from harness.training import memory
from harness.training.batches import micro_batch_of
from harness.training.lora import adapted
from harness.training.memory import bytes_kept, rows_that_fit
from harness.training.supervised import with_supervised_forward
from harness.training.trainer import SupervisedPositionsTrainer
from tests.support import Ended, train_here
from tests.test_speed import tiny
from tests.test_training import distance, record, weights

Write = Callable[[dict[str, Any]], Path]


@pytest.mark.parametrize(
    ("asked", "processes", "room", "rows"),
    [(8, 1, None, 6), (3, 2, None, 3), (5, 1, None, 4), ("auto", 1, None, 12), ("auto", 2, 100, 6), ("auto", 1, 5, 4),
     (8, 1, 2, 2), ("auto", 1, 0, 1)],
)  # fmt: skip
def test_a_global_batch_of_twelve_rows(asked: Any, processes: int, room: int | None, rows: int) -> None:
    assert micro_batch_of(Training(global_batch=12, micro_batch=asked), processes, room) == rows


def test_room_is_told_by_what_a_row_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("llama").requires_grad_(False)
    with adapted(model, Adapter(), seed=0) as tuned:
        with_supervised_forward(model)
        one, two = bytes_kept(tuned, 20), bytes_kept(tuned, 40)
        assert 1.6 * one < two < 2.4 * one and one > 20 * 32 * 4 * 2 * 7  # the inputs of seven products in two layers
        free = psutil.virtual_memory()._replace(available=10 * one / memory.SHARE)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
        assert rows_that_fit(tuned, 20, 1) == 10 and rows_that_fit(tuned, 20, 2) == 5
        monkeypatch.setattr(psutil, "virtual_memory", lambda: free._replace(available=1))
        assert rows_that_fit(tuned, 20, 1) == 1


def out_of_memory_above(rows: int, patched: pytest.MonkeyPatch) -> None:
    """Has training run out of memory in its second step, with more rows at once than these."""
    step = SupervisedPositionsTrainer.compute_loss

    def compute_loss(self: Any, model: Any, inputs: dict[str, torch.Tensor], *rest: Any, **more: Any) -> Any:
        at_once = self.args.per_device_train_batch_size
        if self.state.global_step >= 1 and at_once > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return step(self, model, inputs, *rest, **more)

    patched.setattr(SupervisedPositionsTrainer, "compute_loss", compute_loss)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_out_of_memory_a_cell_goes_on_with_fewer_rows(
    method: str, recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(runs: str, micro_batch: Any) -> Ended:
        recipe_data["training"] |= {"micro_batch": micro_batch, "method": method, "learning_rate": 1e-3}
        return train_here(write_recipe(recipe_data), tmp_path / runs, "--cells", "amount-3")

    assert trained("small", 1).returncode == 0
    with monkeypatch.context() as patched:
        out_of_memory_above(1, patched)
        ended = trained("auto", "auto")
    assert ended.returncode == 0, ended.stderr
    assert "amount-3: out of memory with 4 rows at once; goes on with 2, and the same global batch" in ended.stderr
    assert "amount-3: out of memory with 2 rows at once; goes on with 1" in ended.stderr
    one, other = record(tmp_path / "small", "amount-3"), record(tmp_path / "auto", "amount-3")
    assert one["micro_batch"] == other["micro_batch"] == 1 and one["fingerprint"] == other["fingerprint"]
    assert other["loss"] == pytest.approx(one["loss"], abs=1e-5)
    if method == "lora":
        assert distance(weights(tmp_path / "small", "amount-3"), weights(tmp_path / "auto", "amount-3")) <= 1e-5


def test_a_row_that_is_too_large_by_itself_fails_its_cell(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out_of_memory_above(0, monkeypatch)
    ended = train_here(write_recipe(recipe_data), tmp_path, "--cells", "amount-3")
    assert ended.returncode == 1
    assert "goes on with 1" in ended.stderr and "amount-3: failed: out of memory" in ended.stderr
