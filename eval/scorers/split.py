"""Split scores: what a figure is of answers in the right language, and what it is if a wrong language is a fault."""

from __future__ import annotations

import polars as pl

from eval.scorers.metrics import IN_LANGUAGE, SWITCH_AWARE, metric_of

KEYS = ("cell", "weights", "task", "language", "item", "id")
VERSION = "split/1"


def split_scores(scores: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Two rows for each score of the metric, by the `language_pass` of the same completion.

    `<metric>_in_language` is the value of a completion that passes, and unscored of one that does not, or of which
    that is not known. `<metric>_switch_aware` is the metric's worst value for a completion that fails, else the value
    (arXiv 2504.16677: "the judge's 1–5 rating becomes 1 when the completion fails").
    """
    keys = [*KEYS, *(["sample"] if "sample" in scores.columns else [])]
    passes = scores.filter(pl.col("metric") == "language_pass").select(
        *keys, passed="value", unknown="reason", told_by="version"
    )
    both = scores.filter(pl.col("metric") == metric).join(passes, on=keys, how="left", nulls_equal=True)
    both = both.with_columns(
        version=pl.format("{} {} {}", pl.lit(VERSION), "version", pl.col("told_by").fill_null("")).str.strip_chars_end()
    )
    scored, passed = pl.col("value").is_not_null(), pl.col("passed")
    not_in_it = pl.when(passed == 0).then(pl.lit("in another language")).otherwise(
        pl.format("language not known: {}", pl.col("unknown").fill_null("no completion"))
    )  # fmt: skip
    in_language = both.with_columns(
        metric=pl.lit(metric + IN_LANGUAGE),
        value=pl.when(passed == 1).then("value"),
        reason=pl.when(scored & ((passed == 0) | passed.is_null())).then(not_in_it).otherwise("reason"),
    )
    switch_aware = both.with_columns(
        metric=pl.lit(metric + SWITCH_AWARE),
        value=pl.when(scored & (passed == 0)).then(metric_of(metric).worst).otherwise("value"),
        reason=pl.when(scored & (passed == 0)).then(pl.lit("in another language")).otherwise("reason"),
    )
    return pl.concat([in_language, switch_aware]).select(scores.columns)
