"""How much of what the devices can compute went into the model's own arithmetic."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from typing import Any, NamedTuple

import torch

from harness.models.accelerators import ACCELERATORS

LONG_ENOUGH = 0.2
"""Seconds of products from which on their rate is told."""


class Weights(NamedTuple):
    """How many weights take part in a forward pass of a token, and of a position whose next token is scored."""

    body: int
    head: int
    tuned_body: int = 0
    """As many of them have a gradient of their own."""
    tuned_head: int = 0


def weights_of(model: Any) -> Weights:
    """The weights of a causal model of transformers; looking up an embedding is no arithmetic."""
    table, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    body = [weight for weight in model.parameters() if weight is not table and weight is not head]
    return Weights(
        body=sum(map(size_of, body)),
        head=size_of(head),
        tuned_body=sum(size_of(weight) for weight in body if weight.requires_grad),
        tuned_head=size_of(head) if head.requires_grad else 0,
    )


def size_of(weight: Any) -> int:
    """How many numbers a weight has: over all processes, where DeepSpeed parts it; two to a byte, in four bits."""
    if rounded := getattr(weight, "quant_state", None):
        return int(rounded.shape.numel())
    return int(getattr(weight, "ds_numel", weight.numel()))


def arithmetic(weights: Weights, tokens: int, supervised: int) -> float:
    """FLOP of training on so many tokens: 4 or 6 per body weight and token, and per head weight and supervised token.

    Forward 2, and 2 for the gradients of activations; weights that are tuned have gradients of their own, which take 2
    more (the 6 of arXiv 2204.02311, appendix B). Attention's products and adapters are left out.
    """
    body, head = 4 * weights.body + 2 * weights.tuned_body, 4 * weights.head + 2 * weights.tuned_head
    return float(body * tokens + head * supervised)


def peak_rate(device: str, dtype: str) -> float | None:
    """FLOP per second of a device by its maker; None where that is not known, and for other formats than bfloat16."""
    fitting = (known.peak for name, known in ACCELERATORS.items() if name in device)
    return next(fitting, None) if dtype == "bfloat16" else None


@cache
def matmul_rate(device: str, dtype: str) -> float:
    """FLOP per second of large products of matrices on this process's device, measured in some tenths of a second."""
    size = 8192 if device == "cuda" else 1024
    left, right = (torch.full((size, size), 0.5, dtype=getattr(torch, dtype), device=device) for _ in range(2))
    times = [timed(lambda: left @ right)]
    while len(times) < 4 or sum(times) < LONG_ENOUGH:
        times.append(timed(lambda: left @ right))
    return 2.0 * size**3 / min(times)  # other programs only ever add to it


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes, on the device too."""
    synchronize = torch.cuda.synchronize if torch.cuda.is_available() else nullcontext
    synchronize()
    started = time.monotonic()
    call()
    synchronize()
    return time.monotonic() - started
