"""TIES-Merging (Yadav et al. 2023, arXiv 2306.01708): changes trimmed, signs elected, those that agree averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import torch

Changes: TypeAlias = Mapping[str, Callable[[], torch.Tensor]]
"""Name of a weight → makes what is changed in it, in float32: one at a time, as all take a model's memory."""
COARSE = 16
"""Bits of a float32 below those that a first look at magnitudes heeds."""


def ties(parts: Sequence[tuple[float, Changes]], density: float) -> Iterator[tuple[str, torch.Tensor]]:
    """Each weight's name with the merged change.

    Of every part the `density` of its changes that are largest in magnitude is kept, over all its weights together. The
    sign of an entry is that of the sum of what is kept there, and the entry is the mean of the kept ones of this sign,
    each times its part's weight: with one weight λ for all, λ τ of the paper.
    """
    floors = [floor_of(changes, density) for _, changes in parts]
    for name in parts[0][1]:
        trimmed = torch.stack([
            weight * trim(changes[name](), floor) for (weight, changes), floor in zip(parts, floors, strict=True)
        ])  # fmt: skip
        agrees = (trimmed.sign() == trimmed.sum(0).sign()) & (trimmed != 0)
        yield name, (trimmed * agrees).sum(0) / agrees.sum(0).clamp(min=1)


def trim(change: torch.Tensor, floor: float) -> torch.Tensor:
    """The change where it is no smaller in magnitude than the floor, 0 elsewhere."""
    return torch.where(change.abs() >= floor, change, 0)


def floor_of(changes: Changes, density: float) -> float:
    """The magnitude of the smallest change that is kept: exact, found in two passes without holding all changes."""
    histogram, total = torch.zeros(1 << (31 - COARSE), dtype=torch.long), 0
    for change in changes.values():
        bits = magnitude_bits(change())
        histogram += torch.bincount(bits >> COARSE, minlength=len(histogram))
        total += bits.numel()
    kept = max(1, int(density * total))
    from_above = histogram.flip(0).cumsum(0)
    place = int(torch.searchsorted(from_above, kept))
    within = kept - (int(from_above[place - 1]) if place else 0)
    edge = len(histogram) - 1 - place
    bits = torch.cat([own[own >> COARSE == edge] for own in (magnitude_bits(each()) for each in changes.values())])
    lowest = bits.topk(within).values[-1]
    return float(lowest.to(torch.int32).view(torch.float32))


def magnitude_bits(change: torch.Tensor) -> torch.Tensor:
    """The bits of the magnitudes, which are in their order as numbers are."""
    return change.abs().flatten().float().view(torch.int32).long()
