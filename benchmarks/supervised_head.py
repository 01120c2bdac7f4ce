"""A training step with the vocabulary scored at supervised positions only, against TRL's fused head.

Both in one run, on the quickstart's model and rows: python benchmarks/supervised_head.py
Prints seconds a step, their ratio, and the ratio of our step to its arithmetic alone.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM
from trl.trainer.utils import add_fused_lm_head

from harness.models.base import find_model
from harness.planning.jobs import write_rows
from harness.planning.study import Study
from harness.recipe.schema import Adapter
from harness.training.lora import adapted
from harness.training.supervised import with_supervised_forward

ROWS, STEPS = 8, 3


def main() -> None:
    """Times both heads on the same batches."""
    study = Study(Path("recipes/quickstart.yaml"), Path("runs"))
    path = Path(tempfile.mkdtemp()) / "rows.arrow"
    write_rows(path, ((row, True) for row in study.bases[0].tokens.render(study.plans[-1].rows[: ROWS * STEPS])))
    rows = Dataset.from_file(str(path))
    batches = [collate(rows[start : start + ROWS]) for start in range(0, ROWS * STEPS, ROWS)]
    model: Any = AutoModelForCausalLM.from_pretrained(find_model("gemma-3-270m", None).location, dtype=torch.bfloat16)
    model.requires_grad_(False)
    times: dict[str, float] = {}
    losses: dict[str, float] = {}
    with adapted(model, Adapter(), 0) as tuned:
        with_supervised_forward(model)
        ours = lambda batch: tuned(**batch, supervised_positions_only=True, use_cache=False).loss_sum  # noqa: E731
        times["supervised positions"], losses["ours"] = measure(ours, batches)
        del model.forward
        add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
        theirs = lambda batch: -tuned(**batch, fused_lm_head=True).log_probs.sum()  # noqa: E731
        times["fused head of TRL"], losses["theirs"] = measure(theirs, batches)
    for name, seconds in times.items():
        print(f"{name:22} {seconds:.2f} s a step")
    mine = times["supervised positions"]
    print(f"ratio {times['fused head of TRL'] / mine:.1f}; losses {losses}")
    peak = matmul_rate()
    ideal = sum(arithmetic(model, batch) for batch in batches) / STEPS / peak
    print(f"arithmetic alone at {peak / 1e9:.0f} GFLOP/s: {ideal:.2f} s, {ideal / mine:.0%} of ours")


def collate(rows: dict[str, list[list[int]]]) -> dict[str, torch.Tensor]:
    """A batch padded on the right."""
    longest = max(map(len, rows["input_ids"]))
    pad = lambda values, fill: torch.tensor([value + [fill] * (longest - len(value)) for value in values])  # noqa: E731
    mask = [[1] * len(ids) for ids in rows["input_ids"]]
    return {"input_ids": pad(rows["input_ids"], 0), "labels": pad(rows["labels"], -100), "attention_mask": pad(mask, 0)}


def measure(loss: Callable[[Any], torch.Tensor], batches: list[Any]) -> tuple[float, float]:
    """Seconds a step and the summed loss, after a first step that warms up."""
    loss(batches[0]).backward()
    started, total = time.perf_counter(), 0.0
    for batch in batches:
        value = loss(batch)
        value.backward()
        total += float(value)
    return (time.perf_counter() - started) / len(batches), total


def arithmetic(model: Any, batch: dict[str, torch.Tensor]) -> float:
    """FLOP of forward and backward: 4 per body weight and token (no weight gradients), 4 per head weight
    and supervised token; attention and adapters left out."""
    head = model.get_output_embeddings().weight.numel()
    body = sum(parameter.numel() for parameter in model.parameters()) - head
    supervised = int((batch["labels"] != -100).sum())
    return 4.0 * (body * int(batch["attention_mask"].sum()) + head * supervised)


def matmul_rate() -> float:
    """FLOP/s of a bfloat16 matrix product of the body's size here and now."""
    left, right = torch.randn(1024, 640).bfloat16(), torch.randn(640, 2048).bfloat16()
    _ = left @ right
    started, times = time.perf_counter(), 0
    while time.perf_counter() - started < 1:
        _ = left @ right
        times += 1
    return 2.0 * 1024 * 640 * 2048 * times / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
