"""Text as it is typed and set: one form of it to compare, quotation marks, bullets and numbers of lists."""

from __future__ import annotations

import re
import unicodedata

import regex

SPACE = re.compile("[\u00a0\u2007\u2009\u202f]")
"""Spaces that only differ from a plain one in width, or in that no line breaks at them."""
LINE_END = re.compile("\r\n|[\r\u0085\u2028\u2029]")
UNSEEN = regex.compile(r"\p{Default_Ignorable_Code_Point}")
"""Joiners, marks of direction, soft hyphens, byte order marks and what else cannot be seen."""

CURVED = "“” „“ „” ”” ”“ ““ ‟” “’ «» »« »» <<>> ‹› ›‹ ›› ‘’ ‚‘ ‚’ ’’ ’‘ ‛’"
BRACKETED = "「」 『』 ｢｣ ﹁﹂ ﹃﹄ 《》 〈〉 〝〞 〝〟"
STRAIGHT = """״״ ׳׳ ＂＂ ＇＇ "" „" '' ``'' `'"""
QUOTATION_MARKS = tuple(
    (pair[: len(pair) // 2], pair[len(pair) // 2 :]) for pair in f"{CURVED} {BRACKETED} {STRAIGHT}".split()
)
"""Every pair that CLDR 48 has for some language, first or alternate, and others in use, such as ״…״ and »…»."""
SPACED_WITHIN = "«»‹›“”"
"""Marks that may stand apart from what they quote, as in French."""

BULLET = re.compile(
    r"(?:\*(?!\*|\S[^*]*\*$)|\+(?![+\d])|[-–—―−﹣－](?![-–—―−﹣－\d])|[•‣⁃·・･∙●○◦◉■□▪▫◆◇◼◻▶►▸➢➤✓✔✦★☆※])\s*\S",
)
NUMBERED = regex.compile(
    r"[(（\[]?\s*(?P<number>\d+|[\p{No}]|[〇零一二三四五六七八九十]+)\u20e3?\s*"
    r"(?:[)）\]]|[.．。:：、،,·।॥։።°º\-–—―−](?!\d)|(?<=\u20e3)|(?<=[①-⓿❶-➓㊀-㊉]))\s*\S"
)
HAN_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"〇": 0}


def plain(text: str) -> str:
    """The text in one form: composed (NFC), plain spaces, lines that end in \\n, nothing that cannot be seen."""
    return UNSEEN.sub("", SPACE.sub(" ", LINE_END.sub("\n", unicodedata.normalize("NFC", text))))


def is_quoted(phrase: str, text: str) -> bool:
    """Whether the phrase stands in the text between two quotation marks that belong together, of any language."""
    return any(
        opening + gap + phrase + gap + closing in text
        for opening, closing in QUOTATION_MARKS
        for gap in (("", " ") if opening in SPACED_WITHIN else ("",))
    )


def is_bullet(line: str) -> bool:
    """Whether a line without spaces at its ends is a point of a list; neither a number, a rule nor bold text is."""
    return BULLET.match(line) is not None


def list_number(line: str) -> int | None:
    """The number that a line of a numbered list begins with, in the digits of any script; None if it has none.

    After it comes a bracket, a point, a dash or what else a language has there: "1.", "١-", "१)", "（1）", "①", "一、".
    """
    match = NUMBERED.match(line)
    return None if match is None else _value(match["number"])


def _value(number: str) -> int | None:
    if number.isdecimal():
        return int(number)
    if number[0] in HAN_DIGITS or number[0] == "十":
        return _han_value(number)
    value = unicodedata.numeric(number)
    return int(value) if value == int(value) else None


def _han_value(number: str) -> int | None:
    """The value of a numeral up to 99, such as 十二, 二十 or 一〇; None for any other."""
    tens, ten, ones = number.rpartition("十")
    if not ten:
        return int("".join(str(HAN_DIGITS[digit]) for digit in ones))
    if tens not in ("", *HAN_DIGITS) or ones not in ("", *HAN_DIGITS):
        return None
    return 10 * HAN_DIGITS.get(tens, 1) + HAN_DIGITS.get(ones, 0)
