"""A regression of scores over instances, each a run tested in one language, and how well it predicts what it never saw.

Instances of a run share its weights, and those of a language its items, so they are not independent: intervals are
robust to clusters of both (Cameron, Gelbach & Miller 2011, JBES 29). A random split of the instances leaves every
language and model on both sides (arXiv 2604.13286 reports R² of such a split); leaving out one language or one model
at a time tells whether the regression holds for another one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import stdtrit

from eval.analysis.long_tables import TableError, as_numbers, nested
from eval.analysis.stats import LEVEL, SEED, Codes, Floats

SPLITS, TEST_SHARE = 200, 0.3
"""Random splits, and the share of instances that each is tested on."""
INTERCEPT = "intercept"


@dataclass(frozen=True, slots=True)
class InstanceColumns:
    """Which columns of a table hold what."""

    score: str = "score"
    target: str = "target"
    """The language tested."""
    cell: str = "cell"
    """What a run is called."""
    model: str = "model"
    """The base model; where the table has no such column, or one model alone, none is left out."""
    group: tuple[str, ...] = ()
    """Each combination of their values is an analysis of its own."""


@dataclass(frozen=True, slots=True)
class Coefficient:
    """What goes with a covariate, the others held constant, in units of the score per unit of the covariate."""

    covariate: str
    """A number's column; or of a column of words "column: word", against the word that comes first."""
    coefficient: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Regression:
    """Ordinary least squares over instances."""

    instances: int
    cells: int
    languages: int
    models: int
    coefficients: tuple[Coefficient, ...]
    r_squared: float
    """Of the instances that it was fitted to."""
    r_squared_random: float
    """Of 30 % of the instances, drawn at random, by the others: the mean over 200 splits."""
    r_squared_language: float
    """Of each language by the others. Out of sample R² is 1 − Σ(y − ŷ)² / Σ(y − ȳ)², where ȳ is the mean of what the
    regression was fitted to, and is below 0 where that mean predicts better."""
    r_squared_model: float | None
    """Of each model by the others."""
    left_out: dict[str, int] = field(default_factory=dict[str, int])
    """By column, how many instances have a blank; they are no part of the analysis."""


def instances_of(table: pl.DataFrame, columns: InstanceColumns, covariates: Sequence[str]) -> pl.DataFrame:
    """The table with numbers for the score and for covariates that are not words. Raises TableError."""
    named = (columns.target, columns.cell, *columns.group)
    parts = (columns.score, *named, *covariates)
    problems = [f"column {name!r} has two parts to play; name it once"
                for name in dict.fromkeys(parts) if parts.count(name) > 1]  # fmt: skip
    problems += [f"no column {name!r}; there are {', '.join(table.columns)}"
                 for name in parts if name not in table.columns]  # fmt: skip
    problems += nested(table, parts)
    if problems:
        raise TableError(problems)
    problems += [f"column {name!r} is blank in {count} rows" for name in named if (count := table[name].null_count())]
    for name in (columns.score, *(name for name in covariates if not holds_words(table[name]))):
        table, wrong = as_numbers(table, name)
        problems += wrong
    if problems:
        raise TableError(problems)
    return table


def holds_words(column: pl.Series) -> bool:
    """Whether a column holds texts none of which is a number."""
    return column.dtype == pl.String and column.cast(pl.Float64, strict=False).null_count() == len(column)


def regress(table: pl.DataFrame, columns: InstanceColumns, covariates: Sequence[str]) -> Regression:
    """The regression of the score on covariates over rows as `instances_of` gives them. Raises TableError."""
    needed = (columns.score, *covariates)
    blank = {name: table[name].null_count() for name in needed if table[name].null_count()}
    known = table.drop_nulls(needed)
    names, design = design_of(known, covariates)
    score = known[columns.score].to_numpy().astype(np.float64)
    models = known[columns.model] if columns.model in known.columns else pl.Series([""] * len(known))
    cells = pl.select(pl.concat_str(models.cast(pl.String).fill_null(""), known[columns.cell].cast(pl.String),
                                    separator="\n")).to_series()  # fmt: skip
    languages, runs, bases = (codes_of(column) for column in (known[columns.target], cells, models))
    check(design, names, score, languages, runs)
    coefficients = np.linalg.lstsq(design, score, rcond=None)[0]
    residual = score - design @ coefficients
    errors = standard_errors(design, residual, languages, runs)
    reach = float(stdtrit(min(languages.max(), runs.max()), 1 - LEVEL / 2))
    return Regression(
        instances=len(known),
        cells=int(runs.max()) + 1,
        languages=int(languages.max()) + 1,
        models=int(bases.max()) + 1,
        coefficients=tuple(
            Coefficient(name, float(value), float(value - reach * error), float(value + reach * error))
            if error > 0 else Coefficient(name, float(value), None, None)
            for name, value, error in zip(names, coefficients, errors, strict=True)
        ),
        r_squared=1 - float(residual @ residual) / float(((score - score.mean()) ** 2).sum()),
        r_squared_random=predicted(design, score, random_splits(len(score))),
        r_squared_language=predicted(design, score, one_left_out(languages)),
        r_squared_model=predicted(design, score, one_left_out(bases)) if bases.max() > 0 else None,
        left_out=blank,
    )  # fmt: skip


def design_of(table: pl.DataFrame, covariates: Sequence[str]) -> tuple[list[str], Floats]:
    """The intercept and a column for each number, or for each word of a column but the first."""
    names, columns = [INTERCEPT], [np.ones(len(table))]
    for name in covariates:
        if table[name].dtype == pl.String:
            words = table[name].unique().sort().to_list()[1:]
            names += [f"{name}: {word}" for word in words]
            columns += [(table[name] == word).to_numpy().astype(np.float64) for word in words]
        else:
            names.append(name)
            columns.append(table[name].to_numpy().astype(np.float64))
    return names, np.column_stack(columns)


def codes_of(column: pl.Series) -> Codes:
    """The number of each entry among the different ones."""
    return np.unique(column.cast(pl.String).fill_null("").to_numpy(), return_inverse=True)[1].astype(np.int64)


def check(design: Floats, names: Sequence[str], score: Floats, languages: Codes, cells: Codes) -> None:
    """Raises TableError for too few instances, and covariates that cannot be told apart."""
    problems: list[str] = []
    if len(score) < len(names) + 2:
        problems.append(f"{len(score)} instances without blanks; {len(names) - 1} covariates need {len(names) + 2}")
    elif np.ptp(score) == 0:
        problems.append(f"the score is {score[0]:g} in every instance: there is nothing to explain")
    else:
        alike = [name for place, name in enumerate(names[1:], 1) if np.ptp(design[:, place]) == 0]
        problems += [f"column {name!r} is the same in every instance: there is nothing to relate" for name in alike]
        if not alike and np.linalg.matrix_rank(design) < len(names):
            problems.append(f"{', '.join(names[1:])} are linear combinations of one another; leave one out")
    if not problems:
        problems += [f"all instances are of one {what}, so that nothing is known of another"
                     for what, codes in (("language", languages), ("cell", cells)) if codes.max() == 0]  # fmt: skip
    if problems:
        raise TableError(problems)


def standard_errors(design: Floats, residual: Floats, one: Codes, other: Codes) -> Floats:
    """Of the coefficients, robust to two ways of clustering (Cameron, Gelbach & Miller 2011, equation 2.11).

    V = V(one) + V(other) − V(both), each with the usual G / (G − 1) · (N − 1) / (N − K). It need not be positive in
    small samples; no variance is less than that of either way alone.
    """
    inverse: Floats = np.linalg.inv(design.T @ design).astype(np.float64)
    both = np.unique(np.column_stack([one, other]), axis=0, return_inverse=True)[1].ravel()
    variances = [_clustered(design, residual, codes, inverse) for codes in (one, other, both)]
    two_way = variances[0] + variances[1] - variances[2]
    return np.sqrt(np.maximum.reduce([two_way, *variances[:2]]))


def _clustered(design: Floats, residual: Floats, codes: NDArray[np.int64], inverse: Floats) -> Floats:
    """The variances of the coefficients, robust to one way of clustering."""
    groups, (count, width) = int(codes.max()) + 1, design.shape
    sums = np.zeros((groups, width))
    np.add.at(sums, codes, design * residual[:, None])
    scale = groups / (groups - 1) * (count - 1) / (count - width)
    return scale * np.diag(inverse @ (sums.T @ sums) @ inverse)


def random_splits(count: int) -> Iterator[NDArray[np.bool_]]:
    """Which instances a split is tested on."""
    drawn = np.random.default_rng(SEED)
    for _ in range(SPLITS):
        yield np.isin(np.arange(count), drawn.permutation(count)[: max(1, round(TEST_SHARE * count))])


def one_left_out(codes: Codes) -> Iterator[NDArray[np.bool_]]:
    """The instances of one group after another."""
    return (codes == code for code in range(int(codes.max()) + 1))


def predicted(design: Floats, score: Floats, tests: Iterator[NDArray[np.bool_]]) -> float:
    """R² of what the regression was not fitted to, all tests taken together."""
    missed = total = 0.0
    for test in tests:
        coefficients = np.linalg.lstsq(design[~test], score[~test], rcond=None)[0]
        missed += float(((score[test] - design[test] @ coefficients) ** 2).sum())
        total += float(((score[test] - score[~test].mean()) ** 2).sum())
    return 1 - missed / total if total > 0 else math.nan
