"""Tables of pairs of languages, as `harness explain` and `harness agree` read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from eval.analysis.explain import PairColumns, pairs_of
from eval.analysis.long_tables import TableError
from harness.console import line
from harness.errors import Problem, UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

from collections.abc import Iterator

from harness.table_files import read_table

GROUP = ("source_task", "beside", "task", "metric")
"""Columns of a study's table of transfer; each combination of what they hold is analysed on its own."""


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


def group_name(group: dict[str, str]) -> str:
    """What precedes a message about a group."""
    return ", ".join(f"{name} {value}" for name, value in group.items()) + ": " if group else ""


def shown_parts(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The title and the figures of each group of pairs; says the problem with those that have none."""
    for part in data["analyses"]:
        title = ", ".join((data["transfer"], *(f"{name} {value}" for name, value in part["group"].items())))
        if "problem" in part:
            line(f"{title}: {part['problem']}")
        else:
            yield title, part
