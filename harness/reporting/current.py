"""The stored scores of the current weights."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import polars as pl

from data_mixes.storage import DamagedError, read_sealed
from eval.finite import finite_scores
from eval.predictions_and_scores import with_weights
from harness.errors import Problem, UserError
from harness.planning.kept_plan import PlannedStudy
from harness.runs.folder import StudyFolder


def current_scores(study: PlannedStudy) -> tuple[pl.DataFrame, list[str]]:
    """The stored scores of the bases and of the cells' current weights; and cells whose scores are of older ones.

    Raises UserError where nothing was scored yet.
    """
    path = StudyFolder(study.folder).scores
    if not path.is_file():
        raise UserError([Problem(str(path), "no scores yet; run: harness eval RECIPE")])
    scores = finite_scores(read_table(path))
    now = {plan.name: plan.run.weights_hash for plan in study.plans} | study.untuned | study.outside
    stored = scores.select("cell", "weights").unique(maintain_order=True).iter_rows()
    stale = [cell for cell, weights in stored if cell not in now or now[cell] != weights]
    return scores.filter(~pl.col("cell").is_in(stale)), stale


def read_table(path: Path) -> pl.DataFrame:
    """A table of a study, its checksum compared. Raises DamagedError, also for one that is not there.

    From memory: polars would take a path for a pattern.
    """
    try:
        return with_weights(pl.read_parquet(BytesIO(read_sealed(path))))
    except FileNotFoundError:
        raise DamagedError(path, "it is missing") from None
    except pl.exceptions.PolarsError:
        raise DamagedError(path, "it is not Parquet") from None
