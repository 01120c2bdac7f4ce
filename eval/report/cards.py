"""Mixture cards as tables of text, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eval.report.tables import TextTable
from eval.report.units import percent

COLUMNS = (
    "task", "language", "rows", "items", "repeats", "duplicates", "tokens", "supervised", "fertility",
    "length 5/50/95/100 %", "shortened", "prompts in language", "targets in language",
)  # fmt: skip


def card_table(card: Sequence[Mapping[str, Any]]) -> TextTable:
    """The card of one cell; a share that could not be found is blank."""
    return TextTable(
        COLUMNS,
        tuple(
            (
                row["task"],
                row["language"],
                f"{row['rows']:,}",
                f"{row['items']:,}",
                f"{row['repeats']:,}",
                f"{row['duplicates']:,}",
                f"{row['tokens']:,}",
                f"{row['supervised_tokens']:,}",
                f"{row['fertility']:.2f}",
                " ".join(map(str, row["lengths"])),
                percent(row["shortened"]),
                share_of(row["prompts_in_language"], row["prompts_identified"]),
                share_of(row["targets_in_language"], row["targets_identified"]),
            )
            for row in card
        ),
    )


def share_of(share: float | None, count: int) -> str:
    """A share and what it is a share of; blank if there is none."""
    return "" if share is None else f"{percent(share)} of {count:,}"
