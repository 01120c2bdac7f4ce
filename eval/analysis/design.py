"""How the cells of a study belong together: settings of one or several runs, and curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eval.analysis.panel import Panel

BASE = "base"
"""What the untuned model is called among the cells."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Settings along an axis of amounts, the rest of the recipe being the same; `name` says what that is."""

    name: str
    axis: str
    amounts: tuple[float, ...]
    settings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Design:
    """How the cells of a study belong together.

    A *setting* is a cell, or the runs of one under several seeds. Each is compared with its reference and the base.
    """

    settings: Mapping[str, tuple[str, ...]]
    """Setting → its runs, the names of cells."""
    references: Mapping[str, str] = field(default_factory=dict[str, str])
    """Setting → the one it is compared with: its like with the least amount."""
    curves: tuple[Curve, ...] = ()

    def runs(self, setting: str) -> tuple[str, ...]:
        """A setting's runs; the base, or a single run by its own name, is one."""
        return self.settings.get(setting, (setting,))

    def there(self, panel: Panel) -> list[str]:
        """The settings with scores, the base first."""
        names = [BASE, *self.settings]
        return [name for name in names if any(run in panel.runs for run in self.runs(name))]

    def present(self, setting: str, panel: Panel) -> list[str]:
        """A setting's runs that have scores."""
        return [run for run in self.runs(setting) if run in panel.runs]
