"""What a grid needs of a disk: its cells' weights, and the checkpoints of those that train at the same time."""

from __future__ import annotations

from collections.abc import Sequence

from harness.models.precision import Dtype
from harness.recipe.schema import Recipe

BYTES = {"float32": 4, "bfloat16": 2}
"""Of a weight on disk. Adapters, and weights and moments in checkpoints, are in float32."""
KEPT_CHECKPOINTS = 3
"""Two are kept, and a third is there while it is written."""


def disk_for(cells: Sequence[tuple[float, Recipe, int]], dtype: Dtype, at_once: int = 1) -> int:
    """Bytes of disk that training takes; of each cell the weights that it trains, its recipe, and its steps.

    Checkpoints hold weights and two moments, and are there of `at_once` cells. Of cells that keep nothing, only as many
    count, the largest, as `harness run` evaluates each before it trains the next.
    """
    kept, removed, checkpoints = 0, list[int](), list[int]()
    for weights, recipe, steps in cells:
        models = 1 + (steps // every if (every := recipe.training.kept_every) else 0)
        size = round(models * weights * (BYTES[dtype] if recipe.trains_whole_model else BYTES["float32"]))
        if recipe.training.keep == "weights":
            kept += size
        else:
            removed.append(size)
        checkpoints.append(round(weights * BYTES["float32"] * 3 * KEPT_CHECKPOINTS))
    return kept + sum(largest(removed, at_once)) + sum(largest(checkpoints, at_once))


def largest(sizes: Sequence[int], count: int) -> Sequence[int]:
    """So many of the largest."""
    return sorted(sizes, reverse=True)[:count]
