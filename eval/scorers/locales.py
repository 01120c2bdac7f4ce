"""What CLDR knows of a language as it is written: number separators and quotation marks, by BCP 47 code."""

from __future__ import annotations

from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.core import get_global

SPACES = frozenset(" \u00a0\u202f\u2009")
ALSO_GROUPED_BY_SPACE = frozenset(("de", "es", "pt"))
"""Languages whose orthographies allow a space between groups of digits, though CLDR has a point."""


def base_of(language: str) -> str:
    """The language of a code without script and region, in lower case: "es" of "es-MX"."""
    return language.replace("_", "-").partition("-")[0].lower()


@lru_cache(maxsize=1024)
def locale_of(language: str) -> Locale | None:
    """CLDR's locale of a code, or of the language alone where it has no such region; None if it has neither."""
    code, base = language.replace("_", "-"), base_of(language)
    aliases = get_global("language_aliases")
    for candidate in (code, base, aliases.get(base, base)):
        try:
            return Locale.parse(candidate, sep="_" if "_" in candidate else "-")
        except (UnknownLocaleError, ValueError):
            continue
    return None


@lru_cache(maxsize=1024)
def _separators(language: str) -> tuple[str, str]:
    """The decimal mark and the group separator beside ASCII digits."""
    locale = locale_of(language)
    symbols = (locale.number_symbols.get("latn") if locale else None) or {}
    return symbols.get("decimal", "."), symbols.get("group", ",")


def has_decimal_comma(language: str) -> bool:
    """Whether the decimal mark is the comma; else it is the point."""
    return _separators(language)[0] == ","


def groups_by_space(language: str) -> bool:
    """Whether digits are grouped by a space."""
    return _separators(language)[1] in SPACES or base_of(language) in ALSO_GROUPED_BY_SPACE
