"""A cell on its way from a recipe to exact rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from data_mixes.mixture import Allotment, epochs_of
from data_mixes.rows import NO_ROWS, Rows
from data_mixes.tokens import Lengths
from harness.errors import Problem, UserError
from harness.recipe.grid import Cell
from harness.recipe.schema import Training
from harness.runs.record import CellRun

MOST_ROWS, MOST_EPOCHS = 100_000_000, 10_000
"""What a cell may train on, epochs counted: a plan holds some 60 bytes of memory for each row."""


@dataclass(frozen=True, slots=True)
class LanguageCount:
    """What one cell trains on in one task and language: one epoch of it."""

    task: str
    language: str
    examples: int
    tokens: int
    supervised_tokens: int
    shortened: int
    """Rows whose text was shortened to fit in prompts.max_tokens."""


@dataclass(frozen=True, slots=True)
class Aside:
    """The rows of one term."""

    allotments: tuple[Allotment, ...]
    rows: Rows
    held_out: Rows = NO_ROWS
    """Rows that no step sees, to measure what the term comes to: the next ones of the same sources."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A cell's mixture before it is known how long to train on it."""

    cell: Cell
    allotments: tuple[Allotment, ...]
    mixture: Rows
    asides: Mapping[str, Aside] = field(default_factory=dict[str, Aside])
    """Rows of terms beside the likelihood, by term."""
    prompts: Mapping[str, Rows] = field(default_factory=dict[str, Rows])
    """What a model is asked to write rows of the mixture, by generated source."""

    @property
    def all_rows(self) -> list[Rows]:
        """All that anything of it is learned from or measured on."""
        asides = [rows for aside in self.asides.values() for rows in (aside.rows, aside.held_out)]
        return [self.mixture, *asides, *self.prompts.values()]


@dataclass(frozen=True, slots=True)
class CellPlan:
    """A cell with its rows in training order and what they count."""

    cell: Cell
    allotments: tuple[Allotment, ...]
    mixture: Rows
    """One epoch."""
    rows: Rows
    """All that is trained on."""
    lengths: Lengths
    """Of `rows`."""
    counts: tuple[LanguageCount, ...]
    steps: int
    run: CellRun
    asides: Mapping[str, Aside] = field(default_factory=dict[str, Aside])
    """Rows of terms beside the likelihood, by term."""
    prompts: Mapping[str, Rows] = field(default_factory=dict[str, Rows])
    """What a model is asked to write rows of the mixture, by generated source."""

    @property
    def name(self) -> str:
        """The cell's name."""
        return self.cell.name

    @property
    def trained_languages(self) -> tuple[str, ...]:
        """The languages of the rows, of prompts and of answers, in the order of the recipe."""
        known = {part.name: part.variants for part in self.cell.recipe.components}
        taken = [variant for allotment in self.allotments if allotment.examples
                 for variant in known[allotment.component] if variant.name == allotment.variant]  # fmt: skip
        languages = {language for variant in taken for language in (variant.language, variant.prompt_language)}
        return tuple(language for language in self.cell.recipe.languages.seen if language in languages)

    @property
    def epochs(self) -> float:
        """How often the mixture is gone through."""
        return len(self.rows) / len(self.mixture) if len(self.mixture) else 0.0


def sources_of(allotments: Sequence[Allotment]) -> set[str]:
    """The names of the sources that rows are taken from."""
    return {allotment.source for allotment in allotments}


def examples_by_source(allotments: Sequence[Allotment]) -> dict[str, int]:
    """Source and variant → examples, whatever the components are called."""
    totals: dict[str, int] = {}
    for allotment in allotments:
        pool = f"{allotment.source}/{allotment.variant}"
        totals[pool] = totals.get(pool, 0) + allotment.examples
    return totals


def training_order(mixture: Rows, lengths: Lengths, training: Training) -> NDArray[np.int64]:
    """Which rows a cell is trained on: whole epochs, so many steps, or as many rows as fit in the tokens.

    Raises UserError for more rows than can be planned.
    """
    if not len(mixture):
        return np.empty(0, dtype=np.int64)
    tokens = training.supervised_tokens
    wanted = training.global_batch * training.steps if training.steps else len(mixture) * (training.epochs or 1)
    one_epoch = int(lengths.supervised_tokens.sum())
    rounds = math.ceil(wanted / len(mixture)) if tokens is None else tokens // one_epoch + 1
    if rounds > MOST_EPOCHS or rounds * len(mixture) > MOST_ROWS:
        key = "steps" if training.steps else "epochs" if tokens is None else "supervised_tokens"
        rows = rounds * len(mixture)
        message = f"got {getattr(training, key):,}, which is {rounds:,} epochs and {rows:,} rows of a cell"
        most = f"at most {MOST_EPOCHS:,} epochs and {MOST_ROWS:,} rows can be planned"
        raise UserError([Problem(f"training.{key}", f"{message}; {most}")])
    order = np.concatenate(list(islice(epochs_of(mixture, training.seed), rounds)))
    if tokens is None:
        return order[:wanted]
    return order[: int(np.searchsorted(np.cumsum(lengths.supervised_tokens[order]), tokens, side="right"))]


def count_by_language(mixture: Rows, lengths: Lengths) -> tuple[LanguageCount, ...]:
    """Examples, tokens and supervised tokens per task and language of one epoch."""
    totals: dict[tuple[str, str], NDArray[np.int64]] = {}
    for pool, positions, _ in mixture.by_pool():
        sums = [len(positions), lengths.tokens[positions].sum(), lengths.supervised_tokens[positions].sum(),
                np.count_nonzero(lengths.cut[positions])]  # fmt: skip
        place = (pool.task, pool.language)
        totals[place] = totals.get(place, np.zeros(4, dtype=np.int64)) + np.array(sums, dtype=np.int64)
    return tuple(LanguageCount(*place, *map(int, total)) for place, total in sorted(totals.items()))
