"""Micro-batches without padding: their rows one after another, each with positions of its own, none seeing another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch

from harness.runs.job import IGNORED
from harness.training.batches import are_joined

TOLERANCE = 0.05
"""By how much of their size states may differ between a row among others and alone: bfloat16 rounds so."""


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
