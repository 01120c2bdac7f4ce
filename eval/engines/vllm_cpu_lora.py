"""vLLM's CPU kernels for LoRA, replaced by faster and right ones; for vLLM 0.32."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any


def group_adapter_rows_on_cpu(modules: Sequence[ModuleType]) -> None:
    """Replaces vLLM's CPU kernels for LoRA (0.32) by ones that multiply once per adapter in the batch.

    vLLM's own copy the adapter's weights for every token, which doubles the time of generation
    here; and they apply the adapter in the last slot to rows that want none, so that a base
    model in one batch with adapters is not the base model. The canary gate would notice.
    """
    import torch

    def products(inputs: torch.Tensor, weights: torch.Tensor, indices: torch.Tensor, dtype: torch.dtype) -> Any:
        """Per adapter in the batch: its rows, and their inputs times its weights (out × in).

        For the head vLLM may give more indices than rows, those of all sequences that a prompt's rows are not; no
        adapter here has weights there.
        """
        indices = indices[: len(inputs)]
        for index in indices.unique().tolist():
            if index >= 0:
                rows = (indices == index).nonzero()[:, 0]
                matrix = weights[index].reshape(weights.shape[-2:]).to(dtype)
                yield rows, inputs[rows].to(dtype) @ matrix.T

    def shrink(
        inputs: torch.Tensor, weights: torch.Tensor, output: torch.Tensor, indices: torch.Tensor, scaling: float = 1.0
    ) -> None:
        for rows, product in products(inputs, weights, indices, output.dtype):
            output[rows, : product.shape[1]] = scaling * product

    def expand(
        inputs: torch.Tensor,
        weights: torch.Tensor,
        output: torch.Tensor,
        indices: torch.Tensor,
        add_inputs: bool = True,
    ) -> None:
        expand_slice(inputs, weights, output, indices, 0, min(weights.shape[-2], output.shape[1]), add_inputs)

    def expand_slice(
        inputs: torch.Tensor,
        weights: torch.Tensor,
        output: torch.Tensor,
        indices: torch.Tensor,
        offset: int,
        size: int,
        add_inputs: bool = True,
    ) -> None:
        if not add_inputs:
            output[:, offset : offset + size] = 0
        for rows, product in products(inputs, weights, indices, output.dtype):
            output[rows, offset : offset + size] += product[:, :size]

    for module in modules:
        for name, kernel in (("bgmv_shrink", shrink), ("bgmv_expand", expand), ("bgmv_expand_slice", expand_slice)):
            assert hasattr(module, name), f"vLLM's {module.__name__} has no {name}: this version needs other kernels"
            setattr(module, name, kernel)
