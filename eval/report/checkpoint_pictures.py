"""What a report shows of steps of training that are evaluated: pictures, and the tables behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from eval.analysis.checkpoints import CROSS_LINGUAL, IN_LANGUAGE, UNTUNED, CheckpointTables
from eval.analysis.groups import language_name
from eval.report.grid import Picture
from eval.report.pictures.checkpoints import along_picture, amounts_picture, learning_picture
from eval.report.pictures.curves import MOST_WITH_BANDS
from eval.report.tables import TextTable
from eval.report.units import metric_name, metric_title, percent, shown
from eval.scorers.metrics import Metric, metric_of

Drawn = tuple[Picture, pl.DataFrame]


def checkpoint_pictures(tables: CheckpointTables, languages: Sequence[str]) -> Iterator[Drawn]:
    """Of each task, by its main metric: scores along steps, learn steps, and source by target, with their data."""
    for (task, metric), part in tables.checkpoints.filter("main").group_by("task", "metric", maintain_order=True):
        yield from _of_task(str(task), str(metric), part, tables.learning.filter(task=task), languages)


def _of_task(
    task: str, metric: str, curves: pl.DataFrame, learning: pl.DataFrame, languages: Sequence[str]
) -> Iterator[Drawn]:
    unit, there = metric_of(metric), set(curves.filter(pl.col("mean").is_not_null())["language"])
    names = {code: language_name(code) for code in languages if code in there}
    cells = curves["cell"].unique(maintain_order=True).to_list()
    steps = curves["step"].unique().sort().to_list()
    if not names:
        return
    yield (
        along_picture(
            task, metric_title(metric), cells, names, metric_name(metric), len(cells) <= MOST_WITH_BANDS, steps
        ),
        along_rows(curves, unit),
    )
    learned = learning.filter(pl.col("learn_step").is_not_null())
    if learned.is_empty():
        return
    kinds = [kind for kind in (IN_LANGUAGE, CROSS_LINGUAL, UNTUNED) if kind in set(learned["kind"])]
    of_cells = [cell for cell in cells if cell in set(learned["cell"])]
    yield learning_picture(task, of_cells, [*names], kinds, steps), learning_rows(learned)
    sources = learned.filter(pl.col("source").is_not_null())
    if sources["cell"].n_unique() > 1:
        yield from _source_by_target(task, sources, [*names], unit)


def along_rows(curves: pl.DataFrame, unit: Metric) -> pl.DataFrame:
    """Scores along steps as they are drawn."""
    scaled = [pl.col(name) * unit.factor for name in ("mean", "low", "high")]
    texts = [shown(mean, unit) for mean in curves["mean"]]
    intervals = [ends(low, high, unit) for low, high in curves.select("low", "high").iter_rows()]
    return curves.select(
        "cell", "step", *scaled, pl.col("scored").alias("n"), pl.col("language").alias("group"),
        pl.Series("shown", texts), pl.Series("interval", intervals),
    )  # fmt: skip


def learning_rows(learned: pl.DataFrame) -> pl.DataFrame:
    """Learn steps as they are drawn."""
    texts = [learned_at(row) for row in learned.iter_rows(named=True)]
    return learned.select(
        "cell", "language", "kind", "learn_step", "low", "high", "before", "items", pl.Series("shown", texts)
    )


def _source_by_target(task: str, learned: pl.DataFrame, targets: Sequence[str], unit: Metric) -> Iterator[Drawn]:
    """When each source teaches each target, and what is forgotten of it: sources down, targets across."""
    cells = learned.select("cell", "source").unique(maintain_order=True)
    by = "source" if cells["source"].is_unique().all() else "cell"
    sides = ("trained on", cells[by].to_list()), ("tested on", targets)
    for name, title, of in (
        ("learn-step", "Learn step of each language tested on, by the language trained on", "learn_step"),
        ("forgetting", "What is forgotten: the best score less the last one, by the language trained on", "forgetting"),
    ):  # fmt: skip
        rows = [
            {"row": row[by], "column": row["language"], "value": row[of],
             "shown": f"{row[of]:,.0f}{unsure(row)}" if of == "learn_step" else shown(row[of], unit),
             "told": learned_at(row) if of == "learn_step" else f"{shown(row[of], unit)} of {shown(row['best'], unit)}"}
            for row in learned.iter_rows(named=True)
            if row[of] is not None
        ]  # fmt: skip
        if rows:
            picture = amounts_picture(f"{task}-{name}", title, title.partition(":")[0], *sides)
            yield picture, pl.DataFrame(rows)


def learned_at(row: Mapping[str, Any]) -> str:
    """A learn step with its interval."""
    around = "" if row["low"] is None else f" ({row['low']:,.0f} to {row['high']:,.0f})"
    return f"{row['learn_step']:,.0f}{unsure(row)}{around}"


def unsure(row: Mapping[str, Any]) -> str:
    """The mark of a learn step that has no interval."""
    return " ?" if row["low"] is None else ""


def ends(low: float | None, high: float | None, unit: Metric) -> str:
    """An interval as text."""
    return " to ".join(filter(None, (shown(end, unit) for end in (low, high))))


def checkpoint_text_tables(tables: CheckpointTables) -> dict[str, TextTable]:
    """The figures behind the pictures, by the picture's name."""
    behind: dict[str, TextTable] = {}
    for (task, metric), part in tables.checkpoints.filter("main").group_by("task", "metric", maintain_order=True):
        behind[f"{task}-along"] = along_table(part, metric_of(str(metric)))
        learned = learning_table(tables.learning.filter(task=task), metric_of(str(metric)))
        behind |= dict.fromkeys((f"{task}-learning", f"{task}-learn-step", f"{task}-forgetting"), learned)
    return behind


def along_table(curves: pl.DataFrame, unit: Metric) -> TextTable:
    """Cell and step down, languages across: means with their intervals."""
    languages = curves["language"].unique(maintain_order=True).to_list()
    rows: list[tuple[str, ...]] = []
    for (cell, step, tokens), part in curves.group_by("cell", "step", "tokens", maintain_order=True):
        figures = {
            language: f"{shown(mean, unit)} ({ends(low, high, unit)})" if low is not None else shown(mean, unit)
            for language, mean, low, high in part.select("language", "mean", "low", "high").iter_rows()
        }
        told = f"{step:,}" if tokens is None else f"{step:,} ({tokens:,g} B tokens)"
        rows.append((str(cell), told, *(figures.get(language, "") for language in languages)))
    return TextTable(("cell", "step", *languages), tuple(sorted(rows, key=_cell_and_step)))


def _cell_and_step(row: Sequence[str]) -> tuple[str, int]:
    return row[0], int(row[1].partition(" ")[0].replace(",", ""))


def learning_table(learning: pl.DataFrame, unit: Metric) -> TextTable:
    """When each language is learned, and what is forgotten of it."""
    rows = tuple(
        (
            row["cell"], row["language"], row["kind"], learned_at(row) if row["learn_step"] is not None else "",
            "" if row["before"] is None else f"{row['before']:,.0f}", shown(row["best"], unit),
            shown(row["final"], unit), shown(row["forgetting"], unit), percent(row["forgetting_share"]),
            f"{row['items']:,}", str(row["runs"]),
        )
        for row in learning.iter_rows(named=True)
    )  # fmt: skip
    return TextTable(
        ("cell", "tested on", "", "learn step (95 %)", "not yet at", "best", "last", "forgotten", "of the best",
         "items", "runs"),
        rows,
    )  # fmt: skip


def asymmetry_sentences(tables: CheckpointTables) -> list[str]:
    """Of each task how far the learn steps of two directions are apart, and the test."""
    tested = tables.learning_asymmetry.select("task", "pairs", "mean_absolute", "p").unique(maintain_order=True)
    return [
        f"{task}: the two directions of a pair of languages are {apart:,.0f} steps apart on average over "
        f"{pairs} pair{'s' * (pairs != 1)}; that some languages teach later than they learn: p = {p:.2g}"
        for task, pairs, apart, p in tested.iter_rows()
    ]
