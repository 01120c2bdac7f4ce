"""The products of a linear layer with a LoRA adapter as one step of autograd, in the layer's number format.

PEFT takes every activation to float32 for the adapter and back, and keeps both for the backward pass. Here the
adapter's weights are rounded to the layer's format for its products, as engines that serve it round them, and learn in
float32.
"""

from __future__ import annotations

import types
from typing import Any

import torch
from torch.nn import functional


def join_products(layer: Any) -> None:
    """Has a linear layer with one plain adapter, of PEFT, compute by `AdaptedProduct`; leaves any other as it is."""
    name, *others = layer.active_adapters
    plain = not others and name in layer.lora_A and name not in layer.lora_variant and not layer.lora_bias[name]
    without_dropout = isinstance(layer.lora_dropout[name], torch.nn.Identity)
    if plain and without_dropout and type(layer.base_layer) is torch.nn.Linear:
        layer.forward = types.MethodType(joined_forward, layer)


def joined_forward(self: Any, inputs: torch.Tensor, **settings: Any) -> torch.Tensor:
    """The forward of a layer with an adapter; PEFT's own where the adapter is off or autocast chooses formats."""
    base, name = self.base_layer, self.active_adapters[0]
    if settings or self.disable_adapters or self.merged or torch.is_autocast_enabled(inputs.device.type):
        return type(self).forward(self, inputs, **settings)
    down, up = self.lora_A[name].weight, self.lora_B[name].weight
    return AdaptedProduct.apply(inputs, base.weight, base.bias, down, up, self.scaling[name])


class AdaptedProduct(torch.autograd.Function):
    """inputs · (weight + scale · up · down)ᵀ + bias, where `down` and `up` alone learn."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        """`inputs` is … × width, `weight` out × width, `down` rank × width, `up` out × rank."""
        flat = inputs.reshape(-1, inputs.shape[-1])
        down, up = down.to(weight.dtype), (up * scale).to(weight.dtype)
        narrow = flat @ down.T
        outputs = functional.linear(flat, weight, bias).addmm_(narrow, up.T)
        ctx.save_for_backward(flat, narrow, weight, down, up)
        ctx.scale = scale
        return outputs.view(*inputs.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        """Gradients of the inputs, if they want one, and of the adapter's two matrices."""
        flat, narrow, weight, down, up = ctx.saved_tensors
        shape = gradients[0].shape
        outer = gradients[0].reshape(-1, shape[-1])
        inner = outer @ up
        of_inputs = None
        if ctx.needs_input_grad[0]:
            of_inputs = (outer @ weight).addmm_(inner, down).view(*shape[:-1], -1)
        of_down, of_up = (inner.T @ flat).float(), (outer.T @ narrow).float().mul_(ctx.scale)
        return of_inputs, None, None, of_down, of_up, None
