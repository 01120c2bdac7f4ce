"""The mean-pooled states of texts in one layer, with gradients; the forward pass ends there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from eval.representations.hidden_states import Encoded, states_of
from eval.representations.similarity import similarity
from harness.models.reinitialise import blocks_of
from harness.recipe.objectives_section import Layer


class Reached(Exception):  # noqa: N818  # no error: the way out of a forward pass
    """The layer whose states are wanted."""


def pooled_states(model: Any, texts: Sequence[Sequence[int]], layer: int, first: int) -> torch.Tensor:
    """The mean state of each text after a block, counted from 1: texts × width, float32.

    The first tokens, up to without `first`, are left out: what begins a text says nothing of it.
    """
    longest, device = max(map(len, texts)), next(model.parameters()).device
    ids, mask = (torch.zeros((len(texts), longest), dtype=torch.long) for _ in range(2))
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
        mask[row, : len(text)] = 1
    states = states_after(model, layer, input_ids=ids.to(device), attention_mask=mask.to(device)).float()
    shares = mask.to(device, torch.float32)
    shares[:, :first] = 0
    return torch.einsum("rt,rtd->rd", shares / shares.sum(1, keepdim=True).clamp(min=1), states)


def states_after(model: Any, layer: int, **inputs: torch.Tensor) -> torch.Tensor:
    """The states after a block, texts × tokens × width; no later block is computed. After the last one: normed."""
    blocks, kept = blocks_of(model), list[torch.Tensor]()
    if layer == len(blocks):
        return model.model(**inputs, use_cache=False).last_hidden_state

    def stop(module: Any, args: Any, output: Any) -> None:
        kept.append(output[0] if isinstance(output, tuple) else output)
        raise Reached

    hook = blocks[layer - 1].register_forward_hook(stop)
    try:
        model.model(**inputs, use_cache=False)
    except Reached:
        pass
    finally:
        hook.remove()
    return kept[0]


def layer_number(layer: Layer, blocks: int) -> int:
    """A layer as the number of its block, from 1; a share is rounded to the nearest. Raises ValueError."""
    number = max(1, round(layer * blocks)) if isinstance(layer, float) else layer
    if number > blocks:
        raise ValueError(f"layer {number} of an objective is none of the model's {blocks}")
    return number


def retrieval_by_layer(model: Any, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], first: int) -> list[float]:
    """How often a text's translation is the nearest of all, both directions' mean, in every layer from the embeddings.

    By chance 1 / n. The model is left in the mode in which it was.
    """
    was_training = model.training
    model.eval()
    sides = [[Encoded(tuple(text), (tuple(range(first, len(text))),)) for text in side]
             for side in zip(*pairs, strict=True)]  # fmt: skip
    one, other = (states_of(model, side, "mean") for side in sides)
    model.train(was_training)
    return similarity("retrieval", one, other)


def best_layer(by_pair: Sequence[Sequence[float]]) -> int:
    """The layer with the highest mean over pairs of languages: neither the embeddings nor the last one."""
    means = np.mean(by_pair, axis=0)
    return 1 + int(np.argmax(means[1:-1])) if len(means) > 2 else 1
