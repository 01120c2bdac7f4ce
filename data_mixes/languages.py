"""Language codes: their canonical form (BCP 47), and which of them mean the same language."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from langcodes import Language, standardize_tag
from langcodes.tag_parser import LanguageTagError

BOKMAL, NORWEGIAN = "nb", "no"
"""Norwegian without a written standard means Bokmål; Nynorsk (nn) is another language."""


@lru_cache(maxsize=1024)
def canonical(code: str) -> str:
    """The canonical form of a code, e.g. "he" for "iw"; a code that is not a BCP 47 tag is returned as it is."""
    try:
        return standardize_tag(code)
    except LanguageTagError:
        return code


@lru_cache(maxsize=1024)
def full_tag(code: str) -> tuple[str, ...]:
    """Language, script and region, with the likely ones (CLDR) where the code does not say them.

    Equal for codes of one language: "zh" and "zh-Hans", "pt" and "pt-BR", "no" and "nb"; not for "zh" and "zh-Hant".
    """
    try:
        tag = Language.get(standardize_tag(code, macro=True))
    except LanguageTagError:
        return (code,)
    if tag.language == BOKMAL:
        tag = tag.update_dict({"language": NORWEGIAN})
    likely = tag.maximize()
    return tuple(part or "" for part in (likely.language, likely.script, likely.territory))


def same_language(code: str, other: str) -> bool:
    """Whether two codes mean one language, in one script and region."""
    return full_tag(code) == full_tag(other)


def nearest(code: str, known: Iterable[str]) -> str | None:
    """The code among `known` for the same language and script, that of the same region first; None without any."""
    codes = list(known)
    if code in codes:
        return code
    for parts in (3, 2):
        for other in codes:
            if full_tag(other)[:parts] == full_tag(code)[:parts]:
                return other
    return None
