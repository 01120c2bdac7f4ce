"""Rows whose prompt is in one language and whose target is in another, made from the translations of an item.

CrossIn (arXiv 2404.11932): English → x, x → English, x → y, and translation rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_mixes.example import Example, Split, to_table
from data_mixes.makers.maker import MadePool, Maker, PairMaker
from data_mixes.source import Pool, Source

TRANSLATION = "translation"
BATCH = 4096


@dataclass(frozen=True, slots=True)
class Variant:
    """The languages of the rows made from an item: the target's, and the prompt's where it differs.

    A translating variant asks for the prompt in the target's language, not for an answer.
    """

    language: str
    prompt_language: str | None = None
    translates: bool = False
    maker: Maker | None = None
    """What makes rows of another form of its examples, if anything does."""

    @property
    def name(self) -> str:
        """E.g. "fr", "en>fr", "en>fr translation", "fr as text"."""
        return f"{self.plain_name} as {self.maker.name}" if self.maker else self.plain_name

    @property
    def plain_name(self) -> str:
        """Its name, whatever is made of its examples."""
        pair = f"{self.prompt_language}>{self.language}" if self.prompt_language else self.language
        return f"{pair} {TRANSLATION}" if self.translates else pair

    def pool(self, source: Source, split: Split) -> Pool:
        """The rows of a source in this variant. Raises SourceError."""
        if self.maker is not None:
            return made_pool(source, split, self)
        if self.prompt_language is None:
            return source.pool(split, self.language)
        return pair_pool(source, split, self)


@lru_cache(maxsize=256)
def made_pool(source: Source, split: Split, variant: Variant) -> MadePool:
    """The rows that the variant's maker makes of a source's, prepared once. Pairs of texts are made of translations."""
    assert variant.maker
    translates = variant.translates or isinstance(variant.maker, PairMaker)
    examples = dataclasses.replace(variant, maker=None, translates=translates)
    return MadePool(examples.pool(source, split), variant.maker, variant.name)


@lru_cache(maxsize=256)
def pair_pool(source: Source, split: Split, variant: Variant) -> PairPool:
    """The pairs of a source, computed once."""
    assert variant.prompt_language
    prompts, targets = source.pool(split, variant.prompt_language), source.pool(split, variant.language)
    return PairPool(f"{source.name}/{split}/{variant.name}", prompts, targets, variant)


class PairPool(Pool):
    """The items that two pools have in common, prompt from the one and target from the other."""

    def __init__(self, name: str, prompts: Pool, targets: Pool, variant: Variant) -> None:
        self.name, self.source, self.variant, self.language = name, targets.source, variant.name, variant.language
        self.task = TRANSLATION if variant.translates else targets.task
        self.prompts, self.targets, self._variant = prompts, targets, variant
        self.items, self._in_prompts, self._in_targets = np.intersect1d(
            prompts.items, targets.items, assume_unique=True, return_indices=True
        )

    def tables(self, places: NDArray[np.int64]) -> Iterator[pa.Table]:
        """The pairs at the places, as Arrow."""
        for start in range(0, len(places), BATCH):
            chosen = places[start : start + BATCH]
            prompts = self.prompts.examples(self._in_prompts[chosen])
            targets = self.targets.examples(self._in_targets[chosen])
            yield to_table(map(self._pair, prompts, targets))

    def _pair(self, prompt: Example, target: Example) -> Example:
        paired = crossed(prompt, target, self.variant)
        if not self._variant.translates:
            return paired
        return dataclasses.replace(
            paired,
            task=TRANSLATION,
            target=target.prompt,
            answer=None,
            constraints=(),
            history=(),
            conversation=False,
            system=None,
        )


def crossed(prompt: Example, target: Example, variant: str) -> Example:
    """The prompt of one example with the target of another, which is its translation."""
    return dataclasses.replace(
        target,
        id=f"{target.item_id}@{variant}",
        prompt=prompt.prompt,
        prompt_language=prompt.language,
        history=prompt.history,
        conversation=prompt.conversation,
        system=prompt.system,
    )
