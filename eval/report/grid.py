"""What charts are drawn of: the models in their order, and the scale they stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart, what it shows in words, and the name of the table that its data is in."""

    name: str
    title: str
    description: str
    spec: dict[str, Any]
    data: str


@dataclass(frozen=True, slots=True)
class Scale:
    """The axis of numbers that cells stand on, and its values."""

    name: str
    values: tuple[float, ...]

    @property
    def kind(self) -> str:
        """Linear, or a scale that spreads out small values where some are twenty times as large as others."""
        positive = [value for value in self.values if value > 0]
        wide = len(positive) > 1 and max(positive) >= 20 * min(positive)
        if not wide or min(self.values) < 0:
            return "linear"
        return "log" if len(positive) == len(self.values) else "sqrt"


@dataclass(frozen=True, slots=True)
class Grid:
    """The models that are drawn, in their order, and how they stand to each other."""

    cells: tuple[str, ...]
    scale: Scale | None
    """The axis that curves go over, if there is one."""
    series: tuple[str, ...]
    """What curves there are over it, by the values on the other axes."""
