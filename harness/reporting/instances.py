"""A study's instances, each a trained run tested in one language, with what is known of both, for `harness regress`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from eval.analysis.panel import Panel
from harness.planning.design import setting_places
from harness.planning.kept_plan import PlannedStudy

COLUMNS = ("cell", "model", "task", "metric", "target", "score", "n", "in_training", "coverage", "amount", "log_amount",
           "log_total")  # fmt: skip


def instances_of(study: PlannedStudy, panels: Sequence[Panel]) -> pl.DataFrame:
    """The mean by each task's main metric of every trained run in every language.

    `in_training` is 1 where the run has rows in the language, `amount` how many, and `coverage` √(L / Lmax) of its
    number of languages L and the largest of any run (arXiv 2604.13286). `log_…` is log10(1 + rows). Then follow the
    run's values on the axes of the grid.
    """
    plans = [plan for plan in study.plans if plan.name in study.trained_once]
    trained = {plan.name: {count.language: 0 for count in plan.counts if count.examples} for plan in plans}
    for plan in plans:
        for count in plan.counts:
            if count.examples:
                trained[plan.name][count.language] += count.examples
    most = max(map(len, trained.values()), default=0)
    places = setting_places(study.recipe, study.cells)
    models = {base.name: base.model for base in study.kept.bases}
    rows: list[dict[str, Any]] = []
    for panel in panels:
        for run in (run for run in panel.runs if trained.get(run)):
            setting = next(name for name, runs in study.design.settings.items() if run in runs)
            place = {"cell": run, "model": models[study.design.base_of(setting)]}
            place |= {"task": panel.task, "metric": panel.metric, "coverage": math.sqrt(len(trained[run]) / most)}
            for target in panel.languages:
                scores, amount = panel.of((run,), (target,)), trained[run].get(target, 0)
                scored = scores[~np.isnan(scores)]
                if len(scored):
                    known = {"target": target, "score": float(scored.mean()), "n": len(scored)}
                    known |= {"in_training": int(amount > 0), "amount": amount, "log_amount": math.log10(1 + amount)}
                    known["log_total"] = math.log10(1 + sum(trained[run].values()))
                    rows.append({**places.get(setting, {}), **place, **known})
    table = pl.DataFrame(rows, infer_schema_length=None)
    return table.select(*COLUMNS, pl.exclude(COLUMNS)) if rows else table
