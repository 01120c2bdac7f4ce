"""How a global batch is shared by processes and parted into micro-batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.recipe.schema import Training

LONGEST_JOINED = 4096
"""Tokens of a micro-batch without padding: its attention mask grows with their square."""


def micro_batch_of(training: Training, processes: int, room: int | None = None) -> int:
    """The rows of a forward pass: as many as the recipe allows that divide each process's share of a global batch.

    `room` is how many the memory has room for, where that is known.
    """
    share = training.global_batch // processes
    wanted = share if training.micro_batch == "auto" else training.micro_batch
    micro_batch = max(1, min(wanted, share, share if room is None else room))
    while training.global_batch % (micro_batch * processes):
        micro_batch -= 1
    return micro_batch


def processes_that_share(batches: list[int], devices: int) -> int:
    """The largest number of processes, a device each, that share every global batch evenly."""
    return max(count for count in range(1, devices + 1) if all(batch % count == 0 for batch in batches))


def divisors_of(batch: int) -> str:
    """The numbers of processes that share a global batch evenly, in words: "1, 2, 3 or 6"."""
    *others, last = (str(count) for count in range(1, batch + 1) if batch % count == 0)
    return f"{', '.join(others)} or {last}" if others else last


def are_joined(lengths: Sequence[int]) -> bool:
    """Whether rows of so many tokens make a micro-batch without padding, where the model can tell them apart."""
    return len(lengths) > 1 and sum(lengths) <= LONGEST_JOINED
