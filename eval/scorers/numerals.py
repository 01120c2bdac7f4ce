"""Numbers as people write them: any decimal digits, the separators of a locale, fractions, powers, 万 and "million".

One rule decides what a separator means. Where "." and "," both stand in a number, the last is its
decimal mark. One that repeats groups digits. One that stands once is a decimal mark unless exactly
three digits follow and one to three, not a lone 0, come before: then the locale decides by CLDR, and
"1.250" is 1250 in German and 1.25 in English, "1,250" 1.25 in Spain and 1250 in Mexico.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from eval.scorers.currencies import is_currency
from eval.scorers.locales import base_of, groups_by_space, has_decimal_comma
from eval.scorers.number_words import GAP, minus_before, scale_before, scale_of, unit_pattern

DIGITS_END = 0x20000
"""Where the planes of Unicode with digits end; to look through the others takes a tenth of a second."""
DIGITS = {code: str(unicodedata.decimal(chr(code))) for code in range(128, DIGITS_END) if chr(code).isdecimal()}
MARKS = dict.fromkeys(
    map(
        ord,
        "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\u00ad\u200b\u200c\u200d\u2060",
    )
)
ASCII = {
    **DIGITS, **MARKS,
    **{ord(fancy): plain for fancy, plain in zip("．－−＋％＄／＝⁄∕－﹣", ".--+%$/=//--", strict=True)},
}  # fmt: skip
"""Digits of every Unicode decimal system, and the marks around them, as ASCII; invisible characters vanish."""

RIGHT_TO_LEFT = frozenset(("ar", "ckb", "fa", "he", "ps", "sd", "ug", "ur", "yi"))
LONGEST = 300
"""Characters of what may be a number: a run of digits without end is none."""
GROUPING_SPACE = "\u00a0\u202f\u2009"
BODY = r"\d+(?:[.,٫٬]\d+)*"
APOSTROPHES = r"\d{1,3}(?:['’ʼ]\d{3})+(?!\d)(?:[.,]\d+)?"
SPACES = r"\d{{1,3}}(?:([{spaces}])\d{{3}}(?:\1\d{{3}})*)(?!\d)(?:[.,٫]\d+)?"
VULGAR = "".join(map(chr, [*range(0xBC, 0xBF), *range(0x2150, 0x215F), 0x2189]))
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
NUMBER = r"""
    (?P<sign>[-–+]?)
    (?P<money>(?:(?<![A-Za-z])[A-Za-z]{{1,3}})?(?:[$€£¥￥₹৳฿₩]|(?<=[KTUktu][Ss]h)\.?|(?<=Rs)\.?)\s?-?)?
    (?:
        (?P<mixed>\d+)\ +(?P<over>\d+)\ ?/\ ?(?P<under>\d+)
      | (?P<above>\d+)\ ?/\ ?(?P<below>\d+)(?![\d/])
      | (?:(?P<whole>\d+)\ ?)?(?P<vulgar>[{vulgar}])
      | (?P<spaced>{spaces})
      | (?P<apostrophes>{apostrophes})
      | (?P<body>{body}|(?<![\w.,])[.,٫]\d+)
    )
    (?:[eE](?P<e>[+-]?\d{{1,3}})(?![A-Za-z0-9_])|\s?[×x·*]\s?10(?:\s?\^\s?\{{?(?P<power>[+-]?\d{{1,3}})\}}?|(?P<raised>[⁻⁰¹²³⁴-⁹]{{1,4}})))?
"""
MORE = re.compile(rf"{GAP}?(?P<more>{BODY})")
"""Digits after a unit, as in 3万5000."""
GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:([，،])(?:\d{2}\1)*\d{3})+(?!\d)")
ARABIC_DECIMAL = re.compile(r"(?<=\d)،(?=\d{1,2}(?!\d|،))")


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a text: its value, how it is written, and where it begins and ends."""

    value: Fraction
    text: str
    start: int
    end: int


def _pattern(spaces: str) -> re.Pattern[str]:
    spaced = SPACES.format(spaces=spaces).replace(r"\1", r"(?P=space)").replace("([", "(?P<space>[")
    text = NUMBER.format(vulgar=VULGAR, spaces=spaced, apostrophes=APOSTROPHES, body=BODY)
    return re.compile(text, re.VERBOSE)


PATTERNS = {False: _pattern(GROUPING_SPACE), True: _pattern(GROUPING_SPACE + r"\ ")}


def plain(text: str) -> str:
    """The text in NFC with ASCII digits and marks; full-width and Arabic commas between groups of digits group."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text).translate(ASCII)
    if "，" in text or "،" in text:
        text = GROUPED.sub(_grouping, text)
        text = ARABIC_DECIMAL.sub("٫", text)
    return text


def _grouping(match: re.Match[str]) -> str:
    """Digits with commas as one number; a list of rising numbers (300，400，500) as it is."""
    groups = match[0].split(match[1])
    listed = (
        len(groups) > 2
        and len(groups[0]) == 3
        and groups == sorted(set(groups))
        and not any(group[0] == "0" for group in groups)
    )
    return match[0] if listed else match[0].replace(match[1], "٬")


def numbers(text: str, language: str) -> Iterator[Number]:
    """The numbers of a text from left to right. The text is `plain`."""
    pattern, start = PATTERNS[groups_by_space(language)], 0
    while match := pattern.search(text, start):
        start = match.end()
        if start - match.start() > LONGEST:
            continue
        letters = _letters_before(text, match.start() if match["sign"] else match.end("sign"))
        money = bool(match["money"]) or is_currency(letters, language)
        if not money and ((letters and not match["sign"]) or text[match.end("sign") - 1 : match.end("sign")] == "_"):
            continue
        if body := match["body"]:
            if not body[0].isdigit() and match.start("body") and _is_of_word(text[match.start("body") - 1]):
                body = body[1:]  # the point of an abbreviation
            values = separated(body, language)
            if len(values) > 1:  # marks that neither group nor divide: so many numbers
                yield from (Number(value, match[0], match.start(), match.end()) for value in values)
                continue
            value = values[0]
        else:
            value = _value(match, language)
        value *= Fraction(10) ** _exponent(match)
        value, begin, start = _scaled(text, value, match, language)
        written = text[begin:start]
        if _is_negative(text, match, letters if money else "", language):
            value, written = -value, f"-{written.lstrip('-–')}"
        elif _has_sign_after(text, start, language):
            value, written, start = -value, f"-{written}", start + 1
        yield Number(value, written, begin, start)


def _letters_before(text: str, end: int) -> str:
    """The letters of an alphabet with capitals that end there, as in H2O and Rp18."""
    start = end
    while start and _has_case(text[start - 1]):
        start -= 1
    return text[start:end]


def _has_case(character: str) -> bool:
    """Whether a character is a letter of an alphabet with capitals."""
    return character.isalpha() and character.lower() != character.upper()


def _is_of_word(character: str) -> bool:
    """Whether a character is a letter, a combining mark or a digit."""
    return unicodedata.category(character)[0] in "LMN"


def _is_negative(text: str, match: re.Match[str], letters: str, language: str) -> bool:
    """Whether a minus stands directly before, and nothing before that from which it would subtract.

    `letters` are those of a currency before the number; the minus may stand before them.
    """
    start = match.start()
    if match["money"] and match["money"].endswith("-"):
        return True
    if match["sign"] in ("-", "–"):
        before = text[start - 1 : start]
        return bool(letters) or not (before.isdigit() or before in (")", "]", "}", "%") or _has_case(before))
    start -= len(letters)
    if letters and text[start - 1 : start] in ("-", "–"):
        return not (text[start - 2 : start - 1].isdigit() or _has_case(text[start - 2 : start - 1]))
    return match["sign"] != "+" and minus_before(text[:start], language)


def _has_sign_after(text: str, end: int, language: str) -> bool:
    """Whether a minus follows the number, as some write it in scripts from right to left."""
    if base_of(language) not in RIGHT_TO_LEFT or text[end : end + 1] != "-":
        return False
    return re.match(r"\s*[\w(]", text[end + 1 :]) is None


def _value(match: re.Match[str], language: str) -> Fraction:
    """The value of a fraction, or of digits grouped by spaces or apostrophes."""
    if match["mixed"]:
        return int(match["mixed"]) + _ratio(match["over"], match["under"])
    if match["above"]:
        return _ratio(match["above"], match["below"])
    if match["vulgar"]:
        part = Fraction(unicodedata.numeric(match["vulgar"])).limit_denominator(10)
        return int(match["whole"] or 0) + part
    grouped = match["spaced"] or match["apostrophes"]
    digits = re.sub(rf"[{GROUPING_SPACE} '’ʼ]", "", grouped)
    return Fraction(re.sub("[,٫]", ".", digits))


def _ratio(above: str, below: str) -> Fraction:
    """A fraction; of a division by zero, what stands above."""
    return Fraction(int(above), int(below) or 1)


def _exponent(match: re.Match[str]) -> int:
    if match["raised"]:
        raised = match["raised"].translate(SUPERSCRIPTS)
        return int(raised) if re.fullmatch(r"-?\d+", raised) else 0
    return int(match["e"] or match["power"] or 0)


def _scaled(text: str, value: Fraction, match: re.Match[str], language: str) -> tuple[Fraction, int, int]:
    """The value with the units that belong to it, where it begins and ends: 5천만, 1億2000万, 2 crore 50 lakh.

    A unit multiplies the number before it and all smaller terms before that: 1万2千億 is 12000 × 10**8.
    """
    before, end = scale_before(language), match.end()
    if before and (scale := before.search(text[: match.start()])):
        return value * scale_of(language, scale["word"]), scale.start(), end
    units, terms, part = unit_pattern(language), list[Fraction](), value
    while unit := units.match(text, end):
        factor, smaller = scale_of(language, unit["unit"] or unit["word"]), part
        while terms and terms[-1] < factor:
            smaller += terms.pop()
        if not smaller and value:  # a unit that nothing is left for: 3 百百
            break
        terms.append(smaller * factor)
        part, end = Fraction(0), unit.end()
        more = MORE.match(text, end)
        values = separated(more["more"], language) if more else []
        if more and len(values) == 1 and values[0] < factor and (unit["unit"] or units.match(text, more.end())):
            part, end = values[0], more.end()
    return sum(terms, part), match.start(), end


def separated(body: str, language: str) -> list[Fraction]:
    """The value of digits with separators between them; several values where those cannot be of one number."""
    if body.isdigit():
        return [Fraction(int(body))]
    body = body.replace("٬", "").replace("٫", "\0")
    marks = [mark for mark in body if not mark.isdigit()]
    decimal = _decimal_mark(body, marks, language)
    whole, _, rest = body.partition(decimal) if decimal else (body, "", "")
    groups = re.split(r"[.,]", whole)
    if (not rest.isdigit() and rest) or not _grouped(groups):
        return [Fraction(int(digits)) for digits in re.findall(r"\d+", body)]
    return [Fraction(f"{''.join(groups) or 0}.{rest or 0}")]


def _decimal_mark(body: str, marks: list[str], language: str) -> str:
    """Which of the marks divides whole from part, if any."""
    if "\0" in marks:
        return "\0"
    kinds = set(marks)
    if not kinds:
        return ""
    if len(kinds) == 2:
        return marks[-1]
    if len(marks) > 1:
        return ""
    (mark,) = marks
    before, _, after = body.partition(mark)
    ambiguous = len(after) == 3 and 1 <= len(before) <= 3 and before.strip("0") != ""
    if not ambiguous:
        return mark
    return mark if (mark == ",") == has_decimal_comma(language) else ""


def _grouped(groups: list[str]) -> bool:
    """Whether these are groups of a number: of three digits, or of two and at last three (Indian)."""
    if len(groups) == 1:
        return True
    first, *middle, last = groups
    if len(last) != 3 or not 1 <= len(first) <= 3:
        return False
    return all(len(group) == 3 for group in middle) or (len(first) <= 2 and all(len(group) == 2 for group in middle))
