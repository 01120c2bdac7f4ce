"""Leakage: training rows that are also test items, detected by item, by text, and by near-duplicate text."""

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
"""The fewest shingles for which similarity between two texts is meaningful."""
BATCH = 4096
NO_WORD = regex.compile(r"[^\p{L}\p{M}\p{N}\p{S}.,−-]+|(?<!\p{Nd})[.,]|[.,](?!\p{Nd})|[−-](?!\s*\p{Nd})")
"""Characters ignored when texts are compared; arithmetic signs, and marks and minus signs before digits, are kept."""
UNSEGMENTED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]")


@dataclass(frozen=True, slots=True)
class Leak:
    """A training row and the test example that it gives away."""

    kind: Kind
    row: int
    """The training row's position in its pool."""
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
    """A text without case, punctuation, spaces and compatibility forms; whatever distinguishes numbers is kept."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFKC", NO_WORD.sub("", folded))


def shingles(text: str) -> set[str]:
    """Character n-grams of a text: n is 3 in scripts without spaces, where a character carries more, else 5."""
    size = 3 if 2 * len(UNSEGMENTED.findall(text)) > len(text) else 5
    return {text[start : start + size] for start in range(len(text) - size + 1)}


def signature(grams: set[str]) -> RMinHash:
    """The MinHash of a set of n-grams."""
    minhash = RMinHash(num_perm=PERMUTATIONS, seed=MINHASH_SEED)
    minhash.update(list(grams))
    return minhash


@dataclass(frozen=True)
class Holdout:
    """All test examples, and the Jaccard similarity from which on a text is a near-duplicate of another."""

    examples: Sequence[Example]
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
        for example in self.examples:
            grams = shingles(normalised(example.prompt))
            if len(grams) >= SHORTEST:
                index.insert(len(entries), signature(grams))
                entries.append((grams, example))
        return entries, index

    def leaks(self, pool: Pool, rows: NDArray[np.int64], kinds: Collection[Kind] = KINDS) -> Iterator[Leak]:
        """The leaking rows among `rows` of a pool, once each, under the most obvious of the requested kinds."""
        keys = np.fromiter(self._items, dtype=np.uint64, count=len(self._items))
        same_item = np.isin(pool.items[rows], keys) & ("item" in kinds)
        for start in range(0, len(rows), BATCH):
            chosen = rows[start : start + BATCH]
            for row, same, example in zip(
                chosen, same_item[start : start + BATCH], pool.originals.examples(chosen), strict=True
            ):
                if same:
                    yield Leak("item", int(row), example, self._items[int(pool.items[row])])
                elif match := self._by_text(example, kinds):
                    yield Leak(match[0], int(row), example, match[1])

    def _by_text(self, example: Example, kinds: Collection[Kind]) -> tuple[Kind, Example] | None:
        for text in map(normalised, read_texts(example)):
            if "text" in kinds and text in self._texts:
                return "text", self._texts[text]
            if "near" in kinds and (other := self._nearest(text)):
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
    """The prompts a model reads or writes when trained on an example: its own, earlier ones, and a translated one."""
    translated = [example.target] if example.task == TRANSLATION else []
    return [example.prompt, *translated, *(turn.prompt for turn in example.history)]
