"""Which metric a task is judged by, as tables of scores store it."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

MAIN = "main"
"""The column that is true in rows of the metric that their task is judged by."""


def with_main(scores: pl.DataFrame, mains: Mapping[str, str]) -> pl.DataFrame:
    """The scores with the column `main`; `mains` maps each task to the metric that it is judged by."""
    judged_by = pl.col("task").replace_strict(mains, default=None, return_dtype=pl.String)
    return scores.with_columns((pl.col("metric") == judged_by).fill_null(False).alias(MAIN))


def main_metrics(scores: pl.DataFrame) -> dict[str, str]:
    """Task → the metric that it is judged by.

    Tables that do not mark it, such as those of older runs and of other programs, have it first in each task.
    """
    tasks = dict.fromkeys(scores["task"])
    ordered = scores.sort(MAIN, descending=True, maintain_order=True) if MAIN in scores.columns else scores
    first = dict(ordered.group_by("task", maintain_order=True).agg(pl.col("metric").first()).iter_rows())
    return {task: first[task] for task in tasks}
