"""Letters that stand for a currency directly before a number: Rp18.000, Shs18, USD18."""

from __future__ import annotations

from functools import lru_cache

from babel.core import get_global

from eval.scorers.locales import base_of

ANY_CASE = frozenset((
    "brl", "cny", "eur", "gbp", "inr", "jpy", "kes", "krw", "ksh", "mxn", "rmb", "rp", "rs", "rub", "sh", "shs", "thb",
    "tk", "tl", "tsh", "tzs", "usd", "ush", "кр", "руб", "грн",
))  # fmt: skip
"""Written in capitals, small letters or both."""
SYMBOLS = frozenset((
    "Afl", "Ar", "Bs", "Bds", "Br", "CF", "CFA", "CFPF", "Cg", "DA", "DH", "Dh", "Dhs", "DT", "Db", "FBu", "FC", "FCFA",
    "FCFP", "FG", "Fdj", "Fr", "Ft", "Gs", "KM", "Kč", "Kčs", "Kn", "Kr", "Kz", "Le", "Lek", "Ls", "MK", "MTn", "Nfk",
    "Nkr", "Php", "Php", "RF", "RM", "Rf", "SFr", "SR", "Skr", "Dkr", "Ikr", "UM", "VT", "XAF", "XOF", "ZiG", "Zł",
    "din", "kn", "kr", "zł", "öS", "Nu", "NAf", "NAfl", "Esc", "Lei", "lei", "КМ", "ден", "дин", "лв", "сом", "сум",
    "тг", "тнг", "Δρχ", "soʻm",
))  # fmt: skip
"""CLDR's symbols of several letters, and some that people write beside them."""
LETTERS = {
    "af": "R", "bem": "K", "en": "DEKNPR", "es": "BCLQ", "fr": "FG", "hu": "F", "nso": "R", "so": "S", "ss": "E",
    "st": "MR", "tn": "PR", "ts": "R", "ve": "R", "xh": "R", "zu": "R",
}  # fmt: skip
"""Single letters that are a currency in a country of the language, such as R in South Africa."""


@lru_cache(maxsize=1)
def _iso_codes() -> frozenset[str]:
    return frozenset(get_global("all_currencies"))


def is_currency(letters: str, language: str) -> bool:
    """Whether letters name a currency: an ISO 4217 code in capitals or a symbol in use; one letter by the language."""
    if len(letters) == 1:
        return letters in LETTERS.get(base_of(language), "")
    return letters in SYMBOLS or letters.lower() in ANY_CASE or letters in _iso_codes()
