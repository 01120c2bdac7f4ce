"""How long a step of training or generation takes on this machine: measured on a few of the model's layers.

Every layer takes as long as those few do; what else there is (the vocabulary, the loss) is measured beside them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from harness.recipe.schema import Adapter
from harness.runs.job import IGNORED
from harness.training.lora import adapted
from harness.training.supervised import with_supervised_forward
from harness.training.utilization import timed

DEPTH = 4
LONG_ENOUGH = 0.15
"""Seconds from which on a call tells what one with more rows would take."""
FILL = 0.01
"""The value of every weight: the time of a product does not depend on it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A micro-batch."""

    rows: int
    tokens: int
    """Of each row, the padding among them."""
    supervised: int
    """Of each row: those with a loss."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds a forward pass takes, with the backward pass in training."""

    training: float
    """Of a micro-batch of training."""
    reading: float
    """Of a token of a prompt."""
    writing: float
    """Of one token for each of as many sequences as the engine writes at once."""
    adapter: int
    """Weights of the adapter in all layers."""
    model: int
    """Weights of the model."""


def measure(
    config: Any, dtype: str, device: str, adapter: Adapter, shape: Shape, sequences: int, full: bool = False
) -> Pace:
    """The pace of a model of this configuration, with its adapter or all of its weights learning.

    Takes some 4 seconds; raises what torch does if memory is short.
    """
    layers = config.get_text_config().num_hidden_layers
    depth = min(DEPTH, layers)
    model = shallow_model(config, depth, dtype, device)
    with adapted(model, adapter, seed=0) as tuned:
        weights = sum(parameter.numel() for parameter in tuned.parameters() if parameter.requires_grad)
        training = 0.0 if full else pace_of_training(model, tuned, shape, layers / depth)
    if full:
        learning = shallow_model(config, depth, "float32", device).requires_grad_()
        with torch.autocast(device, getattr(torch, dtype), enabled=dtype != "float32"):
            training = pace_of_training(learning, learning, shape, layers / depth)
    reading = fitted(lambda rows: hidden_states(model, rows, shape.tokens), shape.rows) / depth * layers
    body = fitted(lambda rows: hidden_states(model, rows, 1), sequences)
    head = fitted(lambda rows: next_tokens(model, rows), sequences)
    return Pace(
        training=training,
        reading=reading / (shape.rows * shape.tokens),
        writing=body / depth * layers + head,
        adapter=weights * layers // depth,
        model=weights_in_all(config),
    )


def pace_of_training(model: Any, tuned: Any, shape: Shape, deeper: float) -> float:
    """Seconds of a micro-batch: the layers as often as the real model is deeper, and what there is besides, once."""
    with_supervised_forward(model)
    body = fitted(lambda rows: train_layers(model, rows, shape), shape.rows)
    whole = fitted(lambda rows: train_step(tuned, rows, shape), shape.rows)
    return body * deeper + max(0.0, whole - body)


def weights_in_all(config: Any) -> int:
    """How many weights a model of this configuration has; none is made for it."""
    with torch.device("meta"):
        return sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())


def shallow_model(config: Any, layers: int, dtype: str, device: str) -> Any:
    """A causal model of this configuration with fewer layers, frozen."""
    config = copy.deepcopy(config)
    text = config.get_text_config()
    text.num_hidden_layers = layers
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:layers]
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    model = model.to_empty(device=device).eval()
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.fill_(FILL)
    return model.requires_grad_(False)


def train_layers(model: Any, rows: int, shape: Shape) -> None:
    """The forward and the backward pass of a micro-batch through the layers alone."""
    model.base_model(ids_like(model, rows, shape.tokens), use_cache=False).last_hidden_state.sum().backward()


def train_step(model: Any, rows: int, shape: Shape) -> None:
    """The forward and the backward pass of a micro-batch, with its loss."""
    ids = ids_like(model, rows, shape.tokens)
    labels = torch.full_like(ids, IGNORED)
    labels[:, -shape.supervised :] = 1
    model(input_ids=ids, labels=labels, supervised_positions_only=True, use_cache=False).loss_sum.backward()


@torch.inference_mode()
def hidden_states(model: Any, rows: int, tokens: int) -> None:
    """A forward pass through the layers."""
    model.base_model(ids_like(model, rows, tokens), use_cache=False)


@torch.inference_mode()
def next_tokens(model: Any, rows: int) -> None:
    """The likeliest token for each of so many last positions."""
    head = model.get_output_embeddings()
    head(torch.full((rows, head.weight.shape[1]), FILL, dtype=head.weight.dtype, device=head.weight.device)).argmax(-1)


def ids_like(model: Any, rows: int, tokens: int) -> torch.Tensor:
    """A batch of tokens on the model's device."""
    return torch.ones(rows, tokens, dtype=torch.long, device=next(model.parameters()).device)


def fitted(call: Callable[[int], None], rows: int) -> float:
    """Seconds that a call with so many rows takes, reckoned from fewer where it would take long."""
    timed(partial(call, 1))  # the first call is slower
    tried = 1
    while (seconds := timed(partial(call, tried))) < LONG_ENOUGH and tried < rows:
        tried = min(rows, 4 * tried)
    return min(seconds, timed(partial(call, tried))) * rows / tried
