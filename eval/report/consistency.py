"""What a report shows of cross-lingual consistency: the plane that it makes with accuracy, and its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from eval.report.page import Page
from eval.report.picture_data import place_marks
from eval.report.tables import TextTable

SHOWN = 3
"""Languages whose answers are compared in the report, as in SeaEval; all numbers of them are in consistency.csv."""


def sizes_shown(page: Page) -> pl.DataFrame:
    """The rows of three languages, or of two where a task has no more, that have a figure."""
    if page.consistency is None or page.consistency.sizes.is_empty():
        return pl.DataFrame()
    most = pl.col("s").max().over("task").clip(upper_bound=SHOWN)
    return page.consistency.sizes.filter(pl.col("s") == most, pl.col("consistency").is_not_null())


def plane_rows(page: Page) -> dict[str, pl.DataFrame]:
    """Task → per cell accuracy and consistency in percent, with the ends of their intervals and chance."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in sizes_shown(page).iter_rows(named=True):
        ends = ("accuracy", "accuracy_low", "accuracy_high", "consistency", "consistency_low", "consistency_high")
        texts = {f"{name}_text": with_interval(row, name) for name in ("accuracy", "consistency")}
        figures = {name: None if row[name] is None else 100 * row[name] for name in (*ends, "chance")}
        place = {"cell": row["cell"], "s": row["s"]} | place_marks(page, row["cell"])
        rows.setdefault(row["task"], []).append(place | figures | texts | {"chance_text": percent(row["chance"])})
    return {task: pl.DataFrame(part, infer_schema_length=None) for task, part in rows.items()}


def consistency_table(page: Page) -> TextTable:
    """Per task and cell: accuracy, consistency, the same where something is wrong, chance, and AC3, in percent."""
    rows = tuple(
        (page.label(row["task"]), row["cell"], f"{row['s']} of {len(row['languages'].split())}",
         *(with_interval(row, name) for name in ("accuracy", "consistency", "where_wrong")), percent(row["chance"]),
         with_interval(row, "ac3"), f"{row['items']:,}", f"{row['items_wrong']:,}", f"{row['unscored']:,}")
        for row in sizes_shown(page).iter_rows(named=True)
    )  # fmt: skip
    headings = ("task", "cell", "languages", "accuracy, %", "same answer, %", "where any is wrong, %",
                "by chance, %", "AC3, %", "items", "with any wrong", "left out")  # fmt: skip
    return TextTable(headings, rows)


def pair_tables(page: Page) -> dict[str, TextTable]:
    """Task → cells and languages down, languages across: how often both answers are equal, in percent."""
    if page.consistency is None or page.consistency.pairs.is_empty():
        return {}
    by_task = page.consistency.pairs.partition_by("task", as_dict=True, maintain_order=True)
    return {page.label(str(task)): pair_table(part) for (task,), part in by_task.items()}


def pair_table(pairs: pl.DataFrame) -> TextTable:
    """The matrix of each cell in one task; n is how many items are compared, where it is not the same everywhere."""
    languages = list(dict.fromkeys([*pairs["one"], *pairs["other"]]))
    alike = pairs["items"].n_unique() == 1
    rows: list[tuple[str, ...]] = []
    for (cell,), part in pairs.partition_by("cell", as_dict=True, maintain_order=True).items():
        figures = {(row["one"], row["other"]): pair_text(row, alike) for row in part.iter_rows(named=True)}
        for language in languages:
            entries = (figures.get((language, other), figures.get((other, language), "")) for other in languages)
            rows.append((str(cell), language, *entries))
    return TextTable(("cell", "language", *languages), tuple(rows))


def pair_text(row: Mapping[str, Any], alike: bool) -> str:
    """A share with its interval, and of how many items it is."""
    return with_interval(row, "consistency") + ("" if alike else f", n {row['items']:,}")


def with_interval(row: Mapping[str, Any], name: str) -> str:
    """A figure in percent with its interval, as far as they are known."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return percent(row[name]) + ("" if low is None else f" ({100 * low:.0f}–{100 * high:.0f})")


def percent(share: float | None) -> str:
    """A share in percent to one decimal, or a blank; the unit stands in the heading."""
    return "" if share is None else f"{100 * share:.1f}"
