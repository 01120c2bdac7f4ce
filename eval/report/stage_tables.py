"""What a report shows of trainings that follow one another: scores after each stage, and the continual metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from eval.report.tables import TextTable
from eval.report.units import metric_title, shown
from eval.scorers.metrics import metric_of

MEASURES = {
    "final": "mean over languages after the last stage",
    "forgetting": "lost of earlier stages' languages since their best",
    "backward": "change of earlier stages' languages since their own stage",
    "forward": "languages still to come, against the model before the first stage",
    "transfer": "a language after its own stage, against training on it alone",
}
"""What the continual metrics are (arXiv 2205.11152)."""


def stage_tables(stages: pl.DataFrame, continual: pl.DataFrame, languages: Sequence[str]) -> dict[str, TextTable]:
    """Title → the matrix of stages and languages of each chain and task, and one table of the continual metrics."""
    tables: dict[str, TextTable] = {}
    for (chain, task, metric), part in stages.group_by(["chain", "task", "metric"], maintain_order=True):
        named = ", ".join(filter(None, (str(chain), str(task))))
        tables[f"{named}: {metric_title(str(metric))}"] = matrix_table(part, str(metric), languages)
    if continual.height:
        rows = tuple(
            (str(row["chain"] or row["task"]), str(row["task"]), MEASURES[row["measure"]],
             figure(row, "estimate", row["metric"]), f"{row['n']:,}")
            for row in continual.iter_rows(named=True)
            if row["measure"] in MEASURES
        )  # fmt: skip
        tables["What was kept, lost and gained"] = TextTable(("chain", "task", "measure", "figure", "n"), rows)
    return tables


def matrix_table(part: pl.DataFrame, metric: str, languages: Sequence[str]) -> TextTable:
    """Stages down, languages across: means with their intervals."""
    columns = [language for language in languages if language in set(part["language"])]
    rows: list[tuple[str, ...]] = []
    for (place, stage), scores in part.group_by(["place", "stage"], maintain_order=True):
        by_language = {row["language"]: row for row in scores.iter_rows(named=True)}
        figures = (figure(by_language[name], "mean", metric) if name in by_language else "" for name in columns)
        rows.append((f"{place} {stage}" if place else "before", *figures))
    return TextTable(("after stage", *columns), tuple(rows))


def figure(row: Mapping[str, Any], key: str, metric: str) -> str:
    """A figure with its interval; blank where there is none."""
    unit = metric_of(metric)
    value, low, high = (shown(row[name], unit) for name in (key, "low", "high"))
    return (f"{value} ({low} to {high})" if low and high else value).replace("-", "−")
