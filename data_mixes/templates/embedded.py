"""Sources whose items are drawn from the template banks that ship with the harness."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_mixes.example import Example, Split, to_table
from data_mixes.order import keys_of
from data_mixes.source import Pool, Source
from data_mixes.storage import cache_folder, made_once
from data_mixes.templates.bank import Draw, TemplateBank

LANGUAGES = ("ar", "en", "es", "fr", "ja", "ko", "pt", "zh")
ITEMS: dict[Split, int] = {"train": 16_000, "validation": 2_000, "test": 2_000}


class EmbeddedSource(Source):
    """Parallel items in eight languages; an item's split is that of its template.

    The templates of a split are in no other: a test item reads like nothing that was trained on, whatever its numbers
    and names. An item is in one split in all languages, and no two items of a source are equal.
    """

    languages = LANGUAGES
    parallel = True

    @cached_property
    def bank(self) -> TemplateBank:
        """The templates and words behind the items."""
        return TemplateBank(self.name.replace("-", "_"))

    @property
    def version(self) -> str:
        """Changes when an item of this source may have changed."""
        return self.bank.version

    def draw(self, item_id: str) -> Draw:
        """What was drawn for an item. Raises KeyError for an id that is not of this source."""
        template, values = self._by_id[item_id]
        return Draw(template, tuple((slot, tuple(each) if isinstance(each, list) else each) for slot, each in values))

    def item_ids(self, split: Split) -> list[str]:
        """The ids of all items of a split, the same for every language."""
        return list(self._items[split])

    @cached_property
    def _items(self) -> dict[Split, dict[str, tuple[str, list[Any]]]]:
        """Split → item id → its template and the values of its slots, as JSON has them."""
        path = cache_folder() / "banks" / f"{self.bank.name}-items-{self.bank.made_from}.json"
        return made_once(path, self._drawn)

    @cached_property
    def _by_id(self) -> dict[str, tuple[str, list[Any]]]:
        return {item_id: drawn for items in self._items.values() for item_id, drawn in items.items()}

    def _drawn(self) -> dict[Split, dict[str, tuple[str, Any]]]:
        """The same, drawn anew, which takes half a second for 20,000 items."""
        return {
            split: {self._id(draw): (draw.template, draw.values)
                    for draw in islice(self.bank.draws(self.templates(split)), count)}
            for split, count in ITEMS.items()
        }  # fmt: skip

    def _id(self, draw: Draw) -> str:
        return f"{self.name}/{hashlib.sha256(draw.key.encode()).hexdigest()[:12]}"

    def templates(self, split: Split) -> list[str]:
        """The ids of the templates whose items are in a split: in `train` where the file names no other."""
        return [name for name, template in self.bank.templates.items() if template.get("split", "train") == split]

    def pool(self, split: Split, language: str) -> Pool:
        """The items of a split in one language."""
        if (split, language) not in self._pools:
            self._pools[split, language] = EmbeddedPool(self, self.item_ids(split), split, language)
        return self._pools[split, language]

    @cached_property
    def _pools(self) -> dict[tuple[Split, str], EmbeddedPool]:
        return {}

    def render(self, item_ids: Iterable[str], language: str) -> list[Example]:
        """The items' renderings in one language; those of one template are a cluster.

        Raises KeyError for an id that is not of this source.
        """
        drawn = ((item_id, self.draw(item_id)) for item_id in item_ids)
        return [
            replace(self.example(item_id, draw, language), cluster=f"{self.name}/{draw.template}")
            for item_id, draw in drawn
        ]

    @abstractmethod
    def example(self, item_id: str, draw: Draw, language: str) -> Example:
        """One item in one language."""


class EmbeddedPool(Pool):
    """The items of an embedded source, rendered when they are asked for."""

    def __init__(self, source: EmbeddedSource, item_ids: list[str], split: Split, language: str) -> None:
        self.embedded, self.item_ids = source, item_ids
        self.name, self.source, self.task = f"{source.name}/{split}/{language}", source.name, source.task
        self.variant = self.language = language
        self.items = keys_of(item_ids)

    def tables(self, places: NDArray[np.int64]) -> Iterator[pa.Table]:
        """The rows at the places, as Arrow."""
        yield to_table(self.examples(places))

    def examples(self, places: Sequence[int] | NDArray[Any]) -> list[Example]:
        """The rows at the places."""
        return self.embedded.render([self.item_ids[index] for index in places], self.language)
