"""How long a study still takes on this machine, and what of its disk."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

from pydantic import Field, computed_field

from harness.results import Result


class OfWorkers(Result):
    """What a number of workers makes of the time, each with such a device of its own."""

    workers: int
    seconds: float
    device_hours: float
    """Of all of them together, those that wait for the last cell among them."""


class TimeLeft(Result):
    """Seconds that this machine still needs, measured by a probe; none where nothing is left to do. Also the disk."""

    training: float = 0.0
    generation: float = 0.0
    """At most: completions may end before their `max_tokens`."""
    starts: float = 0.0
    """Loading programs and models, the engine's start, the report: set aside, or measured for the most part."""
    whole: bool = False
    """Whether whole models and the engine were measured; else a few of the models' layers."""
    by_workers: tuple[OfWorkers, ...] = ()
    """Where those were measured."""
    emulation: float | None = None
    """How many times as long a product takes as in float32, where the number format is emulated."""
    device: str | None = None
    on_gpu: bool = False
    probe: float | None = None
    """Seconds that measuring took."""
    disk: int = 0
    """Bytes for the weights that are still to be trained, and for the checkpoints of the largest one."""
    free: int | None = None
    """Bytes free on the disk that the study is on."""
    folder: str = ""
    """The study's."""
    requests: dict[str, int] = Field(default_factory=dict[str, int])
    """Model behind an endpoint → completions that it is still asked for. How long these take is not part of the time:
    it cannot be told from here."""
    problem: str | None = None
    """Why the time is not known, where the probe failed."""

    @computed_field
    @property
    def total(self) -> float:
        """All of it."""
        return self.training + self.generation + self.starts

    @property
    def fits(self) -> bool:
        """Whether as much of the disk is free as is needed."""
        return self.free is None or self.disk <= self.free

    @computed_field
    @property
    def total_in_float32(self) -> float:
        """The same where nothing is emulated."""
        return (self.training + self.generation) / (self.emulation or 1) + self.starts


MOST_WORKERS = 64


def by_workers(training: Sequence[float], generation: float, starts: float) -> Iterator[OfWorkers]:
    """What one worker, two, four, … make of cells that take so many seconds each: never more of them than cells.

    A worker takes the next cell when it is done with one, and all of them generate to the end; each has to start.
    """
    workers = 1
    while workers <= min(MOST_WORKERS, max(1, len(training))):
        busy_until = [0.0] * workers
        for seconds in training:
            heapq.heapreplace(busy_until, busy_until[0] + seconds)
        total = max(busy_until) + generation / workers + starts
        yield OfWorkers(workers=workers, seconds=total, device_hours=workers * total / 3600)
        workers *= 2
