"""Validation rows: what chooses the step whose weights are a cell's, the same rows for all cells of a study."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from data_mixes.example import Example
from data_mixes.order import seeded_order
from data_mixes.prompts import Rendering
from data_mixes.source import SourceError
from harness.errors import Problem, UserError
from harness.planning.identity import FIRST_KEYS, deciding
from harness.recipe.grid import Cell
from harness.recipe.selection_section import Selection

SEED = "validation"


def validation_examples(cells: Sequence[Cell], selection: Selection) -> dict[str, list[Example]]:
    """Language → the first validation rows of each of the mixtures' sources. Raises UserError where there are none."""
    names = dict.fromkeys(name for cell in cells for part in cell.recipe.ingredients.values() for name in part.sources)
    sources = [cells[0].recipe.known_sources[name] for name in names]
    chosen: dict[str, list[Example]] = {}
    problems: list[Problem] = []
    for index, language in enumerate(selection.languages):
        chosen[language] = []
        for source in sources:
            if language not in source.languages or not source.has("validation"):
                continue
            try:
                pool = source.pool("validation", language)
                first = seeded_order(pool.items, SEED)[: selection.items]
                chosen[language] += pool.examples(first)
            except SourceError as error:
                problems.append(Problem(f"sources.{source.name}", str(error)))
        if not chosen[language]:
            message = f"no source of the mixture ({', '.join(names)}) has validation rows in {language!r}"
            problems.append(Problem(f"selection.languages.{index}", message))
    if problems:
        raise UserError(problems)
    return chosen


def selection_identity(selection: Selection, rows: Mapping[str, Sequence[Rendering]]) -> dict[str, Any]:
    """What of a selection decides which step it chooses."""
    content = json.dumps(
        [(language, row.prompt_ids, row.completion_ids) for language in rows for row in rows[language]]
    )
    return deciding(selection, FIRST_KEYS["selection"]) | {"rows": hashlib.sha256(content.encode()).hexdigest()[:16]}
