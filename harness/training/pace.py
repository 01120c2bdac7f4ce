"""How long a step of training or generation takes on this machine: measured on a few of the model's layers, or whole.

Every layer takes as long as those few do; what else there is (the vocabulary, the loss) is measured beside them.
`harness plan --measure` measures the model with all of its layers, and the engine that the study generates with.
"""

from __future__ import annotations

import copy
import gc
import random
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from eval.engines.engine import Engine, EngineSettings, Request
from eval.engines.four_bit import differentiable, rounding
from harness.recipe.schema import Adapter, Recipe
from harness.runs.job import IGNORED
from harness.training.lora import adapted
from harness.training.supervised import with_supervised_forward
from harness.training.utilization import timed

DEPTH = 4
LONG_ENOUGH = 0.15
"""Seconds from which on a call tells what one with more rows would take."""
STEPS = 3
"""Of training, by which a whole model is measured; the fastest counts, as the first is slower."""
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
    start: float | None = None
    """To load the model and to start the engine, where both were measured."""


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


def measure_whole(
    pace: Pace,
    settings: EngineSettings,
    start: Callable[[EngineSettings], Engine],
    recipe: Recipe,
    device: str,
    shape: Shape,
    prompt: int,
    sequences: int,
) -> Pace:
    """The pace of some steps of training of the whole model, and of some tokens from the engine.

    `pace` is what its layers came to, `prompt` how many tokens prompts have. Takes as long as a model's loading and an
    engine's start, and a few steps; raises what these do.
    """
    started = time.monotonic()
    model = loaded_whole(settings, device, recipe.trains_whole_model)
    loading = time.monotonic() - started
    training = whole_training(model, recipe, settings.dtype, device, shape)
    del model
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
    started = time.monotonic()
    engine = start(settings)
    starting = time.monotonic() - started
    try:
        reading, writing = whole_generation(engine, prompt, settings.max_length - prompt - 1, sequences)
    finally:
        engine.close()
    return replace(pace, training=training, reading=reading, writing=writing, start=loading + starting)


def loaded_whole(settings: EngineSettings, device: str, full: bool) -> Any:
    """The model as it is trained."""
    dtype = torch.float32 if full else getattr(torch, settings.dtype)
    rounded = rounding(settings.quantization, dtype, device)
    model: Any = AutoModelForCausalLM.from_pretrained(
        settings.model,
        revision=settings.revision,
        dtype=dtype,
        trust_remote_code=settings.trust_remote_code,
        **rounded,
    )
    return (differentiable(model) if rounded else model.to(device)).requires_grad_(full)


def whole_training(model: Any, recipe: Recipe, dtype: str, device: str, shape: Shape) -> float:
    """Seconds of a micro-batch, with its share of the optimizer's step."""
    with_supervised_forward(model)
    full = recipe.trains_whole_model
    with nullcontext(model) if full else adapted(model, recipe.adapter, seed=0) as tuned:
        learning = [parameter for parameter in tuned.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(learning, lr=0.0)
        with torch.autocast(device, getattr(torch, dtype), enabled=full and dtype != "float32"):
            seconds = [timed(lambda: train_step(tuned, shape.rows, shape)) for _ in range(STEPS)]
        updates = [timed(optimizer.step) for _ in range(STEPS)]
    micro_batches = max(1, recipe.training.global_batch // shape.rows)
    return min(seconds) + min(updates) / micro_batches


def whole_generation(engine: Engine, prompt: int, written: int, sequences: int) -> tuple[float, float]:
    """Seconds of a token of a prompt, and of one token for each of as many sequences as are written at once."""
    drawn = random.Random(0)

    def generated(count: int, tokens: int) -> tuple[float, int]:
        ids = [tuple(drawn.randrange(10, 250) for _ in range(prompt)) for _ in range(count)]
        requests = [Request(one, tokens, (), None) for one in ids]
        started = time.monotonic()
        completions = engine.generate(requests, lambda _: None)
        return time.monotonic() - started, sum(completion.tokens or 0 for completion in completions)

    generated(1, written)  # the first call is slower
    read, _ = generated(sequences, 1)
    both, tokens = generated(sequences, written)
    return read / (sequences * prompt), max(0.0, both - read) / max(1, tokens - sequences) * sequences


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
