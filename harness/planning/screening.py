"""Rows that must stay out of training, because they are too long or are test items: refused, or dropped and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_mixes.example import Example
from data_mixes.leakage import KINDS, Holdout, Kind, Leak
from data_mixes.order import Keys
from data_mixes.rows import Rows, places_by_pool
from data_mixes.source import Pool
from data_mixes.tokens import Measures
from eval.generation.requests import EvaluationSet
from harness.errors import Problem, UserError
from harness.planning.testsets import tested_languages, tested_source
from harness.recipe.schema import Recipe, Training

SHOWN = 3
TOO_LONG = "longer than training.max_length"
REASONS: dict[Kind, str] = {"item": "same item as a test", "text": "same text as a test", "near": "near a test text"}
KEYS: dict[Kind, str] = {"item": "items", "text": "text", "near": "near"}


@dataclass(frozen=True, slots=True)
class Dropped:
    """Rows of one source and language that were left out for one reason, with some of them."""

    reason: str
    source: str
    language: str
    count: int
    examples: tuple[str, ...] = ()


class Screening:
    """Determines the items that no cell may train on.

    An item is left out of all languages, so that translations stay together, and of all cells, so
    that a smaller cell's rows stay a subset of a larger one's; the next items replace them.
    """

    def __init__(self, recipe: Recipe, evaluation_sets: Sequence[EvaluationSet], texts: Sequence[Example]) -> None:
        """`texts` are test texts beyond the evaluation sets."""
        self.rules = recipe.leakage
        examples = [example for tested in evaluation_sets for example in tested.examples]
        whole = whole_split(recipe) if any(self.rules.policy(kind) == "drop" for kind in KINDS) else []
        self.holdout = Holdout([*examples, *texts], self.rules.similarity)
        self.whole_holdout = Holdout([*examples, *whole, *texts], self.rules.similarity)
        self.excluded: dict[str, Keys] = {}
        self.dropped: list[Dropped] = []
        self._screened: dict[str, NDArray[np.int64]] = {}

    @property
    def count(self) -> int:
        """How many items are excluded."""
        return sum(map(len, self.excluded.values()))

    def screen(self, cells: Sequence[tuple[Recipe, Rows, Measures]]) -> None:
        """Excludes the items of rows that may not be trained on. Raises UserError where such rows are refused.

        Each cell comes with its rows, and their lengths for its base model.
        """
        for measures in {id(measures): measures for _, _, measures in cells}.values():
            for pool, places in places_by_pool(rows for _, rows, of in cells if of is measures):
                measures.of(pool, places)  # all at once, rather than a few for every cell
        problems: list[Problem] = []
        wanted: dict[str, tuple[Pool, NDArray[np.int64], NDArray[np.int64]]] = {}
        for recipe, rows, measures in cells:
            for pool, _, places in rows.by_pool():
                nothing = np.empty(0, np.int64)
                _, known, long = wanted.get(pool.name, (pool, nothing, nothing))
                too_long, too_long_problems = self._long(pool, np.unique(places), measures, recipe.training)
                problems += too_long_problems
                wanted[pool.name] = (pool, np.union1d(known, places), np.union1d(long, too_long))
        leaks: list[tuple[Pool, Leak]] = []
        refused: list[Kind] = [kind for kind in KINDS if self.rules.policy(kind) == "refuse"]
        dropped: list[Kind] = [kind for kind in KINDS if self.rules.policy(kind) == "drop"]
        for name, (pool, places, long) in wanted.items():
            if len(long):
                self._drop(pool, long, TOO_LONG)
            before = self._screened.get(name, np.empty(0, np.int64))
            fresh = np.setdiff1d(np.setdiff1d(places, before), long)
            for holdout, kinds in ((self.holdout, refused), (self.whole_holdout, dropped)):
                leaks += [(pool, leak) for leak in holdout.leaks(pool, fresh, kinds)] if kinds else []
            self._screened[name] = np.union1d(before, places)
        problems += self._leaking(leaks)
        if problems:
            raise UserError(list(dict.fromkeys(problems)))

    def _long(
        self, pool: Pool, places: NDArray[np.int64], measures: Measures, training: Training
    ) -> tuple[NDArray[np.int64], list[Problem]]:
        """The places of rows to drop because they are too long, or that there are such rows."""
        tokens = measures.of(pool, places).tokens[places]
        long = tokens > training.max_length
        if training.long_rows == "drop" or not long.any():
            return places[long], []
        rows = "1 row" if long.sum() == 1 else f"{long.sum()} rows"
        message = f"got {training.max_length}, but {rows} in {pool.language} of up to {tokens.max()} tokens are longer"
        fix = "raise it, shorten texts with prompts.max_tokens, or set training.long_rows: drop"
        return places[:0], [Problem("training.max_length", f"{message}; {fix}")]

    def _leaking(self, leaks: Sequence[tuple[Pool, Leak]]) -> list[Problem]:
        refused: dict[Kind, list[Leak]] = {}
        for pool, leak in leaks:
            policy = self.rules.policy(leak.kind)
            if policy == "drop":
                self._drop(pool, np.array([leak.row]), REASONS[leak.kind], str(leak))
            elif policy == "refuse":
                refused.setdefault(leak.kind, []).append(leak)
        return [
            Problem(
                "leakage",
                f"training rows that give test items away: {len(leaking)}. {'; '.join(map(str, leaking[:SHOWN]))}"
                f"{'; …' if len(leaking) > SHOWN else ''}. Write leakage: drop in the recipe, as a key beside "
                f"mixture, to leave them out, or leakage: {{{KEYS[kind]}: allow}} to train on them anyway",
            )
            for kind, leaking in refused.items()
        ]

    def _drop(self, pool: Pool, places: NDArray[np.int64], reason: str, example: str | None = None) -> None:
        items = pool.items[places]
        known = self.excluded.get(pool.source, np.empty(0, np.uint64))
        self.excluded[pool.source] = np.union1d(known, items)
        for number, dropped in enumerate(self.dropped):
            if (dropped.reason, dropped.source, dropped.language) == (reason, pool.source, pool.language):
                examples = (*dropped.examples, example)[:SHOWN] if example else dropped.examples
                self.dropped[number] = Dropped(
                    reason, pool.source, pool.language, dropped.count + len(places), examples
                )
                return
        shown = (example,) if example else ()
        self.dropped.append(Dropped(reason, pool.source, pool.language, len(places), shown))


def whole_split(recipe: Recipe) -> list[Example]:
    """All rows of the tested split, in the study's languages, of the sources that test items are taken from.

    Rows are dropped for any of them, so that testing on more items later leaves the mixture as it is.
    """
    examples: list[Example] = []
    for task in recipe.evaluation.tasks:
        source = tested_source(recipe, task)
        for language in tested_languages(recipe, source):
            pool = source.pool(recipe.evaluation.split, language)
            examples += pool.examples(np.arange(len(pool)))
    return examples
