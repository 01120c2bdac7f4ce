"""What charts are drawn of: the models in their order, and the axis of amounts that they stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Amounts: TypeAlias = Literal["auto", "linear", "log", "symlog", "categorical"]
"""How amounts are laid out along an axis."""
WIDE = 10
"""From this ratio on between the largest and the smallest amount, `auto` spreads out the small ones."""


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

    title: str
    values: tuple[float, ...]
    amounts: Amounts = "auto"

    @property
    def kind(self) -> Amounts:
        """How the values are laid out: as the recipe says, else in a way in which none lies on another."""
        positive = [value for value in self.values if value > 0]
        if self.amounts == "log" and len(positive) < len(self.values):
            return "symlog"
        if self.amounts != "auto":
            return self.amounts
        if len(positive) < 2 or max(positive) < WIDE * min(positive) or min(self.values) < 0:
            return "linear"
        return "log" if len(positive) == len(self.values) else "symlog"

    @property
    def smallest(self) -> float:
        """The smallest step away from 0: up to there a symlog axis is about linear."""
        return min((abs(value) for value in self.values if value), default=1.0)


@dataclass(frozen=True, slots=True)
class Grid:
    """The models that are drawn, in their order, and how they stand to each other."""

    cells: tuple[str, ...]
    scale: Scale | None
    """The axis that curves go over, if there is one."""
    series: tuple[str, ...]
    """What curves there are over it, by the values on the other axes."""

    @property
    def several(self) -> bool:
        """Whether there is more than one curve over the axis."""
        return self.scale is not None and len(self.series) > 1
