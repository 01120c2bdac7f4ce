"""Decoder blocks put back to random weights, to see which of them carry what a model knows.

First Align, then Predict (Muller et al. 2021, arXiv 2101.11109) tunes encoders in which a pair of blocks at a time is
re-initialised; what transfer loses tells where the model is multilingual.
"""

from __future__ import annotations

from typing import Any

import torch

from harness.errors import Problem, UserError


def reinitialise(model: Any, layers: tuple[int, int], seed: int, elsewhere: bool = False) -> None:
    """Gives blocks, the first of `layers` up to but without the second, new weights by the model's own rule.

    All of a block is new: attention, feed-forward network and norms, which Gemma's rule sets to 0 and others' to 1.
    With `elsewhere`, as a control, as many single weights at random in all the other blocks. The same seed gives the
    same weights. Raises UserError for layers that the model has not.
    """
    blocks = blocks_of(model)
    first, end = layers
    if not 0 <= first < end <= len(blocks) or (elsewhere and end - first == len(blocks)):
        message = (
            f"got [{first}, {end}]; the model has blocks 0 to {len(blocks) - 1}, and the second figure is not part"
        )
        raise UserError([Problem("model.reinitialise.layers", message)])
    chosen = range(first, end)
    if not elsewhere:
        for index in chosen:
            blocks[index].load_state_dict(fresh_block(model, index, seed).state_dict())
        return
    wanted = sum(weight.numel() for index in chosen for weight in blocks[index].parameters())
    others = [index for index in range(len(blocks)) if index not in chosen]
    share = wanted / sum(weight.numel() for index in others for weight in blocks[index].parameters())
    for index in others:
        fresh = fresh_block(model, index, seed)
        for weight, replacement in zip(blocks[index].parameters(), fresh.parameters(), strict=True):
            scatter(weight, replacement, min(share, 1.0), torch.Generator().manual_seed(seed + index))


def modules_of_blocks(model: Any, layers: tuple[int, int]) -> list[str]:
    """The names of the modules with weights of their own in the blocks from the first to without the second."""
    prefix = next(name for name, module in model.named_modules() if module is blocks_of(model))
    return [
        f"{prefix}.{index}.{name}"
        for index in range(*layers)
        for name, module in blocks_of(model)[index].named_modules()
        if any(True for _ in module.parameters(recurse=False))
    ]


def blocks_of(model: Any) -> Any:
    """The decoder blocks of a causal model of transformers."""
    return model.model.layers


def fresh_block(model: Any, index: int, seed: int) -> Any:
    """A block as the model's class makes it, in the model's number format; the seed of the process stays as it is."""
    block = blocks_of(model)[index]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1000 * seed + index)
        fresh = type(block)(model.config, index)
        fresh.apply(model._init_weights)
    return fresh.to(next(block.parameters()).dtype)


def scatter(weight: torch.Tensor, replacement: torch.Tensor, share: float, generator: torch.Generator) -> None:
    """Replaces a share of a tensor's entries, drawn at random."""
    count = round(share * weight.numel())
    chosen = torch.randperm(weight.numel(), generator=generator)[:count].to(weight.device)
    with torch.no_grad():
        weight.view(-1)[chosen] = replacement.to(weight.device).view(-1)[chosen]
