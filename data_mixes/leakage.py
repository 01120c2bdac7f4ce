"""Leakage: rows to train on that are also tested on, found by item, by text, and by near-duplicate text."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias, get_args

import numpy as np
import regex
from numpy.typing import NDArray
from rensa import RMinHash, RMinHashLSH  # pyright: ignore[reportAttributeAccessIssue]  # written in Rust

from data_mixes.example import Example
from data_mixes.order import keys_of
from data_mixes.pairs import TRANSLATION
from data_mixes.source import Pool

Kind: TypeAlias = Literal["item", "text", "near"]
KINDS: tuple[Kind, ...] = get_args(Kind)

PERMUTATIONS, BANDS, MINHASH_SEED = 128, 32, 1
SHORTEST = 30
"""Shingles a text needs before its likeness to another says anything."""
BATCH = 4096
NO_WORD = regex.compile(r"[^\p{L}\p{M}\p{N}\p{S}.,−-]+|(?<!\p{Nd})[.,]|[.,](?!\p{Nd})|[−-](?!\s*\p{Nd})")
"""What does not tell texts apart; signs of arithmetic, and marks and minus before digits, do."""
UNSEGMENTED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]")


@dataclass(frozen=True, slots=True)
class Leak:
    """A row to train on and what of the tests it gives away."""

    kind: Kind
    place: int
    trained: Example
    tested: Example

    def __str__(self) -> str:
        how = {"item": "the same item", "text": "the same text", "near": "nearly the same text"}[self.kind]
        return f"{self.trained.id} is {how} as test {self.tested.id}: {shortened(self.trained.prompt)!r}"


def shortened(text: str, length: int = 60) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def normalised(text: str) -> str:
    """A text without case, punctuation, spaces and compatibility forms; what tells numbers apart stays."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFKC", NO_WORD.sub("", folded))


def shingles(text: str) -> set[str]:
    """The character n-grams of a normalised text: of 3 in unsegmented scripts, where one holds more, else of 5."""
    size = 3 if 2 * len(UNSEGMENTED.findall(text)) > len(text) else 5
    return {text[start : start + size] for start in range(len(text) - size + 1)}


def signature(grams: set[str]) -> RMinHash:
    """The MinHash of a set of n-grams."""
    minhash = RMinHash(num_perm=PERMUTATIONS, seed=MINHASH_SEED)
    minhash.update(list(grams))
    return minhash


@dataclass(frozen=True)
class Holdout:
    """Everything that is tested on. Near-duplicates are sought among `near` alone, at this Jaccard similarity."""

    examples: Sequence[Example]
    near: Sequence[Example] = ()
    similarity: float = 0.8

    @cached_property
    def _items(self) -> dict[int, Example]:
        keys = keys_of(example.item_id for example in self.examples)
        return {int(key): example for key, example in zip(keys, self.examples, strict=True)}

    @cached_property
    def _texts(self) -> dict[str, Example]:
        return {text: example for example in self.examples if (text := normalised(example.prompt))}

    @cached_property
    def _near(self) -> tuple[list[tuple[set[str], Example]], RMinHashLSH]:
        index = RMinHashLSH(threshold=self.similarity, num_perm=PERMUTATIONS, num_bands=BANDS)
        entries: list[tuple[set[str], Example]] = []
        for example in self.near:
            grams = shingles(normalised(example.prompt))
            if len(grams) >= SHORTEST:
                index.insert(len(entries), signature(grams))
                entries.append((grams, example))
        return entries, index

    def leaks(self, pool: Pool, places: NDArray[np.int64], kinds: Collection[Kind] = KINDS) -> Iterator[Leak]:
        """The rows of a pool that leak, each once, by the plainest of the signs that are looked for."""
        keys = np.fromiter(self._items, dtype=np.uint64, count=len(self._items))
        same_item = np.isin(pool.items[places], keys) & ("item" in kinds)
        for start in range(0, len(places), BATCH):
            chosen = places[start : start + BATCH]
            for place, same, example in zip(
                chosen, same_item[start : start + BATCH], pool.examples(chosen), strict=True
            ):
                if same:
                    yield Leak("item", int(place), example, self._items[int(pool.items[place])])
                elif found := self._by_text(example, pool.templated, kinds):
                    yield Leak(found[0], int(place), example, found[1])

    def _by_text(self, example: Example, templated: bool, kinds: Collection[Kind]) -> tuple[Kind, Example] | None:
        for text in map(normalised, read_texts(example)):
            if "text" in kinds and text in self._texts:
                return "text", self._texts[text]
            if "near" in kinds and not templated and (other := self._nearest(text)):
                return "near", other
        return None

    def _nearest(self, text: str) -> Example | None:
        entries, index = self._near
        grams = shingles(text) if entries else set[str]()
        if len(grams) < SHORTEST:
            return None
        for number in index.query(signature(grams)):
            tested, other = entries[number]
            if len(grams & tested) >= self.similarity * len(grams | tested):
                return other
        return None


def read_texts(example: Example) -> list[str]:
    """The prompts that training on an example teaches: its own, earlier ones, and one written in translating."""
    translated = [example.target] if example.task == TRANSLATION else []
    return [example.prompt, *translated, *(turn.prompt for turn in example.history)]
