"""harness explain: what goes with transfer over pairs of languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import polars as pl

from eval.analysis.covariates import COVARIATES, origin, with_covariates
from eval.analysis.explain import Effect, PairColumns, explain
from harness.console import line, plain_table, show_table
from harness.errors import Problem, suggestion
from harness.pair_tables import AnalysedGroup, FailedGroup, by_group, checked, grouped, shown_parts
from harness.results import Answer
from harness.table_files import read_table


class GroupExplanation(AnalysedGroup):
    """What goes with transfer in one group of rows."""

    pairs: int
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    r_squared: float
    permutations: int
    exact: bool
    """Whether these are all permutations there are."""
    effects: tuple[Effect, ...]
    left_out: dict[str, list[str]]
    """By column, the pairs in which it is blank."""
    warnings: tuple[str, ...]


class TransferExplanation(Answer):
    """What goes with transfer, per group of rows."""

    transfer: str
    covariates: dict[str, str | None]
    """By name, where they come from."""
    analyses: tuple[GroupExplanation | FailedGroup, ...]


def explain_transfer(file: Path, covariates: Sequence[str], columns: PairColumns) -> TransferExplanation:
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
    free = [name for name, column in zip(table.columns, table, strict=True) if name not in taken and is_numeric(column)]
    problems += [problem for name in computed for problem in covariate_problems(name, free)]
    pairs = checked(file, table, columns, given, problems)
    pairs = with_covariates(pairs, computed, columns.source, columns.target)

    def analysis(group: dict[str, str], part: pl.DataFrame) -> GroupExplanation:
        return GroupExplanation(group=group, **asdict(explain(part, columns, covariates)))

    analyses = by_group(file, pairs, columns.group, analysis)
    origins = {name: origin(name) if name in computed else "the table" for name in covariates}
    return TransferExplanation(transfer=columns.transfer, covariates=origins, analyses=analyses)


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


def show_explanation(data: TransferExplanation) -> None:
    """A table per group of rows: what goes with each covariate, and of which pairs this is."""
    for title, part in shown_parts(data.transfer, data.analyses):
        line(title)
        table = plain_table("", ("covariate",), ("per SD", "p (QAP)", "p (Holm)", "alone: Spearman", "p (QAP)"))
        for effect in part.effects:
            p_values = [f"{p:.4f}" for p in (effect.p, effect.p_adjusted, effect.p_alone)]
            slope, alone = f"{effect.coefficient:+.3g}", f"{effect.spearman:+.2f}"
            table.add_row(effect.covariate, slope, *p_values[:2], alone, p_values[2])
        show_table(table)
        sides = ", ".join(
            f"{len(names)} {side} ({' '.join(names)})"
            for side, names in (("sources", part.sources), ("targets", part.targets))
        )
        permuted = f"{'all ' if part.exact else ''}{part.permutations:,} permutations"
        line(f"{part.pairs} pairs: {sides}; R² {part.r_squared:.2f}; {permuted}")
        for name, blank in part.left_out.items():
            more = ", …" if len(blank) > 3 else ""
            line(f"  left out: {len(blank)} without {name} ({', '.join(blank[:3])}{more})")
        for warning in part.warnings:
            line(f"  warning: {warning}")
    line(f"covariates: {'; '.join(f'{name} of {origin}' for name, origin in data.covariates.items())}")
