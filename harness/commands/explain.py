"""The explain and agree stages: what goes with transfer over pairs of languages, and whether models agree on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from eval.analysis.agreement import agreement
from eval.analysis.covariates import COVARIATES, origin, with_covariates
from eval.analysis.explain import PairColumns, explain, pairs_of
from eval.analysis.long_tables import TableError
from harness.commands.analyze import read_table
from harness.errors import Problem, UserError, suggestion

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

GROUP = ("source_task", "beside", "task", "metric")
"""Columns of a study's table of transfer; each combination of what they hold is analysed on its own."""


def explain_transfer(file: Path, covariates: Sequence[str], columns: PairColumns) -> dict[str, Any]:
    """The regression of transfer on covariates, columns of the table or else computed, for each group of rows.

    Where a group cannot be analysed, a `problem` says why. Raises UserError where none can, and for a file, columns
    or covariates that cannot be used.
    """
    table = read_table(file)
    given = [name for name in covariates if name in table.columns]
    computed = [name for name in covariates if name not in table.columns]
    columns = grouped(columns, table)
    problems = [] if covariates else [Problem("--on", f"got none; give columns, or {', '.join(COVARIATES)}")]
    taken = {columns.source, columns.target, columns.transfer, *columns.group}
    free = [name for name, each in zip(table.columns, table, strict=True) if name not in taken and is_numeric(each)]
    problems += [problem for name in computed for problem in covariate_problems(name, free)]
    pairs = checked(file, table, columns, given, problems)
    pairs = with_covariates(pairs, computed, columns.source, columns.target)
    found = by_group(file, pairs, columns.group, lambda part: explain(part, columns, covariates))
    origins = {name: origin(name) if name in computed else "the table" for name in covariates}
    return {"transfer": columns.transfer, "covariates": origins, "analyses": found}


def models_agree(files: Sequence[Path], columns: PairColumns, across: str) -> dict[str, Any]:
    """Whether models, told apart by a column, rank languages alike as donors and as recipients, per group of rows.

    Raises UserError as `explain_transfer` does.
    """
    table = pl.concat(read_tables(files), how="diagonal_relaxed")
    columns, file = grouped(columns, table), Path(", ".join(map(str, files)))
    pairs = checked(file, table, replace(columns, group=(*columns.group, across)), (), [])
    found = by_group(file, pairs, columns.group, lambda part: agreement(part, columns, across))
    return {"transfer": columns.transfer, "across": across, "analyses": found}


def read_tables(files: Sequence[Path]) -> list[pl.DataFrame]:
    """Tables, each as `read_table` reads it. Raises UserError for all that cannot be read."""
    found: list[pl.DataFrame] = []
    problems: list[Problem] = []
    for file in files:
        try:
            found.append(read_table(file))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return found


def grouped(columns: PairColumns, table: pl.DataFrame) -> PairColumns:
    """The columns with a study's own groups, as far as they are there, if none were named."""
    return columns if columns.group else replace(columns, group=tuple(each for each in GROUP if each in table.columns))


def checked(
    file: Path, table: pl.DataFrame, columns: PairColumns, covariates: Sequence[str], problems: Sequence[Problem]
) -> pl.DataFrame:
    """The table's pairs. Raises UserError for these problems and those of the table."""
    try:
        pairs = pairs_of(table, columns, covariates)
    except TableError as error:
        raise UserError([*problems, *(Problem(str(file), problem) for problem in error.problems)]) from None
    if problems:
        raise UserError(problems)
    return pairs


def by_group(
    file: Path, pairs: pl.DataFrame, group: Sequence[str], analysis: Callable[[pl.DataFrame], DataclassInstance]
) -> list[dict[str, Any]]:
    """The figures of each group of rows, or the problem with it. Raises UserError where all have one."""
    parts = pairs.group_by(group, maintain_order=True) if group else [((), pairs)]
    found: list[dict[str, Any]] = [
        {"group": dict(zip(group, values, strict=True))} | analysed(part, analysis) for values, part in parts
    ]
    if all("problem" in part for part in found):
        raise UserError([Problem(str(file), group_name(part["group"]) + part["problem"]) for part in found])
    return found


def analysed(part: pl.DataFrame, analysis: Callable[[pl.DataFrame], DataclassInstance]) -> dict[str, Any]:
    """The figures of one group of rows, or the problem with it."""
    try:
        return asdict(analysis(part))
    except TableError as error:
        return {"problem": str(error)}


def is_numeric(column: pl.Series) -> bool:
    """Whether a column holds numbers, or text that spells them, and perhaps blanks."""
    return column.cast(pl.Float64, strict=False).null_count() == column.null_count() < len(column)


def covariate_problems(name: str, columns: Sequence[str]) -> list[Problem]:
    """What keeps a covariate that is no column from being computed."""
    if name not in COVARIATES:
        return [Problem("--on", f"no covariate {name!r}; {suggestion(name, (*COVARIATES, *columns))}")]
    if origin(name) is None:
        return [Problem("--on", f"{name} needs urielplus, which is not installed: pip install '.[typology]'")]
    return []


def group_name(group: dict[str, str]) -> str:
    """What precedes a message about a group."""
    return ", ".join(f"{name} {value}" for name, value in group.items()) + ": " if group else ""
