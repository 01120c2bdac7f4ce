"""The prose of a text: what is left without formulas, units, code, addresses, markup and what its item dictates.

Such things are the same in every language. They would count as another one where a language has a script of its own.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import regex

TEX = regex.compile(
    r"\$\$.{1,2000}?\$\$|\\\[.{1,2000}?\\\]|\\\(.{1,2000}?\\\)"  # formulas set apart,
    r"|\\begin\{(?P<name>\w+\*?)\}.{1,2000}?\\end\{(?P=name)\}"
    r"|(?<!\\)\$(?=\S)[^$\n]{1,200}?(?<=\S)(?<!\\)\$(?!\d)"  # those in a line, as pandoc tells them from dollars,
    r"|\\[A-Za-z]+\*?(?:\[[^\]\n]*\])?",  # and commands, not what stands in their braces
    regex.S,
)
MARKUP = regex.compile(r"<!--.{0,2000}?-->|</?[A-Za-z][^<>\n]{0,300}>|&(?:[A-Za-z]{2,8}|#x?[0-9A-Fa-f]{1,6});", regex.S)
INLINE_CODE = regex.compile(r"(?<!`)(`{1,2})(?!`)[^`\n]+\1(?!`)")
CODE_LINE = regex.compile(
    r"^[ \t]*(?:>>>|\$ |#include\b|import [\w.]+$|from [\w.]+ import\b|(?:def|class|function) \w+\s*\(|\"\w+\":).*$"
    r"|^[^\n]*(?:[=\[\]{}\"]|\w\()[^\n]*[;{}]$"
    r"|^[ \t]*(?:for|while|if|elif|with|except)\b[^\n]*(?:[=\[\]<>]|\w\()[^\n]*:$",
    regex.M,
)
JSON = regex.compile(r"\{\s*\"[^{}]{0,2000}\}")
ADDRESS = regex.compile(
    r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s<>\"'）」】，。、]+"  # of pages,
    r"|\bwww\.[^\s<>\"'）」】，。、]+"
    r"|[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"  # of mail,
    r"|(?<!\w)@[A-Za-z0-9_]+"  # of people,
    r"|(?<![\p{L}\d])(?:[A-Za-z]:|~|\.{1,2})?(?:[/\\][A-Za-z0-9._-]+){2,}[/\\]?"  # of files,
    r"|(?<![A-Za-z0-9])[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)+(?![A-Za-z0-9])"  # domains and dotted names
)
ARGUMENTS = r"\((?:[^\s()]{0,40}|'[^'\n]*'|\"[^\"\n]*\")(?:,\s?(?:[^\s()]{0,40}|'[^'\n]*'|\"[^\"\n]*\")){0,9}\)"
NAME_IN_CODE = regex.compile(
    r"(?<![A-Za-z0-9_])(?:(?:[A-Za-z]+_[A-Za-z0-9_]*|_+[A-Za-z]\w*|[a-z]+[A-Z][A-Za-z]*|[A-Za-z]*\d[A-Za-z0-9]*)"
    rf"(?![A-Za-z0-9_])(?:{ARGUMENTS})?|[A-Za-z]+{ARGUMENTS})"
)
"""snake_case, camelCase, x2, 5kg, GPT4, and a function with its arguments."""
UNIT = (
    r"(?:(?:[yzafpnuµμmcdhkMGTPEZY]|da)?(?:m|g|s|A|K|mol|cd|Hz|N|Pa|J|W|Wh|C|V|F|Ω|B|b|bit|bps|l|L|eV|cal|t)"
    r"|min|h|hr|hrs|d|sec|ha|atm|bar|dB|rpm|fps|px|pt|dpi|ppm|in|ft|yd|mi|lb|lbs|oz|gal|mph|kph|[°º]\s?[CFK])"
    r"(?:[23²³]|\^-?\d)?"
)
FUNCTION = r"(?:sin|cos|tan|cot|arcsin|arccos|arctan|log|ln|lg|exp|lim|max|min|mod|sqrt|gcd|lcm|det)"
NUMBER = r"\p{N}[\p{N}.,'’\u00a0\u202f]*(?:[eE][+-]?\d+)?"
AMOUNT = rf"{NUMBER}\s?%?\s?(?:{UNIT}(?:\s?[/·*]\s?{UNIT})*(?![\p{{Latin}}\d]))?"
OPERAND = rf"[(\[]*[+\-−]?(?:{FUNCTION}\s?)?(?:{AMOUNT}|\p{{L}}(?![\p{{L}}\p{{M}}])(?:[_^]?\{{?\d+\}}?)?)[)\]!]*"
OPERATOR = r"\s*[=≠≈≡<>≤≥⇒→+\-−–×✕÷*/·∙^±|!]+\s*"
FORMULA = regex.compile(rf"(?<![\p{{L}}\p{{M}}\d]){OPERAND}(?:{OPERATOR}{OPERAND})+(?![\p{{Latin}}\d])=?")
MEASURE = regex.compile(rf"(?<![\p{{Latin}}\d]){NUMBER}\s?{UNIT}(?:\s?[/·*]\s?{UNIT})*(?![\p{{Latin}}\d])")
CODE_OF_LETTERS = regex.compile(r"(?<![\p{Latin}\d])(?=[A-Z0-9-]*\d)[A-Z]+(?:-[A-Z0-9]+)+(?![\p{Latin}\d])")
"""HARBOR-ZULU-29."""
NAMES = r"[a-z]{0,2}[\p{Lu}\d][\p{Latin}\d'’.&-]*(?:[^\S\n]+[\p{Lu}\d(][\p{Latin}\d'’.&)-]*)*"
LIST_OF_NAMES = regex.compile(rf"^[^\p{{L}}\n]*{NAMES}(?:\s?[,;|•·]\s?{NAMES}){{2,}}[^\p{{L}}\n]*$", regex.M)
SYMBOL = regex.compile(r"(?<![\p{L}\p{M}\d])(?:\p{Latin}\([^()\n]{0,40}\)|\p{L}[.)](?=\s|$)|\(\p{L}\))", regex.M)
"""O(n log n), and the letters of a list."""
SET_APART = (
    TEX, INLINE_CODE, CODE_LINE, LIST_OF_NAMES, JSON, MARKUP, ADDRESS, CODE_OF_LETTERS, FORMULA, MEASURE,
    NAME_IN_CODE, SYMBOL,
)  # fmt: skip

NAME = regex.compile(
    r"(?P<first>(?:^|[.!?:]\s)[^\p{L}\n]*\p{Lu}\p{Ll}*(?=\s+\p{Ll}))"  # a capital that only begins a sentence
    r"|(?<![\p{Latin}\d])(?:[A-Z]{2,5}s?|[a-z]*\p{Lu}\p{Latin}*\p{Ll}\p{Latin}*)(?![\p{Latin}\d])",
    regex.M,
)
QUOTED = regex.compile(
    r"“([^”\n]+)”|«([^»\n]+)»|「([^」\n]+)」|『([^』\n]+)』|《([^》\n]+)》|\"([^\"\n]+)\"|„([^“”\n]+)[“”]|‘([^’\n]+)’"
)
LATIN_EDGE = regex.compile(r"[\p{Latin}\p{N}]")


def plain_text(text: str) -> str:
    """A text composed, full-width letters as plain ones and no-break spaces as spaces (NFKC)."""
    return unicodedata.normalize("NFKC", text)


def prose(text: str) -> str:
    """A text without formulas, units, code, addresses and markup; its lines stay lines."""
    for pattern in SET_APART:
        text = pattern.sub(_blank, text)
    return text


def _blank(match: regex.Match[str]) -> str:
    return " " + "\n" * match[0].count("\n")


def without_names(text: str) -> str:
    """A text without Latin names and abbreviations: words with a capital that does not begin a sentence."""
    return NAME.sub(lambda match: match[0] if match["first"] else " ", text)


def without(text: str, phrases: Iterable[str]) -> str:
    """A text without some phrases, whatever their case and spaces; of Latin letters and digits whole words alone."""
    for phrase in sorted({plain_text(phrase).strip() for phrase in phrases}, key=len, reverse=True):
        if len(phrase) > 1:
            text = _phrase(phrase).sub(" ", text)
    return text


@lru_cache(maxsize=4096)
def _phrase(phrase: str) -> regex.Pattern[str]:
    before = r"(?<![\p{Latin}\p{N}])" if LATIN_EDGE.match(phrase[0]) else ""
    after = r"(?![\p{Latin}\p{N}])" if LATIN_EDGE.match(phrase[-1]) else ""
    return regex.compile(before + r"\s+".join(map(regex.escape, phrase.split())) + after, regex.IGNORECASE)


def quoted(text: str) -> list[str]:
    """What stands in quotation marks in a text."""
    return [next(filter(None, match.groups())) for match in QUOTED.finditer(text)]
