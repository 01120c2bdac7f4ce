"""What was measured inside the models, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eval.representations.hidden_states import States
from eval.representations.similarity import highest_by_chance, similarity

SIMILARITY = {
    "model": pl.String, "measure": pl.String, "language": pl.String, "pivot": pl.String, "layer": pl.Int64,
    "value": pl.Float64, "by_chance": pl.Float64, "sentences": pl.Int64,
}  # fmt: skip
"""Columns of similarity.csv. `by_chance` is what the highest layer stays below in 95 % of random orders."""

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
