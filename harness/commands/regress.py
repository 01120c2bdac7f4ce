"""harness regress: what goes with scores over runs and languages, and whether it holds for other languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl

from eval.analysis.instances import Coefficient, InstanceColumns, instances_of, regress
from eval.analysis.long_tables import TableError
from harness.console import line, plain_table, show_table
from harness.errors import Problem, UserError
from harness.pair_tables import AnalysedGroup, FailedGroup, by_group, shown_parts
from harness.results import Answer
from harness.table_files import read_table

GROUP = ("task", "metric")
"""Columns of a study's instances; each combination is analysed on its own, unless it is a covariate."""


class GroupRegression(AnalysedGroup):
    """The regression in one group of rows."""

    instances: int
    cells: int
    languages: int
    models: int
    coefficients: tuple[Coefficient, ...]
    r_squared: float
    """Of the instances that it was fitted to."""
    r_squared_random: float
    """Of random 30 % by the others; every language and model is on both sides."""
    r_squared_language: float
    """Of each language by the others."""
    r_squared_model: float | None
    """Of each model by the others."""
    left_out: dict[str, int]
    """By column, how many instances have a blank."""


class ScoreRegression(Answer):
    """What goes with scores over instances, per group of rows."""

    score: str
    analyses: tuple[GroupRegression | FailedGroup, ...]


def regress_scores(file: Path, covariates: Sequence[str], columns: InstanceColumns) -> ScoreRegression:
    """The regression for each group of rows; where one cannot be analysed, a `problem` says why.

    Raises UserError where none can, and for a file or columns that cannot be used.
    """
    table = read_table(file)
    if not columns.group:
        own = tuple(name for name in GROUP if name in table.columns and name not in covariates)
        columns = replace(columns, group=own)
    if not covariates:
        raise UserError([Problem("--on", f"none given; name columns of {', '.join(table.columns)}")])
    try:
        instances = instances_of(table, columns, covariates)
    except TableError as error:
        raise UserError([Problem(str(file), problem) for problem in error.problems]) from None

    def analysis(group: dict[str, str], part: pl.DataFrame) -> GroupRegression:
        return GroupRegression(group=group, **asdict(regress(part, columns, covariates)))

    return ScoreRegression(score=columns.score, analyses=by_group(file, instances, columns.group, analysis))


def show_regression(data: ScoreRegression) -> None:
    """A table per group of rows, and R² of what the regression was fitted to and of what it was not."""
    for title, part in shown_parts(data.score, data.analyses):
        line(title)
        table = plain_table("", ("covariate",), ("coefficient", "95 %"))
        for row in part.coefficients:
            interval = "" if row.low is None else f"{row.low:+.3g} to {row.high:+.3g}"
            table.add_row(row.covariate, f"{row.coefficient:+.3g}", interval)
        show_table(table)
        line(f"{part.instances} instances: {part.cells} cells, {part.languages} languages, {part.models} models")
        held_out = {"a random 30 %": part.r_squared_random, "each language by the others": part.r_squared_language}
        held_out |= {} if part.r_squared_model is None else {"each model by the others": part.r_squared_model}
        told = ", ".join(f"{value:.2f} of {name}" for name, value in held_out.items())
        line(f"R² {part.r_squared:.2f} of what it was fitted to, {told}")
        for name, blank in part.left_out.items():
            line(f"  left out: {blank} without {name}")
