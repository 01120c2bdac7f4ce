"""What a report shows of trainings that follow one another: scores after each stage, and the continual metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from eval.report.tables import TextTable
from eval.report.units import metric_title, shown
from eval.scorers.metrics import metric_of

MEASURES = {"final": "final", "forgetting": "forgetting", "backward": "backward", "forward": "zero-shot forward",
            "transfer": "transfer"}  # fmt: skip
"""The continual metrics that are shown, and what the page calls them."""


def stage_tables(stages: pl.DataFrame, continual: pl.DataFrame, languages: Sequence[str]) -> dict[str, TextTable]:
    """Title → the matrix of stages and languages of each chain and task, and one table of the continual metrics."""
    tables: dict[str, TextTable] = {}
    for (chain, task, metric), part in stages.group_by(["chain", "task", "metric"], maintain_order=True):
        named = ", ".join(filter(None, (str(chain), str(task))))
        counts: list[int] = part["scored"].unique().sort().to_list()
        of = f"n {'–'.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} per figure"
        tables[f"{named}: {metric_title(str(metric))}, {of}"] = matrix_table(part, str(metric), languages)
    for (task, metric), part in continual.group_by(["task", "metric"], maintain_order=True):
        tables[f"What was kept, lost and gained: {task}, {metric_title(str(metric))}"] = kept_table(part, str(metric))
    return tables


def kept_table(part: pl.DataFrame, metric: str) -> TextTable:
    """Chains down, the continual metrics across."""
    measures = [name for name in MEASURES if name in set(part["measure"])]
    rows: list[tuple[str, ...]] = []
    for (chain,), of_chain in part.group_by(["chain"], maintain_order=True):
        found = {row["measure"]: row for row in of_chain.iter_rows(named=True)}
        figures = (f"{figure(found[name], 'estimate', metric)}, n {found[name]['n']:,}" if name in found else ""
                   for name in measures)  # fmt: skip
        rows.append((str(chain) or "all stages", *figures))
    return TextTable(("chain", *(MEASURES[name] for name in measures)), tuple(rows))


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
