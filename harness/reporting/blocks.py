"""The settings of a study that began with new weights in some blocks, each with its like that did not."""

from __future__ import annotations

from eval.analysis.blocks import Block
from harness.planning.design import setting_places
from harness.planning.kept_plan import PlannedStudy
from harness.recipe.grid import BLOCKS


def blocks_of(study: PlannedStudy) -> dict[str, Block]:
    """Setting → what it began anew, if there is a setting at the same place of all other axes that did not."""
    grid, cells = study.recipe.grid, {cell.name: cell for cell in study.cells}
    axes = [name for name, axis in grid.items() if {*axis.paths} & {*BLOCKS}]
    places = setting_places(study.recipe, study.cells)
    begun = {
        name: cells[runs[0]].recipe.reinitialised for name, runs in study.design.settings.items() if name in places
    }
    rest = {name: {axis: value for axis, value in place.items() if axis not in axes} for name, place in places.items()}
    blocks: dict[str, Block] = {}
    for name, new in begun.items():
        other = next((one for one, none in begun.items() if none is None and rest[one] == rest[name]), None)
        if new and new.layers and other:
            series = ", ".join(f"{axis} {value}" for axis, value in rest[name].items())
            blocks[name] = Block(new.layers, new.elsewhere, other, series)
    return blocks
