"""TeX's ways of writing numbers, made plain: fractions of every make, grouping, text in formulas."""

from __future__ import annotations

import re
from fractions import Fraction

from eval.scorers.numerals import numbers, plain

FRACTION = re.compile(r"\\[a-z]*frac(?![a-z])\s*")
OVER = re.compile(r"\{\s*(-?[\d.,]+)\s*\\over\s*([\d.,]+)\s*\}")
REPLACED = [
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\!"), ""),
    (re.compile(r"\\[,;: ]|~"), "\u2009"),
    (re.compile(r"\\(?:text|textbf|textrm|textit|mathrm|mathbf|mathit|mbox|operatorname)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\(?:left|right|displaystyle)(?![a-z])"), ""),
    (re.compile(r"\\(?:times|cdot)\b"), "×"),
    (re.compile(r"\\([$%])"), r"\1"),
]


def without_tex(text: str, language: str) -> str:
    """The text with TeX's ways of writing numbers made plain."""
    if "\\" not in text and "{,}" not in text and "~" not in text:
        return text
    for pattern, replacement in REPLACED:
        text = pattern.sub(replacement, text)
    if "\\over" in text:
        text = OVER.sub(r"\\frac{\1}{\2}", text)
    return _without_fractions(text, language)


def _without_fractions(text: str, language: str) -> str:
    r"""The text with 1/2 for \frac{1}{2}, \frac12, \frac{1}2 and 2.5/5 as 1/2; other fractions as they are."""
    done, start = "", 0
    while match := FRACTION.search(text, start):
        above, end = _argument(text, match.end())
        below, end = _argument(text, end)
        values = [_value(argument, language) for argument in (above, below)]
        if values[0] is None or not values[1]:
            done += text[start : match.end()]
            start = match.end()
            continue
        ratio = values[0] / values[1]
        signed = text[: match.start()].rstrip().endswith(("-", "−"))
        space = "" if signed or ratio < 0 else " "
        done += text[start : match.start()].rstrip() + f"{space}{ratio.numerator}/{ratio.denominator} "
        start = end
    return done + text[start:]


def _argument(text: str, start: int) -> tuple[str, int]:
    """The argument that begins there, braces balanced or one character, and where it ends."""
    while text[start : start + 1] in (" ", "\u2009"):
        start += 1
    if text[start : start + 1] != "{":
        return text[start : start + 1], start + 1
    depth, end = 1, start + 1
    while end < len(text) and depth:
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        end += 1
    return text[start + 1 : end - 1 if not depth else end], end


def _value(argument: str, language: str) -> Fraction | None:
    """The value of an argument that is one number; None of any other."""
    read = list(numbers(plain(argument), language))
    rest = plain(argument).replace(read[0].text, "", 1).strip(" $\u2009+-") if len(read) == 1 else argument
    return read[0].value if len(read) == 1 and not rest else None
