"""Model FLOPs utilization: the share of the devices' peak rate that went into the model's own arithmetic."""

from __future__ import annotations

from typing import Any, NamedTuple

PEAKS = {
    "B200": 2250e12, "H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "A100": 312e12,
    "L40S": 362e12, "RTX 4090": 165e12,
}  # fmt: skip
"""Part of a device's name → dense bfloat16 FLOP per second by its maker's data sheet; the first that fits counts."""


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
        body=sum(weight.numel() for weight in body),
        head=head.numel(),
        tuned_body=sum(weight.numel() for weight in body if weight.requires_grad),
        tuned_head=head.numel() if head.requires_grad else 0,
    )


def model_flops_utilization(
    weights: Weights, tokens: int, supervised: int, seconds: float, device: str, processes: int, dtype: str
) -> float | None:
    """4 or 6 FLOP per body weight and token, and per head weight and supervised token, over what the devices could do.

    Forward 2, and 2 for the gradients of activations; weights that are tuned have gradients of their own, which take 2
    more (the 6 of arXiv 2204.02311, appendix B). Attention's products and adapters are left out. None for a device
    whose peak is not known, and for another precision than bfloat16.
    """
    peak = next((peak for name, peak in PEAKS.items() if name in device), None)
    if peak is None or dtype != "bfloat16" or seconds <= 0:
        return None
    body, head = 4 * weights.body + 2 * weights.tuned_body, 4 * weights.head + 2 * weights.tuned_head
    return (body * tokens + head * supervised) / (peak * processes * seconds)
