"""The stored scores of the current weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import polars as pl
import polars.selectors as columns
import pyarrow as pa
import pyarrow.parquet as pq

from data_mixes.storage import DamagedError, read_sealed, verify
from eval.finite import finite_scores
from eval.predictions_and_scores import SCORED, with_weights
from eval.scorers.main_metric import MAIN
from harness.errors import Problem, UserError
from harness.planning.kept_plan import PlannedStudy
from harness.runs.folder import StudyFolder
from harness.runs.steps import AT, cell_of, evaluated_steps, step_name

MANY_ROWS = 5_000_000
"""From so many rows on a table is held in a compact form."""


def current_scores(study: PlannedStudy, whole: Sequence[str] | None = None) -> tuple[pl.DataFrame, list[str]]:
    """The stored scores of the bases and of the cells' current weights; and cells whose scores are of older ones.

    Those of steps of cells are not among them. With `whole`, these are all scores of such models alone; of others they
    are those by the metrics that tasks are judged by, where the table marks them. Raises UserError where nothing was
    scored yet.
    """
    scores, stale = scores_with_steps(study, whole)
    return without_steps(scores), stale


def scores_with_steps(study: PlannedStudy, whole: Sequence[str] | None = None) -> tuple[pl.DataFrame, list[str]]:
    """The same with those of steps of cells that are evaluated as models of their own."""
    path = StudyFolder(study.folder).scores
    if not path.is_file():
        raise UserError([Problem(str(path), "no scores yet; run: harness eval RECIPE")])
    only = None
    if whole is not None and MAIN in columns_of(path):
        only = pl.col(MAIN) | pl.col("cell").is_in(whole)
    scores = finite_scores(read_compact(path) if whole is None else read_table(path, only))
    now = weights_now(study)
    stored = scores.select("cell", "weights").unique(maintain_order=True).iter_rows()
    stale = [cell for cell, weights in stored if cell not in now or now[cell] != weights]
    current = scores.filter(~pl.col("cell").is_in(stale))
    return current, [cell for cell in stale if cell_of(cell) == cell]


def scored_items(study: PlannedStudy) -> dict[str, int]:
    """Model → how many items its current weights have a score of; none where nothing was scored yet.

    The table says so itself; those of earlier studies are read. Raises DamagedError.
    """
    path = StudyFolder(study.folder).scores
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            said = pl.read_parquet_metadata(file).get(SCORED)
    except (OSError, pl.exceptions.PolarsError):
        raise DamagedError(path, "it is not Parquet") from None
    if said is None:
        scores, _ = current_scores(study)
        examples = scores.filter(pl.col("value").is_not_null()).unique(["cell", "task", "id"])
        return dict(examples.group_by("cell").len().iter_rows())
    now = weights_now(study)
    return {model: items for model, (weights, items) in json.loads(said).items()
            if model in now and now[model] == weights}  # fmt: skip


def weights_now(study: PlannedStudy) -> dict[str, str | None]:
    """Every model of a study, with what names the weights that it has now."""
    return (
        {plan.name: plan.run.weights_hash for plan in study.plans}
        | {
            step_name(plan.name, step): weights
            for plan in study.plans
            for step, weights in evaluated_steps(plan.run, study.recipe.evaluated_every).items()
        }
        | study.untuned
        | study.outside
    )


def without_steps(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of a table that are not of steps of cells."""
    return table.filter(~pl.col("cell").cast(pl.String).str.contains(AT, literal=True))


def columns_of(path: Path) -> list[str]:
    """The columns of a table; none of one that cannot be read."""
    try:
        with path.open("rb") as file:
            return [*pl.read_parquet_schema(file)]
    except (OSError, pl.exceptions.PolarsError):
        return []


def read_table(path: Path, only: pl.Expr | None = None) -> pl.DataFrame:
    """A table of a study, or only some of its rows, its checksum compared.

    Raises DamagedError, also for one that is not there.
    """
    try:
        if only is None:
            return with_weights(pl.read_parquet(BytesIO(read_sealed(path))))
        verify(path)
        return with_weights(pl.scan_parquet(path, glob=False)).filter(only).collect()
    except FileNotFoundError:
        raise DamagedError(path, "it is missing") from None
    except pl.exceptions.PolarsError:
        raise DamagedError(path, "it is not Parquet") from None


def read_compact(path: Path) -> pl.DataFrame:
    """As `read_table`; of a table of very many rows, texts that recur are held once: a quarter of the memory.

    Those are all but completions, which is why they are then of polars' type Categorical.
    """
    try:
        verify(path)
        with path.open("rb") as file:
            rows = pq.read_metadata(file).num_rows
        if rows < MANY_ROWS:
            return read_table(path)
        recurring = columns.string() - columns.by_name("completion", require_all=False)
        lazy = with_weights(pl.scan_parquet(path, glob=False)).with_columns(recurring.cast(pl.Categorical))
        return lazy.collect(engine="streaming")
    except FileNotFoundError:
        raise DamagedError(path, "it is missing") from None
    except (pl.exceptions.PolarsError, pa.ArrowException):
        raise DamagedError(path, "it is not Parquet") from None
