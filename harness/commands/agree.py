"""harness agree: whether models rank languages alike as donors and as recipients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from eval.analysis.agreement import agreement
from eval.analysis.explain import PairColumns

if TYPE_CHECKING:
    pass

from harness.console import line, plain_table, show_table
from harness.pair_tables import by_group, checked, grouped, read_tables, shown_parts


def models_agree(files: Sequence[Path], columns: PairColumns, across: str) -> dict[str, Any]:
    """Whether models, told apart by a column, rank languages alike as donors and as recipients, per group of rows.

    Raises UserError as `explain_transfer` does.
    """
    table = pl.concat(read_tables(files), how="diagonal_relaxed")
    columns, file = grouped(columns, table), Path(", ".join(map(str, files)))
    pairs = checked(file, table, replace(columns, group=(*columns.group, across)), (), [])
    found = by_group(file, pairs, columns.group, lambda part: agreement(part, columns, across))
    return {"transfer": columns.transfer, "across": across, "analyses": found}


def show_agreement(data: dict[str, Any]) -> None:
    """A table of donors and one of recipients per group of rows, models across; then the rank correlations."""
    for title, part in shown_parts(data):
        line(f"{title}: {part['pairs']} pairs, {part['left_out']} left out that some {data['across']} lacks")
        for name, role in (("donors", "gives"), ("recipients", "gets")):
            table = plain_table("", (role,), tuple(part["models"]))
            for language, means in part[name]["means"].items():
                table.add_row(language, *(f"{means[model]:+.3g}" for model in part["models"]))
            show_table(table)
            for each in part[name]["between"]:
                line(f"  {name}, {each['one']} and {each['other']}: {tau_in_words(each)}")
            if not part[name]["between"]:
                line(f"  {name}: {len(part[name]['means'])} languages have no order to agree on")
            if len(part[name]["between"]) > 1 and part[name]["tau"] is not None:
                line(f"  {name}, mean over pairs of {data['across']}s: τ {part[name]['tau']:.2f}")


def tau_in_words(found: dict[str, Any]) -> str:
    """A rank correlation with its p-value, and how many languages it is of."""
    from eval.analysis.stats import LEVEL
    from eval.report.text_tables import p_value

    if found["tau"] is None:
        return f"τ undefined, one ranks all {found['languages']} languages alike"
    few = f"; it cannot be below {found['least_p']:.2g}" if found["least_p"] > LEVEL else ""
    return f"τ {found['tau']:.2f} (p {p_value(found['p'])}{few}), {found['languages']} languages"
