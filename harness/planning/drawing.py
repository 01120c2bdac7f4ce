"""Under which seed the rows of a study are drawn, and which languages share items: the same for all of its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from data_mixes.mixture import Component, Orders
from data_mixes.order import Keys
from harness.planning.generated import asked_of, generated_sources
from harness.recipe.grid import Cell
from harness.runs.folder import StudyFolder
from harness.runs.record import read_json


def began_without_a_mixture_seed(folder: Path, cells: Sequence[Cell]) -> bool:
    """Whether a study was begun before there was a `mixture.seed`, and so has to keep its rows.

    `training.seed` drew them then, and the languages of one cell shared items, whatever those of the others.
    """
    for cell in cells:
        record = read_json(StudyFolder(folder).cell(cell.name).record)
        if isinstance(record, dict) and "identity" in record:
            return "seed" not in record["identity"].get("mixture", {})
    return False


@dataclass(frozen=True)
class Drawing:
    """The orders in which the cells of a study take rows: one for each seed, made once for all cells."""

    cells: Sequence[Cell]
    as_before: bool = False
    """Whether rows are drawn as before there was a `mixture.seed`."""
    excluded: Mapping[str, Keys] = field(default_factory=dict[str, Keys])
    """Source → keys of items that no row may be made of."""
    _made: dict[object, Orders] = field(default_factory=dict[object, Orders], init=False, repr=False)

    @staticmethod
    def of(cells: Sequence[Cell], folder: Path) -> Drawing:
        """The drawing of a study whose runs are in a folder, or will be. A `mixture.seed` that is given is obeyed."""
        differs = any(
            "seed" in cell.recipe.mixture.model_fields_set and cell.recipe.mixture.seed != cell.recipe.training.seed
            for cell in cells
        )
        return Drawing(cells, as_before=not differs and began_without_a_mixture_seed(folder, cells))

    def without(self, excluded: Mapping[str, Keys]) -> Drawing:
        """The same without these items."""
        return Drawing(self.cells, self.as_before, excluded)

    def seed(self, cell: Cell) -> int:
        """The seed under which a cell's rows are drawn."""
        return cell.recipe.training.seed if self.as_before else cell.recipe.mixture.seed

    def orders(self, cell: Cell) -> Orders:
        """The orders in which a cell takes rows."""
        versions = tuple(sorted((source.name, source.version) for source in generated_sources(cell.recipe)))
        key = (self.seed(cell), cell.name if self.as_before else None, versions)
        if key not in self._made:
            self._made[key] = Orders(self._components(cell), self.seed(cell), self.excluded)
        return self._made[key]

    def _components(self, cell: Cell) -> list[Component]:
        """The components whose languages share items with those of the cell."""
        return cell.recipe.components if self.as_before else self._all_components

    @cached_property
    def _all_components(self) -> list[Component]:
        return [component for cell in self.cells for component in (*cell.recipe.components, *asked_of(cell.recipe))]
