"""The final answer of a worked solution, in any of the languages of markers.yaml, compared exactly.

Thoughts and code are set apart first. The answer is in the last \\boxed{…}; else on the last line that
is "####" and a number; else after the last answer marker that a number follows; else it is the last number
of the text. Of what follows a marker, the line or sentence decides: the number after its last "=", else its
first one. Several alternatives ("18 or 20") are no answer.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from importlib.resources import files

from ruamel.yaml import YAML

from eval.scorers.alternatives import is_hedged
from eval.scorers.currencies import is_currency
from eval.scorers.locales import base_of
from eval.scorers.numerals import Number, numbers, plain
from eval.scorers.score import Score
from eval.scorers.tex import without_tex
from eval.scorers.thoughts import answer_text

METRIC = "accuracy"
VERSION = "final-answer/3"
NO_NUMBER = "no number found"
NO_NUMBER_AFTER_MARKER = "no number after the answer marker"
NO_NUMBER_IN_BOX = "no number in the box"
SEVERAL = "several answers"
TOO_LONG = 20_000
"""Characters of a prediction that are looked at, the last ones."""

MARKERS: dict[str, list[str]] = YAML(typ="safe", pure=True).load(
    (files("eval.scorers") / "markers.yaml").read_text(encoding="utf-8")
)
"""Language → what announces an answer, lower case."""
UNSPACED_SCRIPT = re.compile("[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
CLOSERS = r"[\s*_`\"»”’）)\]】]*"
HASHES = re.compile(r"(?<!#)####(?!#)(?P<line>[^\n]*)")
HEADING = re.compile(r"(?:[^\W\d_]+\W+){4}|\d[.):：]\s+\S|\d\s*[:：]")
"""What makes a heading of a line of four hashes and a number: many words, or the number of a step."""
COPULAS = ("是", "为", "為", "は", "が", "은", "는", "คือ", "เท่ากับ")
"""What makes a phrase of a word in languages without spaces around it."""
SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？।\n]")


def score_answer(prediction: str, reference: str, language: str) -> Score:
    """1 if the prediction's final answer equals the reference, else 0; no answer counts as wrong, and is said.

    An answer written just as the reference is right, whatever its separators would mean in the language.
    Raises ValueError for a reference that is no number.
    """
    expected = reference_value(reference, language)
    answer = find_answer(prediction, language)
    if isinstance(answer, str):
        return Score(METRIC, 0.0, VERSION, reason=answer)
    right = answer.value == expected or answer.text == plain(reference.strip())
    return Score(METRIC, float(right), VERSION, answer=written(expected if right else answer.value))


def reference_value(reference: str, language: str = "en") -> Fraction:
    """The value of a reference as the language writes it, e.g. "18", "1.250", "3/4", "25%". Raises ValueError."""
    values = list(numbers(plain(reference.strip()), language))
    if len(values) != 1:
        raise ValueError(f"the reference {reference!r} is not one number")
    return values[0].value


MOST_PLACES = 12


def written(value: Fraction) -> str:
    """A value in ASCII: whole, decimal where that ends within `MOST_PLACES`, else a fraction."""
    if value.denominator == 1:
        return str(value.numerator)
    digits = next((places for places in range(1, MOST_PLACES + 1) if 10**places % value.denominator == 0), None)
    if digits is None:
        return f"{value.numerator}/{value.denominator}"
    whole, part = divmod(abs(value.numerator) * 10**digits // value.denominator, 10**digits)
    return f"{'-' if value < 0 else ''}{whole}.{part:0{digits}d}"


def final_answer(text: str, language: str) -> Fraction | str:
    """The value of a text's final answer, or the reason why there is none."""
    answer = find_answer(text, language)
    return answer if isinstance(answer, str) else answer.value


def find_answer(text: str, language: str) -> Number | str:
    """A text's final answer, or the reason why there is none."""
    text = plain(without_tex(answer_text(text[-TOO_LONG:]), language))
    if boxed := boxes(text):
        return announced(boxed[-1], language) or NO_NUMBER_IN_BOX
    starts = marks(text, language)
    for start in reversed(starts):
        if answer := announced(text[start:], language):
            return answer
    if starts:
        return NO_NUMBER_AFTER_MARKER
    last = list(numbers(text, language))[-2:]
    if len(last) == 2 and is_hedged(last[0], text, language, announced=False):
        return SEVERAL
    return last[-1] if last else NO_NUMBER


def marks(text: str, language: str) -> list[int]:
    """Where the marks of an answer end: of "####" before a number, else of answer markers."""
    hashes = [match.start("line") for match in HASHES.finditer(text) if is_answer_line(match["line"], language)]
    return hashes or markers(text, language)


def is_answer_line(line: str, language: str) -> bool:
    """Whether what follows "####" is an answer, as in GSM8K, and not a heading: it begins with a number or currency."""
    first = next(numbers(line, language), None)
    if first is None or HEADING.search(line):
        return False
    before = re.sub(r"[\W_]+", "", line[: first.start])
    return not before or is_currency(before, language)


def announced(text: str, language: str) -> Number | str | None:
    """The number of what follows a marker: in its line or sentence the one after the last "=", else the first."""
    text = text.lstrip(" \t\r\n*_`:：")
    end = SENTENCE_END.search(text)
    sentence = text[: end.start()] if end else text
    for part in (sentence.rpartition("=")[2] if "=" in sentence else "", sentence, text):
        if answer := next(numbers(part, language), None):
            return SEVERAL if is_hedged(answer, part, language) else answer
    return None


def boxes(text: str) -> list[str]:
    """What stands in the \\boxed{…} of a text, braces balanced."""
    contents: list[str] = []
    for match in re.finditer(r"\\f?boxed\s*\{", text):
        depth, end = 1, match.end()
        while end < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        contents.append(text[match.end() : end - 1 if not depth else end])
    return contents


def markers(text: str, language: str) -> list[int]:
    """Where the answer markers of a text end."""
    return [match.end() for match in marker_pattern(language).finditer(text)]


@lru_cache(maxsize=64)
def marker_pattern(language: str) -> re.Pattern[str]:
    """The markers of a language, and the English ones.

    A noun alone announces a number only with a colon, dash or equals sign, or the number itself, after it:
    "to find the answer" announces nothing.
    """
    known = sorted({*MARKERS.get(base_of(language), []), *MARKERS["en"]}, key=len, reverse=True)
    phrases, nouns = (
        "|".join(
            _boundary(marker) + re.escape(plain(marker)).replace(r"\ ", r"\s+")
            for marker in known
            if announces(marker) == kind
        )
        for kind in (True, False)
    )
    number = r"(?=[\"“«$€£¥₹৳฿₩+-]*(?:(?-i:[A-Z])[^\W\d_]{0,3}\.?\s?)?\d)"
    return re.compile(rf"(?:{phrases}){CLOSERS}[:：ঃ=]?|(?:{nouns}){CLOSERS}(?:[:：ঃ=–—-]|{number})", re.IGNORECASE)


def _boundary(marker: str) -> str:
    """What may not stand before a marker: a letter, where words are spaced; Arabic prefixes may."""
    if UNSPACED_SCRIPT.match(marker):
        return ""
    return r"(?<![^\W\d_فو])" if "\u0600" <= marker[0] <= "\u06ff" else r"(?<![^\W\d_])"


def announces(marker: str) -> bool:
    """Whether a marker is more than a noun, so that a number may follow it without a colon."""
    return " " in marker or marker.endswith(COPULAS)
