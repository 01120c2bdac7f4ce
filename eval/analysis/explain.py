"""What goes with transfer over pairs of languages: a regression whose p-values are permutation tests of languages.

Pairs share their source or their target, so they are far fewer than they look: the tests and intervals of ordinary
regression, and a bootstrap over pairs, are not valid here and none is given. MRQAP permutes languages instead, rows
and columns of the source × target matrix together, with Dekker, Krackhardt & Snijders' double semi-partialling (2007,
Psychometrika 72, 563-581); with one covariate it is Mantel's test (1967).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, permutations, product
from math import factorial, prod

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eval.analysis.long_tables import TableError, as_numbers, nested, repeated
from eval.analysis.stats import BLOCK, LEVEL, SEED, Floats, holm
from eval.analysis.transfer import FIGURES

PERMUTATIONS = 9_999
"""All are gone through where there are no more: up to seven languages that are sources and targets."""
FEWEST = 4
"""Languages in each role; three have six permutations, too few for a p-value below 0.05."""
INFLATED = 10.0
"""A variance inflation factor above which covariates are too much alike for coefficients of their own."""

BESIDE = "beside"
"""The column, where a table has it, of what else was trained on, as `transfer_matrix` writes it."""

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PairColumns:
    """Which columns of a table hold what."""

    source: str = "source"
    target: str = "target"
    transfer: str = "difference"
    group: tuple[str, ...] = ()
    """Each combination of their values is an analysis of its own."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What goes with one covariate."""

    covariate: str
    coefficient: float
    """Of the transfer, in its unit, per standard deviation of the covariate over pairs, the others held constant."""
    p: float
    """Two-sided, by permutation with double semi-partialling."""
    p_adjusted: float | None
    """Holm's over the covariates of one analysis."""
    spearman: float
    """The rank correlation of the transfer and this covariate alone."""
    p_alone: float
    """Of that correlation, by the same permutations; not adjusted."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The regression of transfer on covariates over pairs of two languages."""

    pairs: int
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    r_squared: float
    permutations: int
    exact: bool
    """Whether these are all permutations there are."""
    effects: tuple[Effect, ...]
    left_out: dict[str, list[str]]
    """By column, the pairs in which it is blank; they are no part of the analysis."""
    warnings: tuple[str, ...]


def pairs_of(table: pl.DataFrame, columns: PairColumns, covariates: Sequence[str]) -> pl.DataFrame:
    """The table with numbers for the transfer and the covariates, without targets that were trained on.

    These are pairs of a language and itself, and those whose target is the pivot in the column "beside".

    Raises TableError.
    """
    named, numbers = (columns.source, columns.target, *columns.group), (columns.transfer, *covariates)
    parts = (*named, *numbers)
    problems = [
        f"column {name!r} has two parts to play; name it once" for name in dict.fromkeys(parts) if parts.count(name) > 1
    ]
    problems += [f"no column {name!r}; there are {', '.join(table.columns)}"
                 for name in parts if name not in table.columns]  # fmt: skip
    problems += nested(table, parts)
    if problems:
        raise TableError(problems)
    table = table.with_columns(pl.col(name).cast(pl.String) for name in {*named, *(set(table.columns) & {BESIDE})})
    for name in numbers:
        table, wrong = as_numbers(table, name)
        problems += wrong
    problems += [f"column {name!r} is blank in {count} rows" for name in named if (count := table[name].null_count())]
    figures = [name for name in table.columns if name in FIGURES and name not in parts]
    problems += repeated(table.drop(figures), named, columns.transfer)
    if problems:
        raise TableError(problems)
    elsewhere = pl.col(columns.source) != pl.col(columns.target)
    if BESIDE in table.columns:
        elsewhere &= (pl.col(BESIDE) != pl.col(columns.target)).fill_null(True)
    return table.filter(elsewhere)


def explain(
    pairs: pl.DataFrame, columns: PairColumns, covariates: Sequence[str], most: int = PERMUTATIONS
) -> Explanation:
    """The regression of transfer on standardised covariates over the rows of `pairs`, as `pairs_of` gives them.

    Any pairs may be missing or have a blank. Raises TableError where there are too few languages or pairs, or
    covariates cannot be told apart.
    """
    names = (columns.transfer, *covariates)
    known = pairs.filter(pl.all_horizontal(pl.col(name).is_finite() for name in names))
    layout = Layout.of(*(known[side].cast(pl.String).to_list() for side in (columns.source, columns.target)))
    values = known.select(names).to_numpy()
    _check(layout, values, names)
    transfer, given = values[:, 0], values[:, 1:]
    standard = (given - given.mean(axis=0)) / given.std(axis=0, ddof=1)
    alike = _too_much_alike(standard, covariates)
    centred = transfer - transfer.mean()
    coefficients = np.linalg.lstsq(standard, centred, rcond=None)[0]
    residual = centred - standard @ coefficients
    moved, exact = layout.permuted(most)
    p_values = [
        layout.p_value(transfer, standard[:, at], np.delete(standard, at, axis=1), moved)
        for at in range(len(covariates))
    ]
    alone = _alone(values, layout, moved)
    return Explanation(
        pairs=len(values),
        sources=layout.sources,
        targets=layout.targets,
        r_squared=1 - float(residual @ residual) / float(centred @ centred),
        permutations=len(moved) if exact else len(moved) - 1,
        exact=exact,
        effects=tuple(
            Effect(name, float(coefficient), p, adjusted, *correlation)
            for name, coefficient, p, adjusted, correlation in zip(
                covariates, coefficients, p_values, holm(p_values), alone, strict=True
            )
        ),
        left_out=_blank(pairs, columns, covariates),
        warnings=(*alike, *_too_few(len(moved))),
    )


def _alone(values: Floats, layout: Layout, moved: Integers) -> list[tuple[float, float]]:
    """Spearman's correlation of the first column with each of the others, and its p-value."""
    from scipy.stats import rankdata  # half a second to import

    transfer, *given = rankdata(values, axis=0).T
    nothing = np.empty((len(values), 0))
    return [
        (float(np.corrcoef(transfer, ranks)[0, 1]), layout.p_value(transfer, ranks, nothing, moved)) for ranks in given
    ]


def _blank(pairs: pl.DataFrame, columns: PairColumns, covariates: Sequence[str]) -> dict[str, list[str]]:
    blanks = {
        name: pairs.filter(~pl.col(name).is_finite().fill_null(False)) for name in (columns.transfer, *covariates)
    }
    return {
        name: [f"{source} → {target}" for source, target in blank.select(columns.source, columns.target).iter_rows()]
        for name, blank in blanks.items()
        if not blank.is_empty()
    }


@dataclass(frozen=True, slots=True)
class Layout:
    """Which pairs there are, and how languages may be permuted.

    Languages that are sources and targets are permuted together, so that a pair becomes a pair and the diagonal the
    diagonal; those that are only sources change places among themselves, and so do those that are only targets. A
    source that is never a target cannot take the place of one that is: its column is not there.
    """

    roles: tuple[tuple[str, ...], ...]
    """Languages that are both, only sources, only targets; they are numbered in this order."""
    rows: Integers
    """The number of each pair's source."""
    columns: Integers
    """The number of each pair's target."""

    @classmethod
    def of(cls, sources: Sequence[str], targets: Sequence[str]) -> Layout:
        """The layout of pairs."""
        giving, taking = set(sources), set(targets)
        roles = tuple(tuple(sorted(role)) for role in (giving & taking, giving - taking, taking - giving))
        number = {language: index for index, language in enumerate(chain(*roles))}
        rows, columns = ([number[language] for language in side] for side in (sources, targets))
        return cls(roles, np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64))

    @property
    def sources(self) -> tuple[str, ...]:
        """Languages that are the source of a pair."""
        return tuple(sorted(self.roles[0] + self.roles[1]))

    @property
    def targets(self) -> tuple[str, ...]:
        """Languages that are the target of a pair."""
        return tuple(sorted(self.roles[0] + self.roles[2]))

    def permuted(self, most: int) -> tuple[Integers, bool]:
        """Permutations of the languages, one a row, the first of which changes nothing; and whether these are all.

        All of them where there are `most` or fewer, else so many at random besides the first.
        """
        return permuted([len(role) for role in self.roles], most)

    def p_value(self, transfer: Floats, covariate: Floats, others: Floats, moved: Integers) -> float:
        """The share of permutations under which a covariate goes with the transfer at least as much as unpermuted.

        What the others, shape (pairs, others), do not explain of the covariate is permuted. How it goes with the
        transfer is their partial correlation given the others, which orders permutations as its t does, and unlike
        it stays comparable where a permuted pair is not there and is left out: on random data with a quarter of the
        pairs missing the t rejects 7 % at 5 %, the correlation 4 %. A permutation that leaves it undefined counts as
        one that reaches it.
        """
        others = np.column_stack([np.ones(len(transfer)), others])
        rest = covariate - others @ np.linalg.lstsq(others, covariate, rcond=None)[0]
        position = np.full((moved.shape[1], moved.shape[1]), -1)
        position[self.rows, self.columns] = np.arange(len(rest))
        correlations: list[Floats] = []
        for start in range(0, len(moved), BLOCK):
            block = moved[start : start + BLOCK]
            at = position[block[:, self.rows], block[:, self.columns]]
            permuted = np.where(at < 0, 0.0, rest[at])
            correlations.append(_partial_correlations(transfer - transfer.mean(), permuted, others, at >= 0))
        reached = np.abs(np.concatenate(correlations))
        return float((reached >= reached[0] * (1 - 1e-9)).mean())


def permuted(sizes: Sequence[int], most: int) -> tuple[Integers, bool]:
    """Permutations of the numbers from 0, each group of so many among themselves: as `Layout.permuted`."""
    groups = [np.arange(end - size, end) for size, end in zip(sizes, np.cumsum(sizes), strict=True)]
    if prod(factorial(size) for size in sizes) <= most:
        return np.array([list(chain(*orders)) for orders in product(*map(permutations, groups))]), True
    rng = np.random.default_rng(SEED)
    drawn = [rng.permuted(np.tile(group, (most, 1)), axis=1) for group in groups]
    return np.vstack([np.concatenate(groups), np.hstack(drawn)]), False


def _partial_correlations(y: Floats, x: Floats, others: Floats, there: NDArray[np.bool_]) -> Floats:
    """Of y with each row of x, shape (permutations, pairs) and 0 where not `there`, given the others.

    By normal equations, which the Frisch-Waugh theorem reduces to those of the others. Infinite where the pairs are
    too few or the others leave nothing of x or y.
    """
    weights, width = there.astype(np.float64), others.shape[1]
    products = (others[:, :, None] * others[:, None, :]).reshape(len(y), width * width)
    inverse = np.linalg.pinv((weights @ products).reshape(-1, width, width), rcond=1e-12, hermitian=True)
    with_x, with_y = x @ others, weights @ (others * y[:, None])
    explaining_x, explaining_y = (np.einsum("pi,pij->pj", products, inverse) for products in (with_x, with_y))
    all_x, all_y = (x * x).sum(axis=1), weights @ (y * y)
    left_x, left_y = all_x - (explaining_x * with_x).sum(axis=1), all_y - (explaining_y * with_y).sum(axis=1)
    defined = (left_x > 1e-12 * all_x) & (left_y > 1e-12 * all_y) & (there.sum(axis=1) > width + 1)
    both = np.sqrt(np.where(defined, left_x * left_y, 1.0))
    return np.where(defined, (x @ y - (explaining_x * with_y).sum(axis=1)) / both, np.inf)


def _check(layout: Layout, values: Floats, names: Sequence[str]) -> None:
    """Raises TableError for too few languages or pairs, and columns that are the same in every pair."""
    problems = [
        f"{len(languages)} {role} ({', '.join(languages) or 'none'}) in pairs without blanks; "
        f"permuting them needs {FEWEST} at least"
        for role, languages in (("sources", layout.sources), ("targets", layout.targets))
        if len(languages) < FEWEST
    ]
    if not problems and len(values) < len(names) + 2:
        problems.append(
            f"{len(values)} pairs without blanks; {len(names) - 1} covariates need {len(names) + 2} at least"
        )
    if not problems:
        problems = [f"column {name!r} is {column[0]:g} in every pair: there is nothing to relate"
                    for name, column in zip(names, values.T, strict=True) if np.ptp(column) == 0]  # fmt: skip
    if problems:
        raise TableError(problems)


def _too_much_alike(standard: Floats, names: Sequence[str]) -> list[str]:
    """A warning of covariates with large variance inflation. Raises TableError for some that give one another."""
    _, sizes, directions = np.linalg.svd(standard, full_matrices=False)
    nothing = directions[sizes < 1e-8 * sizes[0]]
    if len(nothing):
        given = [name for name, part in zip(names, np.abs(nothing).max(axis=0), strict=True) if part > 1e-6]
        raise TableError([f"{', '.join(given)} are linear combinations of one another; leave one out"])
    factors = np.diag(np.linalg.inv(np.atleast_2d(np.corrcoef(standard, rowvar=False))))
    large = [f"{name} {factor:.0f}" for name, factor in zip(names, factors, strict=True) if factor > INFLATED]
    return (
        [f"covariates much alike (variance inflation {', '.join(large)}): coefficients say little, see each alone"]
        if large
        else []
    )


def _too_few(permuted: int) -> list[str]:
    if 1 / permuted <= LEVEL:
        return []
    return [f"with {permuted} permutations no p-value is below {1 / permuted:.2g}"]
