"""What a report shows of blocks that began with new weights: a picture for each task, and its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from eval.analysis.checkpoints import CROSS_LINGUAL, IN_LANGUAGE
from eval.report.grid import Picture
from eval.report.pictures.blocks import block_picture
from eval.report.tables import TextTable
from eval.report.text_tables import difference_cells, difference_headings
from eval.report.units import difference, metric_name, shown
from eval.scorers.metrics import metric_of

CONTROL = ", elsewhere"
PLACES = {False: "there", True: "elsewhere"}
COLUMNS = ("series", "line", "block")


def block_pictures(effects: pl.DataFrame) -> Iterator[tuple[Picture, pl.DataFrame]]:
    """The difference that new weights make over the depth of the blocks, with its data."""
    known = effects.filter(pl.col("difference").is_not_null())
    for (task, metric), part in known.group_by("task", "metric", maintain_order=True):
        rows = block_rows(part)
        series, lines, blocks = (rows[name].unique(maintain_order=True).to_list() for name in COLUMNS)
        yield block_picture(str(task), metric_name(str(metric)), sorted(series), _in_order(lines), blocks), rows


def _in_order(lines: Sequence[str]) -> list[str]:
    """Languages trained on, then others, then the controls."""
    order = [kind + ending for ending in ("", CONTROL) for kind in (IN_LANGUAGE, CROSS_LINGUAL)]
    return [line for line in order if line in lines]


def block_rows(part: pl.DataFrame) -> pl.DataFrame:
    """The rows of a task as they are drawn, from the first block on."""
    unit = metric_of(part["metric"][0])
    scaled = [pl.col(name) * unit.factor for name in ("difference", "low", "high")]
    ends = [" to ".join(filter(None, (shown(end, unit) for end in pair))) for pair in part.select("low", "high").rows()]
    named = part.with_columns(
        pl.format("{}–{}", "first", pl.col("end") - 1).alias("block"),
        (pl.col("kind") + pl.when("elsewhere").then(pl.lit(CONTROL)).otherwise(pl.lit(""))).alias("line"),
        pl.Series("shown", [difference(value, 0.0, unit) for value in part["difference"]]),
        pl.Series("interval", ends),
    )
    return named.sort("first", "end", maintain_order=True).select(
        "cell", "series", "block", "line", "languages", *scaled, "shown", "interval"
    )


def block_tables(effects: pl.DataFrame) -> dict[str, TextTable]:
    """The figures behind the pictures, by the picture's name."""
    tables: dict[str, TextTable] = {}
    for (task,), part in effects.group_by("task", maintain_order=True):
        rows = tuple(
            (row["cell"], row["other"], f"{row['first']}–{row['end'] - 1}", PLACES[row["elsewhere"]],
             row["kind"], row["languages"], *difference_cells(row))
            for row in part.iter_rows(named=True)
        )  # fmt: skip
        headings = ("cell", "against", "blocks", "new weights", "", "languages", *difference_headings(part))
        tables[f"{task}-blocks"] = TextTable(headings, rows)
    return tables
