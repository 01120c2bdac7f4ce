"""Figures that are no finite numbers, which have no place in JSON, tables or charts."""

from __future__ import annotations

import polars as pl
import polars.selectors as columns


def finite_table(table: pl.DataFrame) -> pl.DataFrame:
    """The table with blanks for NaN and infinity."""
    floats = columns.float()
    return table.with_columns(pl.when(floats.is_finite()).then(floats))


def finite_scores(scores: pl.DataFrame) -> pl.DataFrame:
    """A table of scores in which those that are no finite number are unscored, with the reason."""
    value = pl.col("value")
    wrong = value.is_not_null() & value.is_finite().not_()
    said = pl.format("the score is {}", value.cast(pl.String).str.to_lowercase())
    return scores.with_columns(
        value=pl.when(wrong.not_()).then(value), reason=pl.when(wrong).then(said).otherwise("reason")
    )
