"""How long a study still takes on this machine, and what of its disk."""

from __future__ import annotations

from pydantic import computed_field

from harness.results import Result


class TimeLeft(Result):
    """Seconds that this machine still needs, measured by a probe; none where nothing is left to do. Also the disk."""

    training: float = 0.0
    generation: float = 0.0
    """At most: completions may end before their `max_tokens`."""
    starts: float = 0.0
    """Set aside, not measured: loading programs, the engine's start, the report."""
    emulation: float | None = None
    """How many times as long a product takes as in float32, where the number format is emulated."""
    device: str | None = None
    probe: float | None = None
    """Seconds that measuring took."""
    disk: int = 0
    """Bytes for the weights that are still to be trained, and for the checkpoints of the largest one."""
    free: int | None = None
    """Bytes free on the disk that the study is on."""
    folder: str = ""
    """The study's."""
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
