"""What was measured inside the models, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eval.representations.hidden_states import States
from eval.representations.similarity import highest_by_chance, similarity

SIMILARITY = {
    "model": pl.String, "measure": pl.String, "language": pl.String, "pivot": pl.String, "layer": pl.Int64,
    "value": pl.Float64, "by_chance": pl.Float64, "sentences": pl.Int64,
}  # fmt: skip
"""Columns of a model's part of similarity.csv.

`by_chance` is what the highest layer stays below in 95 % of random orders."""

PAIRS = {
    "model": pl.String, "measure": pl.String, "one": pl.String, "other": pl.String, "mean": pl.Float64,
    "highest": pl.Float64, "layers": pl.Int64, "sentences": pl.Int64,
}  # fmt: skip
"""Columns of similarity_pairs.csv: of every pair of languages the mean and the highest of all layers."""

LENS = {
    "model": pl.String, "source": pl.String, "target": pl.String, "layer": pl.Int64, "target_share": pl.Float64,
    "pivot_share": pl.Float64, "words": pl.Int64,
}  # fmt: skip
"""Columns of lens.csv: the mean shares of a layer, over words translated from the source into the target."""


def lens_rows(model: str, source: str, target: str, shares: NDArray[np.float64]) -> pl.DataFrame:
    """The means over words of `language_shares`, by layer."""
    rows: list[dict[str, object]] = [
        {"model": model, "source": source, "target": target, "layer": layer, "target_share": of_target,
         "pivot_share": of_pivot, "words": shares.shape[1]}
        for layer, (of_target, of_pivot) in enumerate(shares.mean(axis=1).tolist())
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=LENS)


def pair_rows(model: str, states: Mapping[str, States], measures: Sequence[str]) -> pl.DataFrame:
    """Every measure of every pair of languages over the layers; figures that are not finite are left out."""
    rows: list[dict[str, object]] = []
    for measure in measures:
        for one, other in combinations(states, 2):
            pair = np.asarray(states[one]), np.asarray(states[other])
            values = [value for value in similarity(measure, *pair) if np.isfinite(value)]
            if values:
                rows.append({"model": model, "measure": measure, "one": one, "other": other,
                             "mean": float(np.mean(values)), "highest": max(values), "layers": len(values),
                             "sentences": pair[0].shape[1]})  # fmt: skip
    return pl.DataFrame(rows, schema=PAIRS)


def with_changes(table: pl.DataFrame, bases: Mapping[str, str]) -> pl.DataFrame:
    """The rows of all models with what each value is above its base model's; `bases` are these by model.

    Blank for a base model, and where it was not measured.
    """
    places = ("measure", "language", "layer")
    before = table.select(pl.col("model").alias("base"), *places, pl.col("value").alias("before"))
    named = table.with_columns(
        pl.col("model").replace_strict(bases, default=None, return_dtype=pl.String).alias("base")
    )
    joined = named.join(before, on=["base", *places], how="left", maintain_order="left")
    change = pl.when(pl.col("base") != pl.col("model")).then(pl.col("value") - pl.col("before"))
    return joined.with_columns(change.alias("change")).drop("before")


def similarity_rows(model: str, states: Mapping[str, States], pivot: str, measures: Sequence[str]) -> pl.DataFrame:
    """Every measure of the pivot with every other language, by layer. Figures that are not finite are blank."""
    tables: list[pl.DataFrame] = []
    for measure in measures:
        for language, of_language in states.items():
            if language == pivot:
                continue
            pair = (np.asarray(states[pivot]), np.asarray(of_language))
            values = similarity(measure, *pair)
            rows = {
                "model": model, "measure": measure, "language": language, "pivot": pivot, "layer": range(len(values)),
                "value": [value if np.isfinite(value) else None for value in values],
                "by_chance": highest_by_chance(measure, *pair), "sentences": pair[0].shape[1],
            }  # fmt: skip
            tables.append(pl.DataFrame(rows, schema=SIMILARITY))
    return pl.concat(tables)
