"""What --cells names of a study: cells, untuned models, and models from elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from harness.recipe.grid import Cell, chosen_names


@dataclass(frozen=True, slots=True)
class Choice:
    """The models that a command is for, by name."""

    cells: frozenset[str]
    untuned: frozenset[str]
    outside: frozenset[str]

    @property
    def models(self) -> frozenset[str]:
        """All of them."""
        return self.cells | self.untuned | self.outside


def choice_of(cells: Sequence[Cell], untuned: Collection[str], outside: Collection[str], names: str | None) -> Choice:
    """What a comma-separated list of names or patterns is of, or everything.

    Untuned models go with cells, whose differences are from them; a model from elsewhere is there where it is named.
    Raises UserError for a name that is of nothing.
    """
    if names is None:
        return Choice(frozenset(cell.name for cell in cells), frozenset(untuned), frozenset(outside))
    known = [*(name for cell in cells for name in cell.names), *untuned, *outside]
    named = frozenset(chosen_names(known, names, "cell or model"))
    chosen = frozenset(cell.name for cell in cells if not named.isdisjoint(cell.names))
    beside = frozenset(untuned) if chosen else named & frozenset(untuned)
    return Choice(chosen, beside, named & frozenset(outside))
