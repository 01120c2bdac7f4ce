"""The final number of a worked answer, in any decimal digits, compared exactly."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

from data_mixes.prompts import ANSWER_MARKERS
from eval.scorers.score import Score

METRIC = "accuracy"
VERSION = "final-number/1"
NO_ANSWER = "no number found"

COMMA_DECIMAL = {"es", "fr", "pt"}
"""Languages of the study that write 1.250,5 where the others write 1,250.5."""

NUMBER = re.compile(r"[-−－]?\d+(?:[.,٫٬，．'’\u00a0\u202f]\d+)*")
MARKERS = re.compile("|".join(re.escape(marker.rstrip(" :：")) for marker in ANSWER_MARKERS.values()), re.IGNORECASE)


def score_final_number(prediction: str, reference: str, language: str) -> Score:
    """1 if the prediction's final number equals the reference, else 0; no number counts as wrong, and is said."""
    found = final_number(prediction, language)
    if found is None:
        return Score(METRIC, 0.0, VERSION, reason=NO_ANSWER)
    return Score(METRIC, float(found == Decimal(reference)), VERSION, answer=str(found))


def final_number(text: str, language: str) -> Decimal | None:
    """The first number after the first answer marker; without a marker, the last number of the text."""
    text = unicodedata.normalize("NFC", text)
    if marker := MARKERS.search(text):
        after = NUMBER.search(text, marker.end())
        if after:
            return parse_number(after[0], language)
    numbers = NUMBER.findall(text)
    return parse_number(numbers[-1], language) if numbers else None


def parse_number(text: str, language: str) -> Decimal:
    """The value of a number as it is written in `language`.

    Of two kinds of separator the last is the decimal mark. One kind that stands several times, or
    once before exactly three digits where the language groups by it, is a grouping mark; "1.250" is
    1250 in Spanish and 1.25 in English.
    """
    digits = "".join(_ascii(character) for character in text)
    marks = [character for character in digits if character in ".,"]
    decimal_mark = "," if language in COMMA_DECIMAL else "."
    if len(set(marks)) == 2:
        decimal_mark = marks[-1]
    elif len(marks) > 1:
        decimal_mark = ""
    elif marks and marks[0] != decimal_mark and len(digits.rpartition(marks[0])[2]) != 3:
        decimal_mark = marks[0]
    whole = "".join(
        "." if character == decimal_mark else character
        for character in digits
        if character not in ".," or character == decimal_mark
    )
    return Decimal(whole)


_MARKS = {"٫": ".", "٬": ",", "，": ",", "．": ".", "−": "-", "－": "-"}


def _ascii(character: str) -> str:
    """An ASCII digit or mark for any Unicode one; grouping spaces and apostrophes vanish."""
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    return _MARKS.get(character, character if character in ".,-" else "")
