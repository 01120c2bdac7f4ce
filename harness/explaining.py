"""The explain stage: a table of transfer per pair of languages to what goes with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl

from eval.covariates import COVARIATES, origin, with_covariates
from eval.explain import PairColumns, explain, pairs_of
from eval.tables import TableError
from harness.analysis import read_table
from harness.errors import Problem, UserError, suggestion

GROUP = ("source_task", "task", "metric")
"""Columns of a study's table of transfer; each combination of what they hold is analysed on its own."""


def explain_transfer(file: Path, covariates: Sequence[str], columns: PairColumns) -> dict[str, Any]:
    """The regression of transfer on covariates, columns of the table or else computed, for each group of rows.

    Where a group cannot be analysed, a `problem` says why. Raises UserError where none can, and for a file, columns
    or covariates that cannot be used.
    """
    table = read_table(file)
    given = [name for name in covariates if name in table.columns]
    computed = [name for name in covariates if name not in table.columns]
    columns = (
        columns if columns.group else replace(columns, group=tuple(each for each in GROUP if each in table.columns))
    )
    problems = [] if covariates else [Problem("--on", f"got none; give columns, or {', '.join(COVARIATES)}")]
    problems += [problem for name in computed for problem in covariate_problems(name, table.columns)]
    try:
        pairs = pairs_of(table, columns, given)
    except TableError as error:
        raise UserError(problems + [Problem(str(file), problem) for problem in error.problems]) from None
    if problems:
        raise UserError(problems)
    pairs = with_covariates(pairs, computed, columns.source, columns.target)
    parts = pairs.group_by(columns.group, maintain_order=True) if columns.group else [((), pairs)]
    found: list[dict[str, Any]] = [
        {"group": dict(zip(columns.group, values, strict=True))} | explained(part, columns, covariates)
        for values, part in parts
    ]
    if all("problem" in part for part in found):
        raise UserError([Problem(str(file), group_name(part["group"]) + part["problem"]) for part in found])
    origins = {name: origin(name) if name in computed else "the table" for name in covariates}
    return {"transfer": columns.transfer, "covariates": origins, "analyses": found}


def covariate_problems(name: str, columns: Sequence[str]) -> list[Problem]:
    """What keeps a covariate that is no column from being computed."""
    if name not in COVARIATES:
        return [Problem("--on", f"no covariate {name!r}; {suggestion(name, (*COVARIATES, *columns))}")]
    if origin(name) is None:
        return [Problem("--on", f"{name} needs urielplus, which is not installed: pip install '.[typology]'")]
    return []


def explained(part: pl.DataFrame, columns: PairColumns, covariates: Sequence[str]) -> dict[str, Any]:
    """The figures of one group of rows, or the problem with it."""
    try:
        return asdict(explain(part, columns, covariates))
    except TableError as error:
        return {"problem": str(error)}


def group_name(group: dict[str, str]) -> str:
    """What precedes a message about a group."""
    return ", ".join(f"{name} {value}" for name, value in group.items()) + ": " if group else ""
