"""Scores after each of several trainings in order: the matrix of stages and languages, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from eval.analysis.groups import Kind
from eval.analysis.orders import Course, over_courses
from eval.analysis.panel import Panel
from eval.analysis.stats import means_of


@dataclass(frozen=True, slots=True)
class Chain:
    """Stages that were trained one after another, each with the cell that it came to."""

    name: str
    """What sets it apart from other chains: its values on the axes of the grid."""
    stages: tuple[str, ...]
    cells: tuple[str, ...]
    base: str | None
    """What the model before all of them is called."""
    by_language: bool
    """Whether the stages are called by the languages that they train on."""
    order: str = ""
    """What its order is called, where there are several."""
    group: str = ""
    """Its values on the axes but those of orders and seeds."""
    alone: tuple[str, ...] = ()
    """The cells that were trained on each of the languages alone, in the order of the stages; empty where one lacks."""


STAGE_SCHEMA = {
    "chain": pl.String, "task": pl.String, "metric": pl.String, "place": pl.Int64, "stage": pl.String,
    "cell": pl.String, "language": pl.String, "mean": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "scored": pl.Int64,
}  # fmt: skip
CONTINUAL_SCHEMA = {
    "chain": pl.String, "task": pl.String, "metric": pl.String, "measure": pl.String, "estimate": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "n": pl.Int64,
}  # fmt: skip


def stage_matrix(summary: pl.DataFrame, chains: Sequence[Chain]) -> pl.DataFrame:
    """R[i, j], the score on language j after stage i, of every chain and task by its main metric.

    Place 0 is the model before the first stage, where it was tested. The figures are those of the summary.
    """
    placed = [
        (chain.name, place, stage, cell)
        for chain in chains
        for place, (stage, cell) in enumerate(
            [*([("", chain.base)] if chain.base else []), *zip(chain.stages, chain.cells, strict=True)],
            start=0 if chain.base else 1,
        )
    ]
    stages = pl.DataFrame(placed, schema=["chain", "place", "stage", "cell"], orient="row")
    if stages.is_empty():
        return pl.DataFrame(schema=STAGE_SCHEMA)
    scores = summary.filter(pl.col("main") & (pl.col("kind") == Kind.LANGUAGE)).rename({"group": "language"})
    return stages.join(scores, on="cell", maintain_order="left_right").select(
        pl.col(name).cast(kind) for name, kind in STAGE_SCHEMA.items()
    )


def continual_table(panels: Sequence[Panel], chains: Sequence[Chain]) -> pl.DataFrame:
    """The metrics of continual training (see `eval.analysis.dynamics.continual`) of chains with a stage per language.

    Of each chain, and of those together that differ in order or seed alone. Zero-shot forward transfer is from the base
    model's own scores, where the authors take an untrained model's. Transfer is from cells that were trained on a
    language alone, where the study has them.
    """
    by_language = [chain for chain in chains if chain.by_language]
    named = {chain.name: [chain] for chain in by_language}
    for chain in by_language:
        alike = [other for other in by_language if other.group == chain.group]
        if len(alike) > 1:
            named[", ".join(filter(None, (chain.group, f"mean of {len(alike)}")))] = alike
    rows = [
        {"chain": name, "task": panel.task, "metric": panel.metric, "measure": measure,
         "estimate": found.mean, "low": found.low, "high": found.high, "n": found.n}
        for panel in panels
        for name, together in named.items()
        if all({*chain.cells} <= {*panel.runs} and {*chain.stages} <= {*panel.languages} for chain in together)
        for with_alone in [all(chain.alone and {*chain.alone} <= {*panel.runs} for chain in together)]
        for measure, found in over_courses(panel, [_course(panel, chain, with_alone) for chain in together]).items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=CONTINUAL_SCHEMA)


def _course(panel: Panel, chain: Chain, with_alone: bool) -> Course:
    baselines: dict[str, Sequence[float] | None] = {"random": _scores_of(panel, chain.base, chain.stages)}
    if with_alone:
        baselines["alone"] = means_of(panel.of(chain.alone, chain.stages).transpose(1, 0, 2)).diagonal().tolist()
    return Course(chain.order, chain.cells, chain.stages, baselines)


def _scores_of(panel: Panel, cell: str | None, languages: Sequence[str]) -> list[float] | None:
    """A model's score in each language; None where one is missing."""
    if cell is None or cell not in panel.runs:
        return None
    means = means_of(panel.of([cell], languages).transpose(1, 0, 2))[0]
    return None if np.isnan(means).any() else means.tolist()
