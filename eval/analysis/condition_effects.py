"""What asking or answering in another language changes: each condition against the task in each language's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from eval.analysis.design import Design
from eval.analysis.panel import panel_of
from eval.analysis.stats import differences
from eval.generation.conditions import fixed_language, task_of
from eval.scorers.main_metric import main_metrics

COLUMNS = ("difference", "low", "high", "p", "items", "test")


def condition_effects(scores: pl.DataFrame, design: Design, tasks: Sequence[str]) -> pl.DataFrame:
    """Per setting and condition of one of the tasks, the difference from the plain task by its main metric.

    Paired by item and run, over the languages in which the two are not the same: all but the condition's own.
    """
    mains = main_metrics(scores)
    rows: list[dict[str, Any]] = []
    for name, metric in mains.items():
        task = task_of(name)
        if name == task or task not in tasks or mains.get(task) != metric:
            continue
        there = scores.filter(pl.col("task").is_in([name, task]), pl.col("metric") == metric)
        there = there.filter(pl.col("language") != fixed_language(name))
        panel = panel_of(task, metric, there.with_columns(cell=pl.concat_str("task", "cell", separator="\n")))
        for setting in [*design.untuned, *design.settings, *design.outside]:
            runs = [run for run in design.runs(setting) if {f"{name}\n{run}", f"{task}\n{run}"} <= {*panel.runs}]
            if runs and panel.languages:
                crossed, plain = ([f"{which}\n{run}" for run in runs] for which in (name, task))
                pair = panel.of(crossed, panel.languages), panel.of(plain, panel.languages)
                (found,) = differences([pair], panel.clusters)
                plain_mean = float(np.nanmean(pair[1])) if np.isfinite(pair[1]).any() else None
                figures = {key: value for key, value in asdict(found).items() if key in COLUMNS}
                place = {"cell": setting, "runs": len(runs), "task": task, "metric": metric, "condition": name}
                rows.append(place | {"languages": " ".join(panel.languages), "plain": plain_mean} | figures)
    return pl.DataFrame(rows, infer_schema_length=None)
