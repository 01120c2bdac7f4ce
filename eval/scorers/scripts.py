"""Scripts: which ones a language is written in, by CLDR, and letters of them in a text."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import regex
from babel.core import get_global

WRITTEN_IN = {"Jpan": {"Hani", "Hira", "Kana"}, "Kore": {"Hang", "Hani"}, "Hans": {"Hani"}, "Hant": {"Hani"}}
"""What ISO 15924's names of several scripts together stand for."""
ALSO_IN = {
    "az": {"Cyrl"}, "bs": {"Cyrl"}, "crh": {"Latn"}, "ha": {"Arab"}, "kk": {"Latn"}, "ku": {"Arab"}, "mn": {"Mong"},
    "ms": {"Arab"}, "pa": {"Arab"}, "sr": {"Latn"}, "tg": {"Arab"}, "tk": {"Cyrl"}, "uz": {"Cyrl"},
}  # fmt: skip
"""Scripts in common use beside the likely one of CLDR."""


def script_of(language: str) -> str | None:
    """The script that a code names (zh-Hant, eng_Latn), else CLDR's likely one (Jpan for ja); None if it has none."""
    code, *subtags = language.replace("_", "-").split("-")
    if named := _named_script(subtags):
        return named
    usual = get_global("language_aliases").get(code, code)
    likely = get_global("likely_subtags")
    expanded = likely.get("_".join((usual, *subtags))) or likely.get(usual)
    return expanded.split("_")[1] if expanded else None


def _named_script(subtags: Iterable[str]) -> str | None:
    return next((subtag.title() for subtag in subtags if len(subtag) == 4 and subtag.isalpha()), None)


@lru_cache(maxsize=1024)
def scripts_of(language: str) -> frozenset[str]:
    """The scripts that a text of the language may be in, by their ISO 15924 codes; Latin where CLDR knows none.

    A code that names its script (sr-Latn) means that one alone.
    """
    likely = script_of(language) or "Latn"
    code, *subtags = language.replace("_", "-").split("-")
    also = set[str]() if _named_script(subtags) else ALSO_IN.get(code, set())
    return frozenset(WRITTEN_IN.get(likely, {likely}) | also)


def is_latin(language: str) -> bool:
    """Whether the language may be written in Latin letters."""
    return "Latn" in scripts_of(language)


@lru_cache(maxsize=256)
def letters_in(scripts: frozenset[str]) -> regex.Pattern[str]:
    """A letter of these scripts."""
    return regex.compile("[" + "".join(rf"\p{{Script={script}}}" for script in sorted(scripts)) + "]")
