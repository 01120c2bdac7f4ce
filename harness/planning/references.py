"""Published scores to plot with a study's own curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from eval.scorers.metrics import metric_of
from eval.tasks.task import Task
from harness.errors import Problem, UserError, suggestion
from harness.recipe.schema import Recipe, Reference
from harness.table_files import read_table

RATING = metric_of("judge_rating")
COLUMNS = {
    "task": pl.String,
    "metric": pl.String,
    "language": pl.String,
    "x": pl.Float64,
    "score": pl.Float64,
    "name": pl.String,
}


def references_of(recipe: Recipe) -> pl.DataFrame:
    """A row per published score: task, metric, language, x, score and the reference's name. Raises UserError."""
    tables: list[pl.DataFrame] = []
    problems: list[Problem] = []
    for number, reference in enumerate(recipe.reference):
        try:
            tables.append(read_reference(reference, f"reference.{number}", recipe.known_tasks))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return pl.concat([pl.DataFrame(schema=COLUMNS), *tables])


def read_reference(reference: Reference, where: str, tasks: Mapping[str, Task]) -> pl.DataFrame:
    """The rows that a reference picks from its table. Raises UserError."""
    try:
        table = read_table(Path(reference.file))
    except UserError as error:
        raise UserError([Problem(f"{where}.file", problem.message) for problem in error.problems]) from None
    wanted = dict.fromkeys(("task", "language", "score", reference.x, *reference.where))
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        advice = suggestion(missing[0], table.columns)
        raise UserError([Problem(where, f"{reference.file} has no column {', '.join(missing)}; {advice}")])
    for column, value in reference.where.items():
        table = table.filter(pl.col(column).cast(pl.String) == value)
    picked = table.select(
        task=pl.col("task").cast(pl.String),
        language=pl.col("language").cast(pl.String),
        x=pl.col(reference.x).cast(pl.Float64, strict=False),
        score=pl.col("score").cast(pl.Float64, strict=False),
        name=pl.lit(reference.name),
    ).drop_nulls()
    picked = with_metric(picked, tasks).select(*COLUMNS)
    problems = picked_problems(picked, reference, where)
    if problems:
        raise UserError(problems)
    return picked


def picked_problems(picked: pl.DataFrame, reference: Reference, where: str) -> list[Problem]:
    """Problems of the picked rows: none, several scores for one point, or scores outside the metric's range."""
    if picked.is_empty():
        return [Problem(f"{where}.where", f"picks no row of {reference.file} with a number in score and {reference.x}")]
    twice = picked.filter(pl.struct("task", "metric", "language", "x").is_duplicated())
    if len(twice):
        task, _, language, x = twice.row(0)[:4]
        message = f"picks several rows for {task} {language} at {reference.x} {x:g}; name more columns"
        return [Problem(f"{where}.where", message)]
    return [
        Problem(f"{where}.file", f"scores of {task} reach {score:g}; give shares from 0 to 1, as in 0.45, not percent")
        for (task, metric), part in picked.group_by(["task", "metric"], maintain_order=True)
        for score in part["score"].top_k(1)
        if score > metric_of(str(metric)).best
    ]


def with_metric(picked: pl.DataFrame, tasks: Mapping[str, Task]) -> pl.DataFrame:
    """The rows of the harness's tasks with their metric; scores of instructions from 1 to 5 are a judge's ratings."""
    rated = (pl.col("score").min().over("task") >= 1) & (pl.col("score").max().over("task") <= RATING.best)
    main = pl.col("task").replace_strict({name: task.metric for name, task in tasks.items()}, default=None)
    ratings = (pl.col("task") == "instructions") & rated
    return picked.with_columns(metric=pl.when(ratings).then(pl.lit("judge_rating")).otherwise(main)).drop_nulls()
