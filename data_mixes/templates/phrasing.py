"""Phrases with slots, rendered in the grammar of each language.

A phrase is text with fields in braces. A field names a slot and, if wanted, what to do with it:

======================  ==================================================================
``{name}``              the slot: a number, a word's ``one`` form, or a list, joined
``{object.many}``       another form of the word, as its language's entry spells it
``{object.is:m|f}``     the first text if the word is masculine, the second if feminine
``{a object}``          a number with its noun: "12 apples", "りんご12個"; in Arabic the noun
                        is few after 3–10, many after 11–99, one after full hundreds
``{name~은는}``         followed by the Korean particle that fits the last syllable or digit
``{things|reversed}``   a filter, left to right; see :data:`FILTERS`
======================  ==================================================================

Numbers are written with ASCII digits in all languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Word:
    """One entry of a word list, in one language: its forms by name ("one", "many", "gender", …)."""

    key: str
    language: str
    forms: Mapping[str, str] = field(hash=False)

    def form(self, name: str) -> str:
        """The form called `name`. Raises PhraseError naming the forms there are."""
        try:
            return self.forms[name]
        except KeyError:
            known = ", ".join(sorted(self.forms))
            raise PhraseError(f"{self.key} ({self.language}) has no form {name!r}, only {known}") from None


Slot: TypeAlias = int | str | Word | Sequence[int | Word]


class PhraseError(ValueError):
    """A phrase that asks for a slot, form or filter that is not there."""


LIST_SEPARATOR = {"ja": "、", "zh": "、", "ar": "، "}
QUOTES = {
    "en": "“{}”",
    "es": "«{}»",
    "fr": "« {} »",
    "ja": "「{}」",
    "zh": "“{}”",
    "ar": "«{}»",
    "ko": "“{}”",
    "pt": "“{}”",
}

FIELD = re.compile(r"\{([^{}]+)\}")
GENDERED = re.compile(r"(?P<slot>\w+)\.is:(?P<masculine>[^|]*)\|(?P<feminine>.*)", re.DOTALL)
COUNTED = re.compile(r"(?P<number>\w+) (?P<noun>\w+)(?:~(?P<particle>..))?")
PLAIN = re.compile(r"(?P<slot>\w+)(?:\.(?P<form>\w+))?(?P<filters>(?:\|[^|~]+)*)(?:~(?P<particle>..))?")


def render(phrase: str, language: str, slots: Mapping[str, Slot]) -> str:
    """The phrase with every field replaced. Raises PhraseError for a field that cannot be."""

    def replace(match: re.Match[str]) -> str:
        try:
            return _render_field(match[1], language, slots)
        except PhraseError as error:
            raise PhraseError(f"{{{match[1]}}} in {phrase!r}: {error}") from None

    return FIELD.sub(replace, phrase)


def _render_field(text: str, language: str, slots: Mapping[str, Slot]) -> str:
    if match := GENDERED.fullmatch(text):
        gender = _word(slots, match["slot"]).form("gender")
        return match["masculine"] if gender == "m" else match["feminine"]
    if match := COUNTED.fullmatch(text):
        number = _slot(slots, match["number"])
        if not isinstance(number, int):
            raise PhraseError(f"{match['number']!r} is not a number")
        return with_particle(counted(number, _word(slots, match["noun"])), match["particle"])
    if match := PLAIN.fullmatch(text):
        value = _slot(slots, match["slot"])
        if match["form"]:
            value = _word(slots, match["slot"]).form(match["form"])
        for name in match["filters"].split("|")[1:]:
            value = apply_filter(name, value, language, slots)
        return with_particle(spell(value, language), match["particle"])
    raise PhraseError("not a field; see data_mixes.templates.phrasing")


def _slot(slots: Mapping[str, Slot], name: str) -> Slot:
    try:
        return slots[name]
    except KeyError:
        raise PhraseError(f"no slot {name!r}; there are {', '.join(sorted(slots))}") from None


def _word(slots: Mapping[str, Slot], name: str) -> Word:
    value = _slot(slots, name)
    if not isinstance(value, Word):
        raise PhraseError(f"{name!r} is not a word")
    return value


def spell(value: Slot, language: str) -> str:
    """A slot's value as text: a word's base form, a list joined by the language's separator."""
    if isinstance(value, Word):
        return value.form("one")
    if isinstance(value, int | str):
        return str(value)
    return LIST_SEPARATOR.get(language, ", ").join(spell(item, language) for item in value)


def counted(number: int, noun: Word) -> str:
    """A number with its noun in the form and order of the noun's language."""
    match noun.language:
        case "ja" | "ko":
            gap = " " if noun.language == "ko" else ""
            return f"{noun.form('one')}{gap}{number}{noun.form('counter')}"
        case "zh":
            return f"{number}{noun.form('counter')}{noun.form('one')}"
        case "ar":
            return f"{number} {noun.form(arabic_form(number))}"
        case _:
            return f"{number} {noun.form('one' if number == 1 else 'many')}"


def arabic_form(number: int) -> str:
    """Which form of the noun follows a number in Arabic.

    3–10 take the genitive plural (few), 11–99 the accusative singular (many), full hundreds the
    genitive singular (one). After 1, 2, 101, 102 … the number and the noun change places, which is not supported.
    """
    last = number % 100
    if 3 <= last <= 10:
        return "few"
    if last >= 11:
        return "many"
    if last == 0 and number:
        return "one"
    raise PhraseError(f"{number} does not stand before its noun in Arabic; draw another number")


_DIGITS_WITH_FINAL = set("013678")  # 영 일 삼 육 칠 팔; and 십, 백, 천 by their zeros
_DIGITS_FINAL_RIEUL = set("178")


def with_particle(text: str, pair: str | None) -> str:
    """`text` and, of a pair like "은는", "을를", "이가", "과와", "로_" (으로/로) or "이_" (이 or none), what fits.

    "{name~은는}" is 사라는 and 카림은: the first after a final consonant, the second after a vowel.
    """
    if pair is None:
        return text
    last = text.rstrip("”」』'\"»)")[-1:]
    if "가" <= last <= "힣":
        final = (ord(last) - ord("가")) % 28
        has_final, rieul = final != 0, final == 8
    else:
        has_final, rieul = last in _DIGITS_WITH_FINAL, last in _DIGITS_FINAL_RIEUL
    if pair == "로_":
        return text + ("으로" if has_final and not rieul else "로")
    return text + (pair[0] if has_final else pair[1].removeprefix("_"))


Filter: TypeAlias = Callable[[Slot, str], Slot]


def _items(value: Slot) -> list[int | Word]:
    if isinstance(value, int | str | Word):
        raise PhraseError("the filter needs a list")
    return list(value)


def _numbers(value: Slot) -> list[int]:
    items = _items(value)
    if not all(isinstance(item, int) for item in items):
        raise PhraseError("the filter needs numbers")
    return [item for item in items if isinstance(item, int)]


def _lines(value: Slot, language: str, prefix: Callable[[int], str]) -> str:
    return "\n".join(prefix(number) + spell(item, language) for number, item in enumerate(_items(value), 1))


FILTERS: dict[str, Filter] = {
    "reversed": lambda value, language: _items(value)[::-1],
    "ascending": lambda value, language: sorted(_numbers(value)),
    "descending": lambda value, language: sorted(_numbers(value), reverse=True),
    "largest": lambda value, language: max(_numbers(value)),
    "smallest": lambda value, language: min(_numbers(value)),
    "first": lambda value, language: _items(value)[0],
    "last": lambda value, language: _items(value)[-1],
    "count": lambda value, language: len(_items(value)),
    "lines": lambda value, language: _lines(value, language, lambda number: ""),
    "bullets": lambda value, language: _lines(value, language, lambda number: "- "),
    "numbered": lambda value, language: _lines(value, language, lambda number: f"{number}. "),
    "commas": lambda value, language: ", ".join(spell(item, language) for item in _items(value)),
    "upper": lambda value, language: spell(value, language).upper(),
    "lower": lambda value, language: spell(value, language).lower(),
    "capital": lambda value, language: spell(value, language)[:1].upper() + spell(value, language)[1:],
    "quoted": lambda value, language: QUOTES[language].format(spell(value, language)),
}


def apply_filter(name: str, value: Slot, language: str, slots: Mapping[str, Slot]) -> Slot:
    """One filter of a field; "times n" repeats the text n times, n a slot or a number."""
    if name.startswith("times "):
        count = name.removeprefix("times ")
        number = int(count) if count.isdigit() else _slot(slots, count)
        if not isinstance(number, int):
            raise PhraseError(f"{count!r} is not a number")
        return " ".join([spell(value, language)] * number)
    if name not in FILTERS:
        raise PhraseError(f"no filter {name!r}; there are {', '.join(FILTERS)}, times N")
    return FILTERS[name](value, language)
