"""Where words begin and end in languages that are written without spaces between them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.metadata import version
from typing import Any


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
    from fugashi import GenericTagger  # pyright: ignore[reportAttributeAccessIssue]
    from unidic_lite import DICDIR

    # a Tagger would take the package unidic if it is there, whose dictionary has to be downloaded
    return GenericTagger(f'-Owakati -r "{DICDIR}/mecabrc" -d "{DICDIR}"')


SEGMENTERS: dict[str, Callable[[str], Iterable[str]]] = {"zh": _chinese, "ja": _japanese, "th": _thai}
"""Language → what cuts a text into words, as they are written."""
NAMES = {
    "zh": f"jieba-{version('jieba')}",
    "ja": f"fugashi-{version('fugashi')}+unidic-lite-{version('unidic-lite')}",
    "th": f"newmm-{version('pythainlp')}",
}
"""What each of them is called, with its version."""
