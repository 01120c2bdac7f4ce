"""Scores as arrays: one task by one metric, all runs and languages over the same items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eval.analysis.stats import Codes, Floats, bootstrap_means
from eval.scorers.metrics import metric_of

CLUSTER = "cluster"
"""The column of a table of scores that names what items have in common: a template, an article, a conversation."""


@dataclass(frozen=True)
class Panel:
    """Scores of shape (runs, items, languages), NaN where there is none.

    Languages whose items are translations of each other share rows; others have rows of their own.
    """

    task: str
    metric: str
    runs: tuple[str, ...]
    languages: tuple[str, ...]
    values: Floats
    clusters: Codes | None = None
    """The number of each item's cluster, such as its template, where the scores name one."""

    @cached_property
    def replicates(self) -> Floats:
        """Bootstrap means of every run and language, items resampled together: (replicates, runs, languages)."""
        return bootstrap_means(self.values)

    @cached_property
    def graded(self) -> bool:
        """Whether scores may lie between the worst and the best: by the metric's name, or because some do."""
        metric = metric_of(self.metric)
        return metric.graded or not np.isin(self.values[~np.isnan(self.values)], metric.ends).all()

    def of(self, runs: Sequence[str], languages: Sequence[str]) -> Floats:
        """The scores of some runs in some languages."""
        return self.values[np.ix_(self._places(runs), range(self.values.shape[1]), self._columns(languages))]

    def replicates_of(self, runs: Sequence[str], languages: Sequence[str]) -> Floats:
        """The bootstrap means of some runs in some languages: (replicates, runs, languages)."""
        return self.replicates[np.ix_(range(len(self.replicates)), self._places(runs), self._columns(languages))]

    def _places(self, runs: Iterable[str]) -> list[int]:
        return [self.runs.index(run) for run in runs]

    def _columns(self, languages: Iterable[str]) -> list[int]:
        return [self.languages.index(language) for language in languages]


def panels_of(scores: pl.DataFrame, metrics: Sequence[str] | None = None) -> Iterator[Panel]:
    """A panel for each task and metric in their order, of a table of scores as evaluation writes it.

    Several examples of one item in one language count as one score, their mean.
    """
    chosen = scores if metrics is None else scores.filter(pl.col("metric").is_in(list(metrics)))
    for (task, metric), part in chosen.group_by(["task", "metric"], maintain_order=True):
        yield panel_of(str(task), str(metric), part)


def panel_of(task: str, metric: str, part: pl.DataFrame) -> Panel:
    """The panel of one task and metric."""
    runs, languages, items = (part[name].unique(maintain_order=True) for name in ("cell", "language", "item"))
    scored = part.filter(pl.col("value").is_not_null() & pl.col("value").is_not_nan())
    places = tuple(
        codes(scored[name], known) for name, known in (("cell", runs), ("item", items), ("language", languages))
    )
    shape = (len(runs), len(items), len(languages))
    totals, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(totals, places, scored["value"].to_numpy())
    np.add.at(counts, places, 1.0)
    with np.errstate(invalid="ignore"):
        values = totals / counts
    return Panel(task, metric, tuple(map(str, runs)), tuple(map(str, languages)), values, clusters_of(part, items))


def clusters_of(part: pl.DataFrame, items: pl.Series) -> Codes | None:
    """The number of each item's cluster; None where there is no column `cluster`. An item without one is its own."""
    if CLUSTER not in part.columns or part[CLUSTER].null_count() == part.height:
        return None
    first = part.group_by("item", maintain_order=True).agg(pl.col(CLUSTER).drop_nulls().first())
    named = pl.DataFrame({"item": items}).join(first, on="item", how="left", maintain_order="left")
    alone = pl.format("item {}", pl.col("item").cast(pl.String))
    names = named.select(pl.coalesce(pl.format("cluster {}", pl.col(CLUSTER).cast(pl.String)), alone)).to_series()
    return codes(names, names.unique(maintain_order=True))


def codes(column: pl.Series, known: pl.Series) -> NDArray[np.int64]:
    """The place of each entry among the known ones."""
    numbered = pl.DataFrame({"key": known, "code": np.arange(len(known))})
    return pl.DataFrame({"key": column}).join(numbered, on="key", how="left", maintain_order="left")["code"].to_numpy()
