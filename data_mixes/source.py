"""Sources of examples: for every split and language a pool of rows, identified by their items' keys."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_mixes.example import Example, Split, from_table
from data_mixes.order import Keys

SHOWN_LINES = 5


class SourceError(ValueError):
    """A source that cannot be read: it is missing, unreachable, or lacks a column."""

    def __init__(self, source: str, message: str) -> None:
        self.source = source
        super().__init__(message)


@dataclass
class Drops:
    """Rows of a source that are not valid examples, counted by reason, with the first locations of each."""

    counts: dict[str, int] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, places: Sequence[str], count: int | None = None) -> None:
        """Counts rows; `places` are the first of them, e.g. "train.jsonl line 17"."""
        self.counts[reason] = self.counts.get(reason, 0) + (len(places) if count is None else count)
        known = self.places.setdefault(reason, [])
        known += places[: SHOWN_LINES - len(known)]

    def __str__(self) -> str:
        parts: list[str] = []
        for reason, count in self.counts.items():
            more = ", …" if count > len(self.places[reason]) else ""
            parts.append(f"{count} × {reason} ({', '.join(self.places[reason])}{more})")
        return "; ".join(parts)


class Pool(ABC):
    """The rows of one source in one split and language, in no particular order."""

    name: str
    """Which rows these are, e.g. "notices/train/fr"."""
    source: str
    """The source's name."""
    task: str
    variant: str
    """What distinguishes the rows of one item: their language, or "en>fr" for an English prompt and a French target."""
    language: str
    """Language of the targets."""
    items: Keys
    """The key of each row's item; no two rows of a pool have the same."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def originals(self) -> Pool:
        """The rows as their source has them, at the same places: before words are replaced in them."""
        return self

    @abstractmethod
    def tables(self, places: NDArray[np.int64]) -> Iterator[pa.Table]:
        """The rows at ascending places (a place may come twice), as Arrow in SCHEMA, some at a time."""

    def examples(self, places: Sequence[int] | NDArray[Any]) -> list[Example]:
        """The rows at any places, in the order given."""
        wanted = np.asarray(places, dtype=np.int64)
        ascending = np.unique(wanted)
        examples = [example for table in self.tables(ascending) for example in from_table(table)]
        return [examples[index] for index in np.searchsorted(ascending, wanted)]


class Source(ABC):
    """A data set: one task, some languages, three splits."""

    name: str
    task: str
    languages: tuple[str, ...]
    parallel: bool
    """Whether rows of different languages may be translations of one item."""
    conversational: bool = False
    """Whether its rows are turns of conversations, rather than prompts and targets."""
    exemplars: Split = "validation"
    """Where few-shot exemplars are taken from."""
    falls_short: bool = False
    """Whether an amount that it cannot serve becomes what it has; else such an amount is refused."""

    @property
    @abstractmethod
    def version(self) -> str:
        """Changes when a row of this source may have changed."""

    @abstractmethod
    def pool(self, split: Split, language: str) -> Pool:
        """The rows of a split in a language, empty where there are none. Raises SourceError."""

    def has(self, split: Split) -> bool:
        """Whether the source may have rows in a split, as far as can be told without reading it."""
        return True

    @property
    def origin_name(self) -> str:
        """Where the rows come from, for the record."""
        return f"{self.name} {self.version}"

    def drops(self, split: Split) -> Drops:
        """What was left out of a split when it was read."""
        return Drops()


def common(keys: Iterable[Keys]) -> Keys:
    """The keys that are in all of several arrays without repetitions."""
    return reduce(partial(np.intersect1d, assume_unique=True), keys)
