"""harness plan: every cell to the row, in what cells differ, and what this machine will need."""

from __future__ import annotations

import json
from pathlib import Path

from harness.planning.overview import plan_data, show_cards, show_plan
from harness.planning.study import Study
from harness.recipe.grid import choose
from harness.training.forecast import time_left


def plan_study(recipe: Path, runs: Path, cells: str | None, card: bool, as_json: bool) -> None:
    """Prints the plan of the chosen cells, and their mixture cards if they are wanted. Raises UserError."""
    study = Study(recipe, runs)
    chosen = {cell.name for cell in choose(study.cells, cells)}
    data = plan_data(study)
    data["cells"] = [cell for cell in data["cells"] if cell["name"] in chosen]
    data["time"] = time_left(study, cells)
    cards = study.cards(cells) if card else {}
    if as_json:
        print(json.dumps(data | {"cards": cards} if card else data, ensure_ascii=False))
    else:
        show_plan(data)
    show_cards(study.folder, cards, quietly=as_json)
