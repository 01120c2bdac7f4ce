"""Several completions of one prompt: the mean of their scores, and whether one of k would have been right."""

from __future__ import annotations

import polars as pl

KEYS = ("cell", "weights", "task", "language", "item", "id", "cluster")
"""What tells one example of one model from another, of these columns those that a table has."""
PASS = "pass@"
SAMPLE = "sample"
"""The column with the number of a completion among those of its prompt; there where there are several."""


def pass_at(k: int, samples: int, right: int) -> float:
    """The chance that of k samples drawn from these at least one is right: 1 − C(n − c, k) / C(n, k).

    Unbiased, as the same with the share c / n to the power of k is not (Chen et al. 2021, arXiv 2107.03374, eq. 1).
    """
    if samples - right < k:
        return 1.0
    missed = 1.0
    for drawn in range(samples - right + 1, samples + 1):
        missed *= 1 - k / drawn
    return 1 - missed


def sizes(samples: int) -> list[int]:
    """The k of pass@k that are reported: powers of two up to the number of samples, and this."""
    powers = [2**power for power in range(1, samples.bit_length()) if 2**power < samples]
    return [*powers, samples] if samples > 1 else []


def over_samples(scores: pl.DataFrame, mains: dict[str, str]) -> pl.DataFrame:
    """One row per example and metric of rows with the column `sample`: the mean over its samples that are scored.

    A version says of how many ("mean@8"). A metric that a task is judged by (`mains`) and that is right or wrong gives
    rows by `pass@k` besides. An answer is that of the first sample; a reason is given where all samples have one.
    """
    columns = [name for name in scores.columns if name != SAMPLE]
    told = pl.when(pl.col("reason").is_not_null().all()).then(pl.col("reason").first())
    means = scores.group_by(*keys_in(scores), "metric", maintain_order=True).agg(
        value=pl.col("value").mean(),
        version=pl.format("{} mean@{}", pl.col("version").first(), pl.len()),
        answer=pl.col("answer").first(),
        reason=told,
    )
    means = means.with_columns(reason=pl.when(pl.col("value").is_null()).then(pl.coalesce("reason", pl.lit("no score")))
                               .otherwise("reason"))  # fmt: skip
    parts = [means.select(columns)]
    for task, metric in mains.items():
        own = scores.filter(pl.col("task") == task, pl.col("metric") == metric)
        if own[SAMPLE].n_unique() > 1 and own["value"].drop_nulls().is_in([0.0, 1.0]).all():
            parts.append(passes(own).select(columns))
    return pl.concat(parts)


def keys_in(scores: pl.DataFrame) -> list[str]:
    """`KEYS`, as far as a table has them: that of earlier studies has no clusters."""
    return [name for name in KEYS if name in scores.columns]


def passes(scores: pl.DataFrame) -> pl.DataFrame:
    """Rows by pass@k of scores that are 0 or 1; null where fewer than k samples are scored."""
    counts = scores.group_by(*keys_in(scores), maintain_order=True).agg(
        scored=pl.col("value").is_not_null().sum(),
        right=pl.col("value").sum(),
        version=pl.col("version").first(),
        samples=pl.len(),
    )
    most = counts["samples"].max()
    assert isinstance(most, int)
    parts = [
        counts.with_columns(
            metric=pl.lit(f"{PASS}{k}"),
            value=pl.Series(
                [
                    pass_at(k, scored, int(right)) if scored >= k else None
                    for scored, right in counts.select("scored", "right").iter_rows()
                ],
                dtype=pl.Float64,
            ),
            version=pl.format("{} pass@{}", "version", pl.lit(k)),
            answer=pl.lit(None, dtype=pl.String),
        ).with_columns(reason=pl.when(pl.col("value").is_null()).then(pl.lit(f"fewer than {k} samples are scored")))
        for k in sizes(most)
    ]
    return pl.concat(parts)
