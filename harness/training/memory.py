"""How many rows a forward pass has room for."""

from __future__ import annotations

from typing import Any

import psutil
import torch

from harness.runs.job import IGNORED
from harness.training.padding import joined

SHARE = 0.5
"""Of the free memory, what activations of a micro-batch may take: the backward pass and fragments want the rest."""


def rows_that_fit(model: Any, tokens: int, processes: int) -> int:
    """How many rows of so many tokens this process can take at once, by what one of them keeps; at least one.

    `model` is ready to learn. The processes of a launch share the memory of the CPU.
    """
    device = next(model.parameters()).device
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = psutil.virtual_memory().available // processes
    return max(1, int(SHARE * free) // max(1, bytes_kept(model, tokens)))


def bytes_kept(model: Any, tokens: int) -> int:
    """Bytes that the forward pass of a row of so many tokens keeps for the backward pass, weights left out."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    row = {"input_ids": [1] * tokens, "labels": [IGNORED] * (tokens - 1) + [1]}
    device = next(model.parameters()).device
    batch = {name: part.to(device) for name, part in joined([row]).items()}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = model(**batch, supervised_positions_only=True, use_cache=False).loss_sum
    del loss
    return sum(kept.values())
