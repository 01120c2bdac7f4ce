"""harness plan: every cell to the row, in what cells differ, and what this machine will need."""

from __future__ import annotations

from pathlib import Path

from harness.planning.card import CardRow
from harness.planning.overview import show_cards, show_plan
from harness.planning.plan import plan_of
from harness.planning.study import Study
from harness.recipe.grid import choose
from harness.training.forecast import time_left


def plan_study(recipe: Path, runs: Path, cells: str | None, card: bool, as_json: bool) -> None:
    """Prints the plan of the chosen cells, and their mixture cards if they are wanted. Raises UserError."""
    study = Study(recipe, runs)
    chosen = {cell.name for cell in choose(study.cells, cells)}
    plan = plan_of(study, time_left(study, cells))
    plan = plan.model_copy(update={"cells": tuple(cell for cell in plan.cells if cell.name in chosen)})
    cards = study.cards(cells) if card else {}
    if as_json:
        rows = {cell: tuple(CardRow(**row) for row in rows) for cell, rows in cards.items()}
        print(plan.model_copy(update={"cards": rows} if card else {}).as_json())
    else:
        show_plan(plan)
    show_cards(study.folder, cards, quietly=as_json)
