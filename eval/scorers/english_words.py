"""Which words are English: those of Webster's Second International, as the language confusion benchmark has it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version

from english_words import get_english_words_set

SHORTEST = 4
"""Letters of the shortest word that counts: sin, log, www and the like are in use everywhere."""
SHORTEST_STEM = 3
VERSION = f"web2-english-words-{version('english-words')}"


@lru_cache(maxsize=1)
def english_words() -> frozenset[str]:
    """The dictionary's words in lower case of four letters and more."""
    return frozenset(word for word in _dictionary() if len(word) >= SHORTEST)


@lru_cache(maxsize=1)
def _dictionary() -> frozenset[str]:
    return frozenset(word for word in get_english_words_set(["web2"]) if word.islower())


@lru_cache(maxsize=10_000)
def is_english(word: str) -> bool:
    """Whether a word in lower case is English: in the dictionary, or a regular inflection of a word that is."""
    if len(word) < SHORTEST:
        return False
    return word in english_words() or any(len(stem) >= SHORTEST_STEM and stem in _dictionary() for stem in _stems(word))


def _stems(word: str) -> Iterator[str]:
    """What a word may be a regular inflection of: apples, cities, stopped, dividing, largest."""
    if word.endswith("s"):
        yield word.removesuffix("s")
        yield word.removesuffix("es")
        yield word.removesuffix("ies") + "y"
    for ending in ("ed", "ing", "est"):
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            yield stem
            yield stem + "e"
            if stem[-1:] == "i":
                yield stem[:-1] + "y"
            if stem[-1:] == stem[-2:-1]:
                yield stem[:-1]
