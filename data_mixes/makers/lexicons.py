"""Lexicons: the words of one language with their translations in another, from a file or learned from translations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import regex

from data_mixes.makers.ibm_model_1 import ibm_model_1
from data_mixes.order import Keys, key_of, seeded_order
from data_mixes.segmenters import SEGMENTERS
from data_mixes.source import Source, SourceError, common

Entries: TypeAlias = Mapping[str, tuple[str, ...]]
"""Words in lower case, each with its translations, the best first."""
CANDIDATES = 3
"""Translations of a word that are used (arXiv 2204.07834)."""
LEAST_SCORE, LEAST_COUNT = 0.4, 5
"""Of what is learned: √(p(target | source) · p(source | target)), and how often each of both words has to occur."""
LEARNER = "ibm-1.1"
"""Changes when other entries may be learned from the same rows."""
WORD = regex.compile(r"\p{L}[\p{L}\p{M}\u200c\u200d]*")
SHOWN = 3


class LexiconError(ValueError):
    """A lexicon that cannot be read, or holds nothing."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)


class Lexicon(ABC):
    """Translations of words between two languages, both ways; read when they are first asked for."""

    name: str
    languages: tuple[str, str]

    @property
    @abstractmethod
    def origin(self) -> str:
        """Where it comes from, in words."""

    @property
    @abstractmethod
    def version(self) -> str:
        """Changes when an entry may have changed."""

    @abstractmethod
    def read(self) -> list[tuple[str, str]]:
        """Words with a translation each, the best ones of a word first. Raises LexiconError."""

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """What is read, once. Raises LexiconError."""
        return self.read()

    @cached_property
    def forward(self) -> Entries:
        """From the first language to the second."""
        return entries_of(self.pairs)

    @cached_property
    def backward(self) -> Entries:
        """From the second language to the first."""
        return entries_of((translation, word) for word, translation in self.pairs)

    def entries(self, language: str) -> Entries:
        """The words of one of its languages."""
        return self.forward if language == self.languages[0] else self.backward

    def other(self, language: str) -> str | None:
        """The language that words of a language are translated into; None of a language that it does not have."""
        if language not in self.languages:
            return None
        first, second = self.languages
        return second if language == first else first


def entries_of(pairs: Iterable[tuple[str, str]]) -> Entries:
    """The first translations of each word, those that are the same word left out: nothing would be switched."""
    entries: dict[str, list[str]] = {}
    for word, translation in pairs:
        known = entries.setdefault(word.lower(), [])
        if translation.lower() != word.lower() and translation not in known and len(known) < CANDIDATES:
            known.append(translation)
    return {word: tuple(known) for word, known in entries.items() if known}


@dataclass(eq=False)
class FileLexicon(Lexicon):
    """A file in MUSE's format: a word and a translation to the line, with a space or a tab between them."""

    name: str
    languages: tuple[str, str]
    path: Path

    @property
    def origin(self) -> str:
        """The file's name."""
        return f"in {self.path.name}"

    @cached_property
    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
            raise LexiconError(self.name, f"cannot read {self.path}: {reason}") from None

    @property
    def version(self) -> str:
        """A hash of the file's content."""
        return f"{key_of(self._text):016x}"

    def read(self) -> list[tuple[str, str]]:
        """The lines, in their order."""
        pairs: list[tuple[str, str]] = []
        wrong: list[str] = []
        for number, line in enumerate(self._text.splitlines(), 1):
            fields = line.split("\t") if "\t" in line else line.split()
            if len(fields) == 2 and all(map(str.strip, fields)):
                pairs.append((fields[0].strip(), fields[1].strip()))
            elif line.strip():
                wrong.append(f"line {number}: {line.strip()[:40]!r}")
        if wrong or not pairs:
            told = "; ".join(wrong[:SHOWN]) + ("; …" if len(wrong) > SHOWN else "")
            found = f"{len(wrong)} lines are no such pair ({told})" if wrong else "there is none"
            raise LexiconError(self.name, f"{self.path}: a line is a word and its translation; {found}")
        return pairs


@dataclass(eq=False)
class LearnedLexicon(Lexicon):
    """What training rows of parallel sources teach: IBM model 1 in both directions, where these agree."""

    name: str
    languages: tuple[str, str]
    sources: tuple[Source, ...]
    rows: int
    """Of each source; the first ones in the order of a hash."""

    @property
    def origin(self) -> str:
        """The rows that it is learned from."""
        each = " each" if len(self.sources) > 1 else ""
        return f"learned from {self.rows:,} training rows{each} of {', '.join(source.name for source in self.sources)}"

    @property
    def version(self) -> str:
        """The rows' and the learner's."""
        sources = ", ".join(f"{source.name} {source.version}" for source in self.sources)
        return f"{LEARNER} of {self.rows} rows of {sources}"

    def read(self) -> list[tuple[str, str]]:
        """Words and translations by falling score."""
        try:
            learned = learned_pairs([pair for source in self.sources for pair in self._sentences(source)])
        except SourceError as error:
            raise LexiconError(self.name, str(error)) from None
        if not learned:
            raise LexiconError(self.name, f"{self.rows:,} rows teach no word; take more, or give a file")
        return learned

    def _sentences(self, source: Source) -> list[tuple[list[str], list[str]]]:
        """A source's texts in words, each with its translation: first the prompts of the rows, then the targets."""
        pools = [source.pool("train", language) for language in self.languages]
        items = common(pool.items for pool in pools)
        if len(items) < self.rows:
            message = f"got {self.rows:,} rows, but {source.name} has {len(items):,} in both languages"
            raise LexiconError(self.name, f"{message}; ask for {len(items):,} or fewer")
        chosen = items[seeded_order(items, "lexicon")[: self.rows]]
        sides: list[list[list[str]]] = []
        for pool, language in zip(pools, self.languages, strict=True):
            examples = pool.examples(places_of(pool.items, chosen))
            texts = [example.prompt for example in examples] + [example.target for example in examples]
            sides.append([lower_words(text, language) for text in texts])
        return list(zip(*sides, strict=True))


def places_of(items: Keys, chosen: Keys) -> list[int]:
    """Where items stand in a pool."""
    place = {int(key): number for number, key in enumerate(items)}
    return [place[int(key)] for key in chosen]


def learned_pairs(sentences: list[tuple[list[str], list[str]]]) -> list[tuple[str, str]]:
    """Words and translations by falling score, which is the geometric mean of the probabilities of both directions."""
    there = ibm_model_1(sentences).likely(LEAST_SCORE**2)
    back = ibm_model_1([(target, source) for source, target in sentences]).likely(LEAST_SCORE**2)
    counts = [Counter(word for sentence in side for word in sentence) for side in zip(*sentences, strict=True)]
    scores = {(word, other): (share * back.get((other, word), 0.0)) ** 0.5 for (word, other), share in there.items()}
    kept = [pair for pair, score in scores.items() if score >= LEAST_SCORE
            and all(of[word] >= LEAST_COUNT for of, word in zip(counts, pair, strict=True))]  # fmt: skip
    return sorted(kept, key=lambda pair: (-round(scores[pair], 9), pair))


def lower_words(text: str, language: str) -> list[str]:
    """The words of a text in lower case."""
    return [piece.lower() for piece, is_word in pieces(text, language) if is_word]


def pieces(text: str, language: str) -> list[tuple[str, bool]]:
    """A text cut into words and what lies between them, with nothing left out; numbers are no words."""
    found: list[tuple[str, bool]] = []
    position = 0
    for word in words_in(text, language):
        start = text.find(word, position)
        if start > position:
            found.append((text[position:start], False))
        if start >= 0:
            found.append((word, True))
            position = start + len(word)
    return [*found, (text[position:], False)] if position < len(text) else found


def words_in(text: str, language: str) -> list[str]:
    """The words of a text as they are written: by a segmenter where there are no spaces, else runs of letters."""
    segment = SEGMENTERS.get(language.partition("-")[0])
    if segment is None or text.isascii():
        return WORD.findall(text)
    return [word for piece in segment(text) if WORD.search(word := piece.strip())]
