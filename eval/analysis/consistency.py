"""Cross-lingual consistency: whether a model gives an item the same answer in every language, right or wrong.

C_s is the mean over all subsets of s languages of the share of items whose s answers are equal, and AC3_s the harmonic
mean of accuracy and C_s (SeaEval, arXiv 2309.04766; CrossIn, arXiv 2404.11932). Numbers are compared as exact
fractions, and options by their index or letter. Other texts are not comparable across languages.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eval.analysis.design import Design
from eval.analysis.panel import clusters_of, codes
from eval.analysis.stats import RARE, Codes, Estimate, Floats, clustered, contributions, rare_share, spread, wilson
from eval.scorers.main_metric import main_metrics
from eval.scorers.metrics import metric_of

NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+|/[1-9][0-9]*)?")
OPTION = re.compile(r"option [0-9]+|\(?[A-J]\)?")
UNREAD = -1


@dataclass(frozen=True, slots=True)
class Consistency:
    """The tables of a study; both are empty where no task has items in several languages with comparable answers."""

    sizes: pl.DataFrame
    """Per setting, task and number of languages s: accuracy, C_s, C_s where wrong, chance, and AC3_s."""
    pairs: pl.DataFrame
    """Per setting, task and pair of languages: how often both answers are equal."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered in one task to the items that all its languages have: arrays (runs, items, languages)."""

    task: str
    runs: tuple[str, ...]
    languages: tuple[str, ...]
    values: NDArray[np.int64]
    """The number of each answer, the same for equal ones; `UNREAD` where no comparable answer was read."""
    right: NDArray[np.bool_]
    clusters: Codes | None
    """The number of each item's cluster, such as its template, where the scores name one."""

    def of(self, runs: Sequence[str]) -> Answers:
        """The answers of some runs."""
        at = [self.runs.index(run) for run in runs]
        return Answers(self.task, tuple(runs), self.languages, self.values[at], self.right[at], self.clusters)

    @property
    def read(self) -> NDArray[np.bool_]:
        """Whether an item was answered in every language: (runs, items)."""
        return (self.values != UNREAD).all(axis=2)


def consistency(scores: pl.DataFrame, design: Design) -> Consistency:
    """The consistency of every setting in every task whose answers can be compared."""
    sizes: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    for answers in answers_of(scores):
        for name in [*design.untuned, *design.settings, *design.outside]:
            if runs := [run for run in design.runs(name) if run in answers.runs]:
                place = {"cell": name, "runs": len(runs), "task": answers.task}
                sizes += [place | row for row in size_rows(answers.of(runs))]
                pairs += [place | row for row in pair_rows(answers.of(runs))]
    return Consistency(*(pl.DataFrame(rows, infer_schema_length=None) for rows in (sizes, pairs)))


def answers_of(scores: pl.DataFrame) -> Iterator[Answers]:
    """The answers in each task that is about right or wrong and has items in common over its languages."""
    for task, metric in main_metrics(scores).items():
        rows = scores.filter(pl.col("task") == task, pl.col("metric") == metric)
        parallel = in_all_languages(rows)
        rows = rows.filter(pl.col("item").is_in(parallel.implode()))
        single = not rows.select("cell", "item", "language").is_duplicated().any()
        if len(parallel) > 1 and single and not metric_of(metric).graded and "answer" in rows.columns:
            answers = answers_in(task, rows)
            if len(answers.languages) > 1 and answers.read.any():
                yield answers


def in_all_languages(rows: pl.DataFrame) -> pl.Series:
    """The items that all languages have."""
    languages = rows["language"].n_unique()
    counts = rows.group_by("item", maintain_order=True).agg(pl.col("language").n_unique())
    return counts.filter(pl.col("language") == languages)["item"]


def answers_in(task: str, rows: pl.DataFrame) -> Answers:
    """The answers of one task as arrays."""
    runs, items, languages = (rows[name].unique(maintain_order=True) for name in ("cell", "item", "language"))
    known: dict[Fraction | str, int] = {}
    read = {answer: comparable(answer) for answer in rows["answer"].unique()}
    numbers = {answer: known.setdefault(value, len(known)) for answer, value in read.items() if value is not None}
    places = tuple(
        codes(rows[name], there) for name, there in (("cell", runs), ("item", items), ("language", languages))
    )
    shape = (len(runs), len(items), len(languages))
    values, right = np.full(shape, UNREAD, dtype=np.int64), np.zeros(shape, dtype=np.bool_)
    values[places] = [numbers.get(answer, UNREAD) for answer in rows["answer"]]
    right[places] = (rows["value"] == 1.0).fill_null(False).to_numpy()
    return Answers(task, tuple(runs), tuple(languages), values, right, clusters_of(rows, items))


def comparable(answer: str | None) -> Fraction | str | None:
    """What an answer is in any language: a number or an option; None for other texts."""
    if answer is None:
        return None
    if NUMBER.fullmatch(answer):
        return Fraction(answer)
    return answer.strip("()") if OPTION.fullmatch(answer) else None


def size_rows(answers: Answers) -> Iterator[dict[str, Any]]:
    """The consistency of one setting's answers over s = 2 … L of its L languages.

    An item without a comparable answer in some language is left out and counted. Accuracy is of the same items.
    """
    read = answers.read
    wrong = read & ~answers.right.all(axis=2)
    share_right = np.where(read, answers.right.mean(axis=2), np.nan)
    languages = len(answers.languages)
    accuracy = over_items(share_right, answers.clusters, languages)
    for size in range(2, languages + 1):
        equal, subsets = np.where(read, agreement(answers.values, size), np.nan), math.comb(languages, size)
        figure = over_items(equal, answers.clusters, subsets)
        where_wrong = over_items(np.where(wrong, equal, np.nan), answers.clusters, subsets)
        yield {
            "languages": " ".join(answers.languages),
            "s": size,
            **named("accuracy", accuracy),
            **named("consistency", figure),
            **named("where_wrong", where_wrong),
            "chance": chance(answers, size),
            **named("ac3", ac3(share_right, equal, answers.clusters, languages)),
            "items": figure.n,
            "items_wrong": where_wrong.n,
            "unscored": read.size - figure.n,
        }


def pair_rows(answers: Answers) -> Iterator[dict[str, Any]]:
    """How often the answers in two languages are equal, of the items that have one in both."""
    for one, other in combinations(range(len(answers.languages)), 2):
        both = answers.values[:, :, [one, other]]
        read = (both != UNREAD).all(axis=2)
        figure = over_items(np.where(read, both[:, :, 0] == both[:, :, 1], np.nan), answers.clusters)
        names = {"one": answers.languages[one], "other": answers.languages[other]}
        yield names | named("consistency", figure) | {"items": figure.n, "unscored": read.size - figure.n}


def named(name: str, figure: Estimate) -> dict[str, float | None]:
    """A figure and the ends of its interval as columns."""
    return {name: figure.mean, f"{name}_low": figure.low, f"{name}_high": figure.high}


def agreement(values: NDArray[np.int64], size: int) -> Floats:
    """The share of subsets of so many languages whose answers to an item are all equal: (…, languages) to (…).

    Σ_v C(n_v, s) / C(L, s), where n_v of the L languages answer v. Each language stands for C(n_v, s) / n_v.
    """
    languages = values.shape[-1]
    same = (values[..., :, None] == values[..., None, :]).sum(axis=-1)
    of_count = np.array([0.0, *(math.comb(count, size) / count for count in range(1, languages + 1))])
    return of_count[same].sum(axis=-1) / math.comb(languages, size)


def chance(answers: Answers, size: int) -> float | None:
    """C_s of the same answers in each language, given to its items at random: the mean over all such permutations.

    An item's answers are then independent, so that Σ_v Π_l p_l(v) is the chance that a subset of languages agrees,
    where p_l(v) is the share of v among the answers in l. Σ over subsets of the products is an elementary symmetric
    polynomial.
    """
    of_runs: list[float] = []
    for values, read in zip(answers.values, answers.read, strict=True):
        if read.any():
            _, numbers = np.unique(values[read], return_inverse=True)
            numbers = numbers.reshape(-1, len(answers.languages))
            shares = [np.bincount(column, minlength=numbers.max() + 1) / len(numbers) for column in numbers.T]
            products = [np.ones_like(shares[0]), *(np.zeros_like(shares[0]) for _ in range(size))]
            for share in shares:
                for degree in range(size, 0, -1):
                    products[degree] = products[degree] + products[degree - 1] * share
            of_runs.append(float(products[size].sum()) / math.comb(len(shares), size))
    return sum(of_runs) / len(of_runs) if of_runs else None


def ac3(right: Floats, equal: Floats, clusters: Codes | None, parts: int) -> Estimate:
    """The harmonic mean 2 · Acc · C_s / (Acc + C_s), 0 where both are, with the interval of its linearisation.

    `parts` as for `over_items`.
    """
    accuracy, consistent = (over_items(values, None) for values in (right, equal))
    if accuracy.mean is None or consistent.mean is None:
        return Estimate(0, None, None, None)
    total = accuracy.mean + consistent.mean
    if total == 0:
        return Estimate(accuracy.n, 0.0, None, None)
    mean = 2 * accuracy.mean * consistent.mean / total
    slopes = 2 * (consistent.mean / total) ** 2, 2 * (accuracy.mean / total) ** 2
    linear = mean + slopes[0] * (right - accuracy.mean) + slopes[1] * (equal - consistent.mean)
    return over_items(linear, clusters, parts)


def over_items(values: Floats, clusters: Codes | None, parts: int = 1) -> Estimate:
    """The mean of figures of items between 0 and 1, (runs, items) and NaN where there is none, with its 95 % interval.

    Over items, or their clusters, and runs: by t (see `spread`); near 0 and 1 by `rare_share`, at them Wilson's.
    `parts` is how many answers, or subsets of them, an item's figure is the mean of.
    """
    there = ~np.isnan(values)
    n, rows = int(there.sum()), there.any(axis=0)
    if not there.any(axis=1).all():
        return Estimate(n, None, None, None)
    table = contributions(values[:, rows, None])
    mean = float(table.mean())
    grouped = None if clusters is None else clusters[rows]
    units = int(rows.sum()) if grouped is None else len(np.unique(grouped))
    if units == 1:
        return Estimate(n, mean, None, None)
    if mean in (0.0, 1.0):
        return Estimate(n, mean, *wilson(mean, units))
    half = spread(clustered(table, grouped)).half_width
    if not half > 0:
        return Estimate(n, mean, None, None)
    low, high = rare_share(mean, half, parts * n) if min(mean, 1 - mean) <= RARE else (mean - half, mean + half)
    return Estimate(n, mean, max(low, 0.0), min(high, 1.0))
