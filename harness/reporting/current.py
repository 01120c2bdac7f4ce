"""The stored scores that are of the adapters there are now."""

from __future__ import annotations

import polars as pl

from eval.analysis.design import BASE
from harness.errors import Problem, UserError
from harness.planning.kept_plan import PlannedStudy

PREDICTIONS, SCORES, JUDGEMENTS = "predictions.parquet", "scores.parquet", "judgements.parquet"
"""The tables in a study's folder."""


def current_scores(study: PlannedStudy) -> tuple[pl.DataFrame, list[str]]:
    """The stored scores of the base and of the adapters there are now; and cells whose scores are of others.

    Raises UserError where nothing was scored yet.
    """
    path = study.folder / SCORES
    if not path.is_file():
        raise UserError([Problem(str(path), "no scores yet; run: harness eval RECIPE")])
    scores = pl.read_parquet(path)
    now = {plan.name: plan.run.record.get("adapter") for plan in study.plans} | {BASE: None}
    stored = scores.select("cell", "adapter").unique(maintain_order=True).iter_rows()
    stale = [cell for cell, adapter in stored if cell not in now or now[cell] != adapter]
    return scores.filter(~pl.col("cell").is_in(stale)), stale
