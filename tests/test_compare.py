"""The plan proves in what its cells differ."""

from __future__ import annotations

import copy
from typing import Any

from data_mixes.mixture import allot, materialise
from harness.planning.contrast import Compared, neighbours
from harness.recipe.grid import cells_of
from harness.recipe.load import parse_recipe


def compared(data: dict[str, Any]) -> list[Compared]:
    cells = cells_of(parse_recipe(data), data)
    return [
        Compared(cell.name, cell.recipe, materialise(allot(cell.recipe.components), cell.recipe.components, 0), 1)
        for cell in cells
    ]


def test_a_growing_amount_is_one_factor_and_only_adds_rows(recipe_data: dict[str, Any]) -> None:
    recipe_data["grid"]["amount"]["values"] = [0, 3, 7]
    first, second = neighbours(compared(recipe_data))
    assert first.one_factor and [str(change) for change in first.changes] == ["mixture.others.amount 0 → 3"]
    assert (first.before, first.after) == ("amount-0", "amount-3")
    assert first.added == {"fr": 6} and first.removed == {}
    assert second.added == {"fr": 8} and second.removed == {}


def test_every_axis_has_its_neighbour(recipe_data: dict[str, Any]) -> None:
    recipe_data["grid"]["seed"] = {"path": "training.seed", "values": [0, 1]}
    found = {(each.before, each.after): each for each in neighbours(compared(recipe_data))}
    assert set(found) == {
        ("amount-0_seed-0", "amount-0_seed-1"),
        ("amount-0_seed-0", "amount-3_seed-0"),
        ("amount-0_seed-1", "amount-3_seed-1"),
        ("amount-3_seed-0", "amount-3_seed-1"),
    }
    assert all(each.one_factor for each in found.values())


def test_more_than_one_factor_is_said(recipe_data: dict[str, Any]) -> None:
    several = copy.deepcopy(recipe_data)
    several["grid"] = {
        "languages": {
            "path": "mixture.others",
            "values": {
                "few": {"sources": ["word-problems"], "languages": ["fr"], "amount": 3},
                "many": {"sources": ["notices"], "languages": ["fr"], "amount": 5},
            },
        }
    }
    (only,) = neighbours(compared(several))
    assert not only.one_factor
    assert [change.path for change in only.changes] == ["mixture.others.amount", "mixture.others.sources"]
    assert only.added == {"fr": 5} and only.removed == {"fr": 3}
