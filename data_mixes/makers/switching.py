"""Words of a text in other languages: which words, and what stands in their place, by a hash of seed and row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import regex

from data_mixes.makers.lexicons import Lexicon, pieces
from data_mixes.order import key_of

SPACED = regex.compile(r"[\p{L}\p{M}\p{N}--\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]", regex.VERSION1)
"""Characters of words that a space has to keep apart."""


LEAST = 1e-17
"""The chance of a length beyond which no quantile lies that a float can tell from 1."""


class Piece(NamedTuple):
    """A stretch of a text as it is read, and the word in whose place it stands, if it is another language's."""

    text: str
    original: str | None = None


@dataclass(frozen=True, slots=True)
class Mixed:
    """A text with words of other languages in it."""

    pieces: tuple[Piece, ...]
    words: int
    """All words of the text."""
    known: int
    """Those that have an entry in the lexicon."""
    wanted: int
    """As many as were to be switched: the share of all words, rounded up."""

    @property
    def text(self) -> str:
        """As it is read."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def switched(self) -> int:
        """The words that are another language's."""
        return sum(piece.original is not None for piece in self.pieces)


@dataclass(frozen=True)
class Switching:
    """How words are switched: a share of a text's words, each for one of its translations, in one language a text.

    What is done to a row depends on the seed and on its id alone, so that no other row or language changes it; a larger
    share switches the words of a smaller one and others.
    """

    share: float
    into: tuple[str, ...]
    lexicons: tuple[Lexicon, ...]
    seed: int
    spans: float | None = None
    """The mean of the lengths of spans whose words are switched together; None switches each word for itself."""

    def mixed(self, text: str, language: str, row: str) -> Mixed:
        """The text of a row. Words without an entry stay as they are."""
        entries = self.lexicon(language, row).entries(language)
        cut = pieces(text, language)
        places = [place for place, (_, is_word) in enumerate(cut) if is_word]
        known = {place for place in places if cut[place][0].lower() in entries}
        wanted = math.ceil(Fraction(str(self.share)) * len(places))
        salt = f"switch {self.seed} {row}"
        chosen = {*[place for place in self._in_turn(places, salt) if place in known][:wanted]}
        switched: list[Piece] = []
        for place, (piece, _) in enumerate(cut):
            if place in chosen:
                candidates = entries[piece.lower()]
                drawn = candidates[key_of(f"{salt} {place} entry") % len(candidates)]
                switched.append(Piece(in_case_of(drawn, piece), piece))
            else:
                switched.append(Piece(piece))
        return Mixed(tuple(kept_apart(switched)), len(places), len(known), wanted)

    def _in_turn(self, places: Sequence[int], salt: str) -> list[int]:
        """The words of a text in the order in which they are switched, until the share is reached."""
        starts = sorted(range(len(places)), key=lambda start: key_of(f"{salt} {places[start]}"))
        lengths = [1 if self.spans is None else span_length(self.spans, key_of(f"{salt} {places[start]} span"))
                   for start in starts]  # fmt: skip
        spans = (places[start : start + length] for start, length in zip(starts, lengths, strict=True))
        return list(dict.fromkeys(place for span in spans for place in span))

    def lexicon(self, language: str, row: str) -> Lexicon:
        """The lexicon for a text: of those into another of the languages, the one that a hash of row and language has.

        So a language more takes rows from the others and moves none between them.
        """
        return min(
            self.lexicons_of(language),
            key=lambda lexicon: key_of(f"into {self.seed} {row} {lexicon.other(language)}"),
        )

    def lexicons_of(self, language: str) -> Sequence[Lexicon]:
        """The lexicons for texts in a language."""
        return [lexicon for lexicon in self.lexicons if lexicon.other(language) in self.into]


def span_length(mean: float, key: int) -> int:
    """The length of a span: a draw from the Poisson distribution of this mean, 0 left out, at the quantile of a key.

    mBART's noise has lengths of mean 3.5 (arXiv 2001.08210); of length 0 it inserts a mask, which stands for no word.
    """
    length, share = 1, mean * math.exp(-mean)
    reached, wanted = share, (key / 2**64) * -math.expm1(-mean)
    while reached < wanted and (length < mean or share > LEAST):
        length += 1
        share *= mean / length
        reached += share
    return length


def in_case_of(word: str, like: str) -> str:
    """A word with a capital where another one has it."""
    return word[:1].upper() + word[1:] if like[:1].isupper() and not like[1:2].isupper() else word


def kept_apart(switched: Sequence[Piece]) -> list[Piece]:
    """The pieces, with a space before one that would run together with what stands before it."""
    apart: list[Piece] = []
    for piece in switched:
        before = apart[-1] if apart else Piece("")
        is_new = piece.original is not None or before.original is not None
        touches = SPACED.match(before.text[-1:]) and SPACED.match(piece.text[:1])
        apart.append(piece._replace(text=f" {piece.text}") if is_new and touches else piece)
    return apart
