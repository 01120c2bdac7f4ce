"""Test and validation rows set aside from the training rows of a source that comes without them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_mixes.example import Split
from data_mixes.order import Keys, seeded_order
from data_mixes.source import Drops, Pool, Source, SourceError, common

SALT = "hold out"
DRAWN_FIRST: tuple[Split, ...] = ("test", "validation")


class HeldOut(Source):
    """A source whose training rows are parted into splits, by a hash of their items.

    An item is in one split alone, in all languages: of a parallel source those are set aside that every language has.
    The same items are drawn whatever the order of the rows, and those for the test whatever is set aside beside them.
    """

    def __init__(self, whole: Source, sizes: Mapping[Split, int]) -> None:
        """`sizes` are how many items are set aside for a split, in each language."""
        self.whole, self.sizes = whole, dict(sizes)
        self.name, self.task, self.languages = whole.name, whole.task, whole.languages
        self.parallel, self.conversational = whole.parallel, whole.conversational
        self.exemplars = "validation" if "validation" in sizes else "train"

    @cached_property
    def version(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A hash of the whole source's and of what is set aside."""
        decided_by = [self.whole.version, SALT, sorted(self.sizes.items())]
        return hashlib.sha256(json.dumps(decided_by).encode()).hexdigest()[:12]

    @property
    def origin_name(self) -> str:
        """Where the rows come from."""
        return self.whole.origin_name

    def has(self, split: Split) -> bool:
        """Whether rows are left, or set aside, for a split."""
        return split == "train" or split in self.sizes

    def drops(self, split: Split) -> Drops:
        """What was left out when the rows were read."""
        return self.whole.drops("train")

    def pool(self, split: Split, language: str) -> Pool:
        """The part of the rows that is a split's."""
        if (split, language) not in self._pools:
            whole = self.whole.pool("train", language)
            self._pools[split, language] = PartPool(whole, split, self._places(whole, split))
        return self._pools[split, language]

    @cached_property
    def _pools(self) -> dict[tuple[Split, str], PartPool]:
        return {}

    def _places(self, whole: Pool, split: Split) -> NDArray[np.int64]:
        """Where a split's rows are among all of a language, ascending."""
        drawn = self._drawn(whole)
        if split == "train":
            return np.flatnonzero(~np.isin(whole.items, np.concatenate([*drawn.values()])))
        return np.flatnonzero(np.isin(whole.items, drawn.get(split, np.empty(0, np.uint64))))

    def _drawn(self, whole: Pool) -> dict[Split, Keys]:
        """The items that are set aside in a language, by split. Raises SourceError where there are too few."""
        items = self.candidates(whole.language)
        wanted = sum(self.sizes.values())
        if wanted >= len(items):
            where = "that every language has" if self.parallel else f"in {whole.language!r}"
            there = f"{self.name} has {len(items):,} items {where}"
            raise SourceError(self.name, f"hold_out sets {wanted:,} aside, but {there}; set fewer aside")
        order = items[seeded_order(items, SALT)]
        ends = np.cumsum([self.sizes.get(split, 0) for split in DRAWN_FIRST])
        return dict(zip(DRAWN_FIRST, np.split(order, ends)[:-1], strict=True))

    def candidates(self, language: str) -> Keys:
        """The items of a language that can be set aside."""
        return self._shared if self.parallel else self.whole.pool("train", language).items

    @cached_property
    def _shared(self) -> Keys:
        return common(self.whole.pool("train", language).items for language in self.languages)


class PartPool(Pool):
    """Some rows of a pool."""

    def __init__(self, whole: Pool, split: Split, places: NDArray[np.int64]) -> None:
        self.name = f"{whole.source}/{split}/{whole.language}"
        self.source, self.task, self.variant, self.language = whole.source, whole.task, whole.variant, whole.language
        self.whole, self.places = whole, places

    def __len__(self) -> int:
        return len(self.places)

    @cached_property
    def items(self) -> Keys:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The key of each row's item."""
        return self.whole.items[self.places]

    def tables(self, places: NDArray[np.int64]) -> Iterator[pa.Table]:
        """The rows at ascending places."""
        return self.whole.tables(self.places[places])
