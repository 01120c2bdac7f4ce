"""harness status: how far every cell is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from eval.analysis.design import BASE
from harness.console import plain_table, show_table
from harness.evaluation.cells import SCORES
from harness.planning.study import Study
from harness.reporting.report import current_scores


def show_status(recipe: Path, runs: Path, as_json: bool) -> None:
    """Prints how far every cell of a study is. Raises UserError."""
    data = status_data(Study(recipe, runs))
    if as_json:
        print(json.dumps(data, ensure_ascii=False))
        return
    table = plain_table(data["study"], ("cell", "state"), ("steps", "evaluated"))
    for cell in data["cells"]:
        table.add_row(cell["name"], cell["state"], cell["steps"], f"{cell['scored']}/{cell['wanted']}")
    show_table(table)


def status_data(study: Study) -> dict[str, Any]:
    """State, steps done and items scored per cell, as plain data."""
    scored: dict[str, int] = {}
    if (study.folder / SCORES).is_file():
        scores, _ = current_scores(study)
        examples = scores.filter(pl.col("value").is_not_null()).unique(["cell", "task", "id"])
        scored = dict(examples.group_by("cell").len().iter_rows())
    wanted = sum(len(each.examples) for each in study.evaluation_sets)
    wanted += sum(len(each.items) for each in study.lm_eval_sets)
    cells = [
        {
            "name": plan.name,
            "state": plan.run.record.get("state", "new"),
            "steps": f"{steps_done(plan.run, plan.steps)}/{plan.steps}",
            "scored": scored.get(plan.name, 0),
            "wanted": wanted,
        }
        for plan in study.plans
    ]
    if study.recipe.evaluation.base:
        cells = [
            {"name": BASE, "state": "untuned", "steps": "", "scored": scored.get(BASE, 0), "wanted": wanted},
            *cells,
        ]
    return {"study": study.recipe.study, "folder": str(study.folder), "cells": cells}


def steps_done(run: Any, steps: int) -> int:
    """Steps of a trained cell, or those of its last whole checkpoint."""
    if run.trained:
        return steps
    found = [int(folder.name.rpartition("-")[2]) for folder in run.checkpoints.glob("checkpoint-*")]
    return max(found, default=0)
