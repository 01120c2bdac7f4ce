"""What a report shows of what cells learned besides given targets: what models wrote, and terms of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from eval.analysis.generated import WrittenAndLearned
from eval.report.tables import TextTable
from eval.report.units import metric_name, metric_title, shown
from eval.scorers.metrics import SHARE, Metric, metric_of


def written_tables(tables: WrittenAndLearned) -> dict[str, TextTable]:
    """Title → what models wrote, and what it was worth; only tables that have rows."""
    made = {"What was kept": kept_text_table(tables.generated),
            "What it was worth": recovered_text_table(tables.recovered)}  # fmt: skip
    return {title: table for title, table in made.items() if table.rows}


def learned_tables(tables: WrittenAndLearned) -> dict[str, TextTable]:
    """Title → what terms beside the likelihood came to; only tables that have rows."""
    made = {"Loss of each term": losses_text_table(tables.objectives),
            "Held-out translations found": retrieval_text_table(tables.retrieval)}  # fmt: skip
    return {title: table for title, table in made.items() if table.rows}


def kept_text_table(kept: pl.DataFrame) -> TextTable:
    """Sources and languages down: how many targets are kept, how many of these are right, and what was left out."""
    rows = tuple(
        (row["source"], row["written_by"], row["language"], f"{row['prompts']:,}", f"{row['kept']:,}",
         figure(row, "share", SHARE), metric_name(row["metric"]), scored(row, "score", "scored", row["kept"]),
         scored(row, "score_of_all", "scored_of_all", row["prompts"]), row["left_out"])
        for row in kept.iter_rows(named=True)
    )  # fmt: skip
    headings = ("source", "written by", "language", "prompts", "kept", "kept, %", "metric", "of those kept",
                "of all", "left out")  # fmt: skip
    return TextTable(headings, rows)


def recovered_text_table(recovered: pl.DataFrame) -> TextTable:
    """Settings and languages down: what is gained over zero-shot, by gold targets, and the share of this."""
    rows: list[tuple[str, ...]] = []
    for row in recovered.iter_rows(named=True):
        metric = metric_of(row["metric"])
        rows.append((f"{row['task']}, {metric_title(row['metric'])}", row["cell"], row["languages"],
                     figure(row, "recovered", SHARE), figure(row, "gained", metric), figure(row, "by_gold", metric),
                     f"{row['runs']} × {row['items']:,}", row["gold"], row["zero_shot"]))  # fmt: skip
    headings = ("task", "cell", "languages", "gap recovered, %", "gained", "gained by gold", "runs × n", "gold",
                "zero-shot")  # fmt: skip
    return TextTable(headings, tuple(rows))


def losses_text_table(losses: pl.DataFrame) -> TextTable:
    """Cells and terms down: the loss of the first steps and of the last ones."""
    rows = tuple(
        (row["cell"], row["term"].replace("_", " "), f"{row['steps']:,}", f"{row['first']:.3g}", f"{row['last']:.3g}",
         f"{row['averaged']}")
        for row in losses.iter_rows(named=True)
    )  # fmt: skip
    return TextTable(("cell", "term", "steps", "first steps", "last steps", "steps averaged"), rows)


def retrieval_text_table(retrieval: pl.DataFrame) -> TextTable:
    """Cells and pairs of languages down: how often held-out translations are found before and after."""
    rows = tuple(
        (row["cell"], f"{row['layer']}", row["languages"].replace(">", " and "), f"{row['pairs']:,}",
         figure(row, "before", SHARE), figure(row, "after", SHARE))
        for row in retrieval.iter_rows(named=True)
    )  # fmt: skip
    return TextTable(("cell", "layer", "languages", "pairs", "found before, %", "found after, %"), rows)


def scored(row: Mapping[str, Any], name: str, count: str, of: int) -> str:
    """A score in its own unit, and how many have one where not all do."""
    told = figure(row, name, metric_of(row["metric"]))
    return told if row[count] == of else f"{told}, n {row[count]:,}".removeprefix(", ")


def figure(row: Mapping[str, Any], name: str, metric: Metric) -> str:
    """A figure in the metric's unit with its interval, as far as they are known."""
    value, low, high = (shown(row[key], metric) for key in (name, f"{name}_low", f"{name}_high"))
    return (f"{value} ({low} to {high})" if low and high else value).replace("-", "−")
