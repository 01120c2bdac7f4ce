"""harness agree: whether models rank languages alike as donors and as recipients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl

from eval.analysis.agreement import Ranking, Tau, agreement
from eval.analysis.explain import PairColumns
from harness.console import line, plain_table, show_table
from harness.pair_tables import AnalysedGroup, FailedGroup, by_group, checked, grouped, read_tables, shown_parts
from harness.results import Answer


class GroupAgreement(AnalysedGroup):
    """How far models agree in one group of rows."""

    models: tuple[str, ...]
    pairs: int
    left_out: int
    """Pairs that a model lacks, or has a blank for."""
    donors: Ranking
    recipients: Ranking


class ModelsAgreement(Answer):
    """Whether models rank languages alike, per group of rows."""

    transfer: str
    across: str
    analyses: tuple[GroupAgreement | FailedGroup, ...]


def models_agree(files: Sequence[Path], columns: PairColumns, across: str) -> ModelsAgreement:
    """Whether models, told apart by a column, rank languages alike as donors and as recipients, per group of rows.

    Raises UserError as `explain_transfer` does.
    """
    table = pl.concat(read_tables(files), how="diagonal_relaxed")
    columns, file = grouped(columns, table), Path(", ".join(map(str, files)))
    pairs = checked(file, table, replace(columns, group=(*columns.group, across)), (), [])

    def analysis(group: dict[str, str], part: pl.DataFrame) -> GroupAgreement:
        return GroupAgreement(group=group, **asdict(agreement(part, columns, across)))

    analyses = by_group(file, pairs, columns.group, analysis)
    return ModelsAgreement(transfer=columns.transfer, across=across, analyses=analyses)


def show_agreement(data: ModelsAgreement) -> None:
    """A table of donors and one of recipients per group of rows, models across; then the rank correlations."""
    for title, part in shown_parts(data.transfer, data.analyses):
        line(f"{title}: {part.pairs} pairs, {part.left_out} left out that some {data.across} lacks")
        for name, role, ranking in (("donors", "gives", part.donors), ("recipients", "gets", part.recipients)):
            table = plain_table("", (role,), part.models)
            for language, means in ranking.means.items():
                table.add_row(language, *(f"{means[model]:+.3g}" for model in part.models))
            show_table(table)
            for pair in ranking.between:
                line(f"  {name}, {pair.one} and {pair.other}: {tau_in_words(pair)}")
            if not ranking.between:
                line(f"  {name}: {len(ranking.means)} languages have no order to agree on")
            if len(ranking.between) > 1 and ranking.tau is not None:
                line(f"  {name}, mean over pairs of {data.across}s: τ {ranking.tau:.2f}")


def tau_in_words(tau: Tau) -> str:
    """A rank correlation with its p-value, and how many languages it is of."""
    from eval.analysis.stats import LEVEL
    from eval.report.text_tables import p_value

    if tau.tau is None:
        return f"τ undefined, one ranks all {tau.languages} languages alike"
    few = f"; it cannot be below {tau.least_p:.2g}" if tau.least_p > LEVEL else ""
    return f"τ {tau.tau:.2f} (p {p_value(tau.p)}{few}), {tau.languages} languages"
