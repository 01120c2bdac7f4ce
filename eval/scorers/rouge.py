"""ROUGE-L with tokens that fit the script, so that a text always agrees with itself."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import regex

from eval.scorers.score import Score

METRIC = "rouge_l"
VERSION = "rouge-l-f1/unicode-words+cjk-characters/1"

UNSEGMENTED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Myanmar}\p{Khmer}"
"""Scripts without spaces between words."""
TOKEN = regex.compile(rf"[{UNSEGMENTED}]|[[\p{{L}}\p{{M}}\p{{N}}]--[{UNSEGMENTED}]]+", regex.VERSION1)


def score_rouge_l(prediction: str, reference: str) -> Score:
    """The F1 of the longest common subsequence of tokens (Lin 2004); unscored if the reference has none."""
    expected = tokenize(reference)
    if not expected:
        return Score(METRIC, None, VERSION, reason="the reference has no words")
    return Score(METRIC, rouge_l(tokenize(prediction), expected), VERSION)


def tokenize(text: str) -> list[str]:
    """Words, lower-cased, combining marks kept; single characters in scripts without spaces."""
    return TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


def rouge_l(prediction: Sequence[str], reference: Sequence[str]) -> float:
    """2·LCS / (|prediction| + |reference|), 0 if either is empty."""
    if not prediction or not reference:
        return 0.0
    return 2 * common_subsequence(prediction, reference) / (len(prediction) + len(reference))


def common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for left in one:
        diagonal = 0
        for place, right in enumerate(other, 1):
            above = row[place]
            row[place] = diagonal + 1 if left == right else max(above, row[place - 1])
            diagonal = above
    return row[-1]
