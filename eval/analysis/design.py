"""How the cells of a study belong together: settings of one or several runs, and curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    bases: Mapping[str, str] = field(default_factory=dict[str, str])
    """Setting → what the untuned model that it began with is called, where that is not `BASE`; empty: there is none."""
    outside: Mapping[str, str] = field(default_factory=dict[str, str])
    """Model from elsewhere → what the untuned model that it is compared with is called; empty: there is none."""
    trains: bool = True
    """Whether settings are trained; else they are models as they are."""

    @property
    def untuned(self) -> tuple[str, ...]:
        """What the untuned models are called."""
        return tuple(dict.fromkeys(filter(None, map(self.base_of, self.settings)))) or (BASE,)

    def base_of(self, name: str) -> str:
        """What the untuned model that a setting began with, or a model is compared with, is called."""
        return self.bases.get(name, self.outside.get(name, BASE))

    def parts(self) -> dict[str, Design]:
        """The same of the settings of each untuned model alone, by its name; of models from elsewhere none."""
        return {base: self._of(base) for base in dict.fromkeys(map(self.base_of, self.settings))} or {BASE: self}

    def _of(self, base: str) -> Design:
        settings = {name: runs for name, runs in self.settings.items() if self.base_of(name) == base}
        curves = tuple(curve for curve in self.curves if {*curve.settings} <= {*settings})
        references = {name: other for name, other in self.references.items() if name in settings}
        return replace(self, settings=settings, references=references, curves=curves)

    def runs(self, setting: str) -> tuple[str, ...]:
        """A setting's runs; the base, or a single run by its own name, is one."""
        return self.settings.get(setting, (setting,))

    def there(self, panel: Panel) -> list[str]:
        """The settings with scores, the untuned models first."""
        names = [*self.untuned, *self.settings, *self.outside]
        return [name for name in names if any(run in panel.runs for run in self.runs(name))]

    def present(self, setting: str, panel: Panel) -> list[str]:
        """A setting's runs that have scores."""
        return [run for run in self.runs(setting) if run in panel.runs]
