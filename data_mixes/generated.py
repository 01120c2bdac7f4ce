"""Prompts of another source with targets that a model writes: what stands for them until it has, and the rows then."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_mixes.example import Example, Split, to_table
from data_mixes.mixture import Component, Orders
from data_mixes.order import keys_of
from data_mixes.source import Drops, Pool, Source

STAND_IN = "…"
"""The target of a row that is not written yet. The source's own is hidden: nothing is to be learned from it."""


class ExamplePool(Pool):
    """Rows that are in memory."""

    def __init__(self, name: str, source: str, task: str, language: str, examples: Sequence[Example]) -> None:
        self.name, self.source, self.task = name, source, task
        self.variant = self.language = language
        self._examples = examples
        self.items = keys_of([example.item_id for example in examples])

    def tables(self, places: NDArray[np.int64]) -> Iterator[pa.Table]:
        """The rows at the places, as Arrow."""
        yield to_table(self.examples(places))

    def examples(self, places: Sequence[int] | NDArray[Any]) -> list[Example]:
        """The rows at the places."""
        return [self._examples[int(place)] for place in places]


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote to the prompts: the rows that are kept, by language, and how many are not and why."""

    rows: Mapping[str, Sequence[Example]]
    drops: Drops = field(default_factory=Drops)


class GeneratedSource(Source):
    """Rows whose targets a model writes. Until they are written there is a stand-in for each prompt."""

    parallel = False  # of the translations of an item some are kept, and some not

    def __init__(
        self,
        name: str,
        prompts: Component,
        seed: int,
        short: bool,
        version: str = "",
        asked: Sequence[Example] = (),
        written: Written | None = None,
    ) -> None:
        """`prompts` is a component of one source, which `seed` draws; `asked` is what comes of it, once it is known."""
        self.name, self.prompts, self.seed, self.falls_short = name, prompts, seed, short
        self.task = prompts.sources[0].task
        self.languages = tuple(variant.language for variant in prompts.variants)
        self.written = written
        self._version, self._asked = version, asked

    @property
    def version(self) -> str:
        """A hash of all that decides the rows, the model that writes them included; empty until that is known."""
        return self._version

    def bound(self, version: str, asked: Sequence[Example], written: Written | None) -> GeneratedSource:
        """The same as one model is asked for it, and writes it, or has written it."""
        return GeneratedSource(self.name, self.prompts, self.seed, self.falls_short, version, asked, written)

    def has(self, split: Split) -> bool:
        """Whether it has rows in a split: for training alone."""
        return split == "train"

    def pool(self, split: Split, language: str) -> Pool:
        """The rows in a language. Raises SourceError where the prompts cannot be read."""
        if (split, language) not in self._pools:
            self._pools[split, language] = self._pool(split, language)
        return self._pools[split, language]

    @cached_property
    def _pools(self) -> dict[tuple[str, str], Pool]:
        return {}

    def _pool(self, split: Split, language: str) -> Pool:
        if split != "train" or language not in self.languages:
            return ExamplePool(f"{self.name}/{split}/{language}", self.name, self.task, language, ())
        if self.written is not None:
            rows = self.written.rows.get(language, ())
            return ExamplePool(f"{self.name}/{split}/{language}/{self.version}", self.name, self.task, language, rows)
        # A stand-in goes by the name of the prompts' source: one that is a test item is another's prompt, and no row
        # less.
        (source,) = self.prompts.sources
        return ExamplePool(
            f"{self.name}/{split}/{language}", source.name, self.task, language, self._stand_in(language)
        )

    def _stand_in(self, language: str) -> list[Example]:
        asked = self._asked or self._first(language)
        own = (example for example in asked if example.language == language)
        return [dataclasses.replace(example, target=STAND_IN, answer=None) for example in own]

    def _first(self, language: str) -> list[Example]:
        """As many prompts as are wanted, whichever other components take."""
        component, (source,) = self.prompts, self.prompts.sources
        variant = next(variant for variant in component.variants if variant.language == language)
        places = Orders([component], self.seed).places(component, source, variant)[: component.amount]
        return variant.pool(source, "train").examples(places)

    def drops(self, split: Split) -> Drops:
        """The prompts whose answers were not kept, by language and reason."""
        return self.written.drops if self.written and split == "train" else Drops()
