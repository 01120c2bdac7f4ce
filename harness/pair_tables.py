"""Tables of pairs of languages, as `harness explain` and `harness agree` read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import polars as pl

from eval.analysis.explain import PairColumns, pairs_of
from eval.analysis.long_tables import TableError
from harness.console import line
from harness.errors import Problem, UserError
from harness.results import NumberOrText, Result
from harness.table_files import read_table

GROUP = ("source_task", "beside", "task", "metric")
"""Columns of a study's table of transfer; each combination of what they hold is analysed on its own."""


def read_tables(files: Sequence[Path]) -> list[pl.DataFrame]:
    """Tables, each as `read_table` reads it. Raises UserError for all that cannot be read."""
    tables: list[pl.DataFrame] = []
    problems: list[Problem] = []
    for file in files:
        try:
            tables.append(read_table(file))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return tables


def grouped(columns: PairColumns, table: pl.DataFrame) -> PairColumns:
    """The columns with a study's own groups, as far as they are there, if none were named."""
    if columns.group:
        return columns
    return replace(columns, group=tuple(column for column in GROUP if column in table.columns))


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


class FailedGroup(Result):
    """A group of rows that cannot be analysed."""

    group: Mapping[str, NumberOrText]
    problem: str


class AnalysedGroup(Result):
    """A group of rows, named by the values of its columns, and what was found of it."""

    group: Mapping[str, NumberOrText]


Analysed = TypeVar("Analysed", bound=AnalysedGroup)


def by_group(
    file: Path, pairs: pl.DataFrame, group: Sequence[str], analysis: Callable[[dict[str, str], pl.DataFrame], Analysed]
) -> tuple[Analysed | FailedGroup, ...]:
    """The figures of each group of rows, or the problem with it. Raises UserError where all have one."""
    outcomes: list[Analysed | FailedGroup] = []
    for values, part in pairs.group_by(group, maintain_order=True) if group else [((), pairs)]:
        named: dict[str, str] = dict(zip(group, map(str, values), strict=True))
        try:
            outcomes.append(analysis(named, part))
        except TableError as error:
            outcomes.append(FailedGroup(group=named, problem=str(error)))
    failed = [part for part in outcomes if isinstance(part, FailedGroup)]
    if len(failed) == len(outcomes):
        raise UserError([Problem(str(file), group_name(part.group) + part.problem) for part in failed])
    return tuple(outcomes)


def group_name(group: Mapping[str, object]) -> str:
    """What precedes a message about a group."""
    return ", ".join(f"{name} {value}" for name, value in group.items()) + ": " if group else ""


def shown_parts(transfer: str, parts: Sequence[Analysed | FailedGroup]) -> Iterator[tuple[str, Analysed]]:
    """The title and the figures of each group of pairs; says the problem with those that have none."""
    for part in parts:
        title = ", ".join((transfer, *(f"{name} {value}" for name, value in part.group.items())))
        if isinstance(part, FailedGroup):
            line(f"{title}: {part.problem}")
        else:
            yield title, part
