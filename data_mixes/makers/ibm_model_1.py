"""Which words translate which, learned from sentences and their translations alone: IBM model 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ITERATIONS = 6
NOTHING = ""
"""The word of every source sentence that stands for none of its words."""


@dataclass(frozen=True, slots=True)
class Translations:
    """The words that stand in some sentence and in its translation: for each such pair, p(target | source)."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    probability: NDArray[np.float64]
    source_words: list[str]
    target_words: list[str]

    def likely(self, least: float) -> dict[tuple[str, str], float]:
        """(source, target) → the probability, of those with at least so much."""
        chosen = np.flatnonzero((self.probability >= least) & (self.source > 0))
        return {
            (self.source_words[source], self.target_words[target]): probability
            for source, target, probability in zip(
                self.source[chosen].tolist(),
                self.target[chosen].tolist(),
                self.probability[chosen].tolist(),
                strict=True,
            )
        }


def ibm_model_1(sentences: Sequence[tuple[Sequence[str], Sequence[str]]], iterations: int = ITERATIONS) -> Translations:
    """Translation probabilities by expectation maximisation from a uniform start (Brown et al. 1993, model 1).

    `sentences` are source sentences and their translations, in words.
    """
    source_words, target_words = {NOTHING: 0}, dict[str, int]()
    sources, targets, slots = list[NDArray[np.int64]](), list[NDArray[np.int64]](), 0
    slot_of: list[NDArray[np.int64]] = []
    for source, target in sentences:
        of_source = np.array([0, *(source_words.setdefault(word, len(source_words)) for word in source)])
        of_target = np.array([target_words.setdefault(word, len(target_words)) for word in target], dtype=np.int64)
        sources.append(np.tile(of_source, len(of_target)))
        targets.append(np.repeat(of_target, len(of_source)))
        slot_of.append(np.repeat(np.arange(slots, slots + len(of_target)), len(of_source)))
        slots += len(of_target)
    empty = np.empty(0, np.int64)
    source, target, slot = (np.concatenate([empty, *parts]) for parts in (sources, targets, slot_of))
    codes, pair = np.unique(source * max(1, len(target_words)) + target, return_inverse=True)
    of_pair = codes // max(1, len(target_words))
    probability = np.ones(len(codes))
    for _ in range(iterations):
        weight = probability[pair]
        weight = weight / np.bincount(slot, weight, minlength=slots)[slot]
        counts = np.bincount(pair, weight, minlength=len(codes))
        probability = counts / np.bincount(of_pair, counts, minlength=len(source_words))[of_pair]
    return Translations(of_pair, codes % max(1, len(target_words)), probability, [*source_words], [*target_words])
