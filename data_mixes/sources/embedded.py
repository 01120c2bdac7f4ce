"""Sources whose items are drawn from the template banks that ship with the harness."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from itertools import islice

from data_mixes.example import Example, Split
from data_mixes.sources.template_bank import Draw, TemplateBank

LANGUAGES = ("ar", "en", "es", "fr", "ja", "ko", "pt", "zh")
ITEMS = 6000


class EmbeddedSource(ABC):
    """Parallel items in eight languages; an item's split is decided by its content.

    Eight in ten items are for training, one for validation and one for testing. An item is in one
    split in all languages, and no two items of a source are equal.
    """

    name: str
    task: str
    languages = LANGUAGES

    @cached_property
    def bank(self) -> TemplateBank:
        """The templates and words behind the items."""
        return TemplateBank(self.name.replace("-", "_"))

    @cached_property
    def version(self) -> str:
        """Changes when an item of this source may have changed."""
        return self.bank.version

    @cached_property
    def _draws(self) -> dict[str, Draw]:
        draws = islice(self.bank.draws(), ITEMS)
        return {f"{self.name}/{hashlib.sha256(draw.key.encode()).hexdigest()[:12]}": draw for draw in draws}

    def item_ids(self, split: Split) -> list[str]:
        """The ids of all items of a split, the same for every language."""
        return [item_id for item_id in self._draws if split_of(item_id) == split]

    def examples(self, item_ids: Iterable[str], language: str) -> list[Example]:
        """The items' renderings in one language. Raises KeyError for an id that is not of this source."""
        return [self.example(item_id, self._draws[item_id], language) for item_id in item_ids]

    @abstractmethod
    def example(self, item_id: str, draw: Draw, language: str) -> Example:
        """One item in one language."""


def split_of(item_id: str) -> Split:
    """The split of an item, by a hash of its id."""
    tenth = int(hashlib.sha256(f"split/{item_id}".encode()).hexdigest(), 16) % 10
    return "test" if tenth == 0 else "validation" if tenth == 1 else "train"
