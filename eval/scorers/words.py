"""Words, by a tokenizer fit for the language: a segmenter where words are not spaced, Unicode words elsewhere."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import regex

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Myanmar}\p{Khmer}\p{Tibetan}"
"""Scripts without spaces between words."""
TOKEN = regex.compile(rf"[{UNSPACED}]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--[{UNSPACED}]]+", regex.VERSION1)
DOTTED = ("az", "tr")
"""Languages in which I is the capital of ı, and İ that of i."""
WORDLIKE = regex.compile(r"[\p{L}\p{N}]")


def words(text: str, language: str) -> list[str]:
    """The words of a text in lower case, combining marks kept, punctuation left out."""
    if language in DOTTED:
        text = text.replace("İ", "i").replace("I", "ı")
    folded = unicodedata.normalize("NFKC", text).casefold()
    segment = SEGMENTERS.get(language)
    if segment is None or folded.isascii():
        return TOKEN.findall(folded)
    return [word for word in map(str.strip, segment(folded)) if WORDLIKE.search(word)]


def segments(text: str, language: str) -> Iterable[str]:
    """A text as the segmenter of zh, ja or th cuts it: all of it, as it is written."""
    return SEGMENTERS[language](text)


def tokenizer_name(language: str) -> str:
    """What `words` splits a language by, with its version."""
    return NAMES.get(language, f"unicode-words-{unicodedata.unidata_version}")


def _chinese(text: str) -> Iterable[str]:
    return _jieba().cut(text)


def _japanese(text: str) -> Iterable[str]:
    return _fugashi().parse(text.replace("\n", " ").replace("\0", " ")).split(" ")


def _thai(text: str) -> Iterable[str]:
    from pythainlp.tokenize import word_tokenize

    return word_tokenize(text, engine="newmm", keep_whitespace=False)


@lru_cache(maxsize=1)
def _jieba() -> Any:
    import jieba

    jieba.setLogLevel(logging.WARNING)
    return jieba.Tokenizer()


@lru_cache(maxsize=1)
def _fugashi() -> Any:
    from fugashi import Tagger  # pyright: ignore[reportAttributeAccessIssue]

    return Tagger("-Owakati")


SEGMENTERS: dict[str, Callable[[str], Iterable[str]]] = {"zh": _chinese, "ja": _japanese, "th": _thai}
NAMES = {
    "zh": f"jieba-{version('jieba')}",
    "ja": f"fugashi-{version('fugashi')}+unidic-lite-{version('unidic-lite')}",
    "th": f"newmm-{version('pythainlp')}",
}
