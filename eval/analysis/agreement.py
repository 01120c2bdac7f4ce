"""Whether models agree on which languages give to others, and which get from them (arXiv 2511.13368)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial, sqrt

import numpy as np
import polars as pl

from eval.analysis.explain import PERMUTATIONS, PairColumns, permuted
from eval.analysis.long_tables import TableError
from eval.analysis.stats import Floats

FEWEST = 3
"""Languages whose order two models can agree on."""
DECIMALS = 9
"""Means that are equal up to here tie."""


@dataclass(frozen=True, slots=True)
class Tau:
    """Kendall's τ-b of two models' rankings of languages."""

    one: str
    other: str
    languages: int
    tau: float | None
    """None where one of them has all languages alike."""
    p: float | None
    """Two-sided, for rankings that have nothing to do with each other, by permutations of the languages."""
    least_p: float
    """The smallest that so few languages allow."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Languages by a mean difference, model by model."""

    means: dict[str, dict[str, float]]
    """Language → model → mean, the language with the highest mean over models first."""
    tau: float | None
    """The mean of τ-b over pairs of models."""
    between: tuple[Tau, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far models agree, over the pairs of languages that all of them have."""

    models: tuple[str, ...]
    pairs: int
    left_out: int
    """Pairs that a model lacks, or has a blank for."""
    donors: Ranking
    recipients: Ranking


def agreement(pairs: pl.DataFrame, columns: PairColumns, across: str) -> Agreement:
    """Of the rows of `pairs`, as `explain.pairs_of` gives them; models are told apart by the column `across`.

    Raises TableError for a single model, and where they have no three languages in common in either role.
    """
    sides = [columns.source, columns.target]
    known = pairs.filter(pl.col(columns.transfer).is_finite())
    models = tuple(str(model) for model in pairs[across].unique(maintain_order=True))
    if len(models) < 2:
        raise TableError([f"column {across!r} is {' '.join(models)} in every row; agreement takes two at least"])
    common = known.filter(pl.col(across).n_unique().over(sides) == len(models))
    donors, recipients = (ranking(common, side, columns.transfer, across) for side in sides)
    if max(len(donors.means), len(recipients.means)) < FEWEST:
        few = f"{len(donors.means)} sources and {len(recipients.means)} targets"
        raise TableError([f"{few} in pairs that {' and '.join(models)} have in common; it takes {FEWEST} at least"])
    there = common.select(sides).unique().height
    return Agreement(models, there, pairs.select(sides).unique().height - there, donors, recipients)


def ranking(pairs: pl.DataFrame, by: str, transfer: str, across: str) -> Ranking:
    """The means of each language in one role, and how alike models rank them."""
    grouped = pairs.group_by(by, across, maintain_order=True).agg(pl.col(transfer).mean())
    means: dict[str, dict[str, float]] = {}
    for language, model, mean in grouped.iter_rows():
        means.setdefault(str(language), {})[str(model)] = mean
    means = dict(sorted(means.items(), key=lambda item: -float(np.mean([*item[1].values()]))))
    models = [str(model) for model in pairs[across].unique(maintain_order=True)]
    between = tuple(rank_correlations({model: {language: of_models[model] for language, of_models in means.items()}
                                       for model in models}))  # fmt: skip
    known = [pair.tau for pair in between if pair.tau is not None]
    return Ranking(means, float(np.mean(known)) if known else None, between)


def rank_correlations(rankings: Mapping[str, Mapping[str, float]]) -> Sequence[Tau]:
    """Kendall's τ-b of each pair of models, each a mapping from the same languages to a figure; none for under 3."""
    taus: list[Tau] = []
    for (one, first), (other, second) in combinations(rankings.items(), 2):
        if len(first) >= FEWEST:
            above = [_above(np.array([ranking[language] for language in first])) for ranking in (first, second)]
            taus.append(Tau(one, other, len(first), *_tau(*above), 2 / factorial(len(first))))
    return taus


def _above(figures: Floats) -> Floats:
    """1 where a row's figure is above a column's, -1 where below; figures that only rounding tells apart are equal."""
    rounded = figures.round(DECIMALS)
    return np.sign(rounded[:, None] - rounded[None, :])


def _tau(one: Floats, other: Floats) -> tuple[float | None, float | None]:
    """τ-b of two such tables, and the share of permutations of one that go with the other at least as much.

    scipy's p-value with ties is that of a normal distribution, which for few languages is far too small.
    """
    size = sqrt((one**2).sum() * (other**2).sum())
    if not size:
        return None, None
    moved, _ = permuted([len(one)], PERMUTATIONS)
    together = np.abs([(one[np.ix_(order, order)] * other).sum() for order in moved])
    observed = float((one * other).sum())
    return observed / size, float((together >= abs(observed) - 0.5).mean())
