"""Words, by a tokenizer fit for the language: a segmenter where words are not spaced, Unicode words elsewhere.

Texts are compared much as NFKC_Casefold has them (Unicode Standard, section 3.13): composed, without case, and without
what cannot be seen, such as joiners and marks of direction, so that no joiner cuts a word in two (UAX 29, rule WB4).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import accumulate

import regex

from data_mixes.segmenters import NAMES, SEGMENTERS
from eval.scorers.locales import base_of

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Myanmar}\p{Khmer}\p{Tibetan}"
"""Scripts without spaces between words."""
TOKEN = regex.compile(
    rf"[[{UNSPACED}]&&[\p{{L}}\p{{N}}]]\p{{M}}*|[[\p{{L}}\p{{N}}]--[{UNSPACED}]][[\p{{L}}\p{{M}}\p{{N}}]--[{UNSPACED}]]*",
    regex.VERSION1,
)
RUN = regex.compile(r"[\w\p{M}]+")
WORDLIKE = regex.compile(r"[\p{L}\p{N}]")
DOTTED = ("az", "tr")
"""Languages in which I is the capital of ı, and İ that of i."""
UNSEEN = regex.compile(r"[\p{Default_Ignorable_Code_Point}--\u200b]", regex.VERSION1)
"""What cannot be seen. The zero-width space is not among it: it parts words."""
TAKEN_APART = (
    (regex.compile("\u0e4d([\u0e48-\u0e4b]?)\u0e32"), "\u0e33"),
    (regex.compile("\u0ecd([\u0ec8-\u0ecb]?)\u0eb2"), "\u0eb3"),
)
"""The Thai and Lao vowel am as NFKC takes it apart, with a tone mark where there is one; dictionaries have it whole."""

APOSTROPHES = "'’‘‛`´′ʹʻʼʽˈꞌ＇׳"
"""Apostrophes, and letters and marks that look like one or are written for it."""
APOSTROPHE = regex.compile(rf"(?P<within>(?<=\p{{L}}\p{{M}}*)[{APOSTROPHES}](?=\p{{L}}))|[{APOSTROPHES}]")
GERSHAYIM = regex.compile(r"(?<=\p{Hebrew})[\"״”“](?=\p{Hebrew})")
LETTER = "ʼ"
CUT_AT_APOSTROPHES = frozenset((
    "af", "ast", "ca", "co", "cs", "cy", "da", "de", "el", "en", "eo", "es", "et", "eu", "fi", "fil", "fo", "fr",
    "frp", "fur", "fy", "ga", "gd", "gl", "gsw", "gv", "ht", "hu", "is", "it", "kw", "lb", "lij", "lmo", "lt", "lv",
    "mt", "nap", "nb", "nds", "nl", "nn", "no", "oc", "pcm", "pl", "pms", "pt", "rm", "ro", "sc", "scn", "sco",
    "sk", "sq", "sv", "tl", "tr", "vec", "wa",
))  # fmt: skip
"""Languages in which an apostrophe stands for what is left out, or before an ending: l’eau, don’t, İzmir’de.

In all others it is a letter of the word that it is in, as in Ukrainian, Uzbek, Hausa, Hawaiian or Breton.
"""


def words(text: str, language: str) -> list[str]:
    """The words of a text in lower case, combining marks kept, punctuation left out."""
    base = base_of(language)
    folded = folded_text(text, base)
    segment = SEGMENTERS.get(base)
    if segment is None or folded.isascii():
        return TOKEN.findall(folded)
    return [word for word in map(str.strip, segment(folded)) if WORDLIKE.search(word)]


def folded_text(text: str, language: str) -> str:
    """The text as words are compared: composed, without case and what cannot be seen, apostrophes of one form."""
    language = base_of(language)
    if language in DOTTED:
        text = text.replace("İ", "i").replace("I", "ı")
    folded = unicodedata.normalize("NFKC", text.replace("´", "'").casefold())
    if not folded.isascii():
        folded = UNSEEN.sub("", folded).replace("\u200b", " ")
        for parts, whole in TAKEN_APART:
            folded = parts.sub(rf"\1{whole}", folded)
        folded = GERSHAYIM.sub(2 * LETTER, folded)
    is_letter = language not in CUT_AT_APOSTROPHES
    return APOSTROPHE.sub(lambda mark: LETTER if is_letter and mark["within"] else " ", folded)


def segments(text: str, language: str) -> Iterable[str]:
    """A text as the segmenter of zh, ja or th cuts it: all of it, as it is written."""
    return SEGMENTERS[language](text)


def tokenizer_name(language: str) -> str:
    """What `words` splits a language by, with its version."""
    return NAMES.get(base_of(language), f"unicode-words-{unicodedata.unidata_version}")


UNSEGMENTED = frozenset(("bo", "dz", "km", "lo", "mnw", "my", "shn", "wuu", "yue"))
"""Languages without spaces between words of which no segmenter is here: `words` gives their letters."""


def count_words(text: str, language: str) -> int:
    r"""The number of words as IFEval counts them: runs of \w, to which marks belong; of a segmenter if there is one."""
    segmented = base_of(language) in SEGMENTERS
    return len(words(text, language)) if segmented else len(RUN.findall(UNSEEN.sub("", text)))


def has_word(word: str, text: str, language: str) -> bool:
    """Whether a word, or several in a row, is in a text as a whole word, in upper or lower case."""
    asked, written = folded_text(word, language), folded_text(text, language)
    if base_of(language) not in SEGMENTERS or written.isascii():
        return regex.search(rf"(?<![\w\p{{M}}]){regex.escape(asked.strip())}(?![\w\p{{M}}])", written) is not None
    return any(True for _ in _places(asked, written, language))


def begins_with_word(text: str, word: str, language: str) -> bool:
    """Whether the first word of a text is this one, in upper or lower case, in a language with a segmenter."""
    asked, written = folded_text(word, language), folded_text(text, language)
    return 0 in _places(asked, regex.sub(r"^[\p{P}\p{S}\s]+", "", written), language)


def _places(word: str, text: str, language: str) -> Iterator[int]:
    """Where a word begins in a text without its spaces, at and up to a boundary of the segmenter."""
    pieces = ["".join(piece.split()) for piece in SEGMENTERS[base_of(language)](text)]
    joined, asked = "".join(pieces), "".join(word.split())
    boundaries = {0, *accumulate(map(len, pieces))}
    position = joined.find(asked)
    while position >= 0:
        if position in boundaries and position + len(asked) in boundaries:
            yield position
        position = joined.find(asked, position + 1)
