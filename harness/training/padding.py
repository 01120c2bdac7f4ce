"""Micro-batches without padding: their rows one after another, each with positions of its own, none seeing another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from harness.runs.job import IGNORED
from harness.training.batches import are_joined

TOLERANCE = 0.05
"""By how much of their size states may differ between a row among others and alone: bfloat16 rounds so."""


BY_ROW = "sdpa_by_row"
"""The name under which transformers knows `attend_by_row`."""


def attend_by_row(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **settings: Any
) -> tuple[torch.Tensor, None]:
    """The attention of PyTorch (sdpa), of each of several joined rows by itself: products with other rows are masked.

    Tensors are 1 × heads × tokens × width. Where rows begin and end is in `cu_seq_lens_q`, as for FlashAttention.
    """
    borders = settings.pop("cu_seq_lens_q", None)
    if borders is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    parts: list[torch.Tensor] = []
    for start, end in pairwise(borders.tolist()):
        mask = None if attention_mask is None else without_triangle(attention_mask[:, :, start:end, start:end])
        queries, keys, values = (tensor[:, :, start:end] for tensor in (query, key, value))
        parts.append(sdpa_attention_forward(module, queries, keys, values, mask, **settings)[0])
    return torch.cat(parts, dim=1), None


def without_triangle(mask: torch.Tensor) -> torch.Tensor | None:
    """A row's mask, 1 × 1 × tokens × tokens; None where all it hides is what comes later, which takes no mask."""
    triangle = torch.ones(mask.shape[-2:], dtype=torch.bool, device=mask.device).tril()
    return None if mask.dtype == torch.bool and torch.equal(mask[0, 0], triangle) else mask


AttentionInterface.register(BY_ROW, attend_by_row)
AttentionMaskInterface.register(BY_ROW, sdpa_mask)


def joined(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Rows as one sequence. Positions that begin anew keep them apart, as transformers then masks attention."""
    ids = [token for row in rows for token in row["input_ids"]]
    labels = [label for row in rows for label in (IGNORED, *row["labels"][1:])]
    positions = [position for row in rows for position in range(len(row["input_ids"]))]
    borders = [0, *accumulate(len(row["input_ids"]) for row in rows)]
    return {
        "input_ids": torch.tensor([ids]),
        "labels": torch.tensor([labels]),
        "position_ids": torch.tensor([positions]),
        "cu_seq_lens_q": torch.tensor(borders, dtype=torch.int32),
    }


def padded(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Rows beside one another, each filled up on the right to the longest."""
    longest = max(len(row["input_ids"]) for row in rows)

    def filled(values: Sequence[int], fill: int) -> list[int]:
        return [*values, *[fill] * (longest - len(values))]

    return {
        "input_ids": torch.tensor([filled(row["input_ids"], 0) for row in rows]),
        "labels": torch.tensor([filled(row["labels"], IGNORED) for row in rows]),
        "attention_mask": torch.tensor([filled([1] * len(row["input_ids"]), 0) for row in rows]),
    }


def collator(apart: bool) -> Callable[[Sequence[dict[str, Any]]], dict[str, torch.Tensor]]:
    """Makes a micro-batch of rows: joined where the model keeps them apart and they are short enough, else padded."""

    def collate(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        return joined(rows) if apart and are_joined([len(row["input_ids"]) for row in rows]) else padded(rows)

    return collate


def attend_to_joined_rows(model: Any) -> None:
    """Has a model on the CPU compute attention row by row; a GPU does all in one product, with a mask."""
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(BY_ROW)


@torch.no_grad()
def keeps_rows_apart(model: Any) -> bool:
    """Whether a row's states are the same after another row as alone, tried: models with a state that runs on fail."""
    device = next(model.parameters()).device
    first, second = ({"input_ids": ids, "labels": ids} for ids in ([3, 1, 4, 1, 5], [2, 7, 1, 8]))

    def states(rows: Sequence[dict[str, Any]]) -> torch.Tensor:
        inputs = {name: part.to(device) for name, part in joined(rows).items() if name != "labels"}
        return model.base_model(**inputs, use_cache=False).last_hidden_state[0, -4:].float()

    was_training = model.training
    model.eval()
    try:
        alone, after = states([second]), states([first, second])
    except (TypeError, ValueError, IndexError, RuntimeError):  # a model that takes no positions
        return False
    finally:
        model.train(was_training)
    return bool((after - alone).norm() <= TOLERANCE * alone.norm())
