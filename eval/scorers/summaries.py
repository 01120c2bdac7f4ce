"""Summaries: ROUGE with words fit for the language, chrF++, length and copying.

Never compare ROUGE across languages: a word is not the same everywhere.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from rapidfuzz.distance import LCSseq

from eval.scorers.score import Score
from eval.scorers.words import tokenizer_name, words

PRIMARY = "rouge_l"
VERSION = "rouge-f1/3"
COPIED = 3
"""The n of the n-grams that copying is measured by."""
NO_WORDS = "the reference has no words"


def score_summary(prediction: str, reference: str, source: str, language: str) -> list[Score]:
    """ROUGE-L, ROUGE-1 and ROUGE-2 (F1, Lin 2004), chrF++ (Popović 2017), length ratio and copy rate.

    All but the length ratio are in 0…1. Unscored, with the reason, where the reference has nothing to compare.
    """
    rouge = f"{VERSION} {tokenizer_name(language)}"
    written, expected = words(prediction, language), words(reference, language)
    if not expected:
        scores = {name: Score(name, None, rouge, reason=NO_WORDS) for name in (PRIMARY, "rouge_1", "rouge_2")}
    else:
        scores = {
            PRIMARY: Score(PRIMARY, rouge_l(written, expected), rouge),
            "rouge_1": Score("rouge_1", rouge_n(written, expected, 1), rouge),
            "rouge_2": Score("rouge_2", rouge_n(written, expected, 2), rouge)
            if len(expected) > 1
            else Score("rouge_2", None, rouge, reason="the reference has fewer than two words"),
        }
    ratio = len(written) / len(expected) if expected else None
    return [
        *scores.values(),
        score_chrf(prediction, reference),
        Score("length_ratio", ratio, f"words/2 {tokenizer_name(language)}", reason=None if expected else NO_WORDS),
        score_copying(written, words(source, language), language),
    ]


def score_rouge_l(prediction: str, reference: str, language: str) -> Score:
    """ROUGE-L alone."""
    return score_summary(prediction, reference, "", language)[0]


def rouge_l(prediction: Sequence[str], reference: Sequence[str]) -> float:
    """2·LCS / (|prediction| + |reference|), 0 if either is empty."""
    if not prediction or not reference:
        return 0.0
    return 2 * LCSseq.similarity(prediction, reference) / (len(prediction) + len(reference))


def rouge_n(prediction: Sequence[str], reference: Sequence[str], size: int) -> float:
    """2·|common n-grams| / (|n-grams of both|), counted as often as they are in both; 0 if either has none."""
    one, other = ngrams(prediction, size), ngrams(reference, size)
    total = len(prediction) + len(reference) - 2 * (size - 1)
    return 2 * sum((one & other).values()) / total if one and other else 0.0


def ngrams(tokens: Sequence[str], size: int) -> Counter[Any]:
    """How often each n-gram occurs."""
    return Counter(tokens if size == 1 else zip(*(tokens[start:] for start in range(size)), strict=False))


def score_chrf(prediction: str, reference: str) -> Score:
    """Sentence-level chrF++ by sacrebleu, in 0…1, of texts in composed form (NFC)."""
    name = f"chrF2++ sacrebleu-{version('sacrebleu')} nfc"
    if not reference.strip():
        return Score("chrf", None, name, reason="the reference is empty")
    written, expected = (unicodedata.normalize("NFC", text) for text in (prediction, reference))
    return Score("chrf", min(1.0, _chrf().sentence_score(written, [expected]).score / 100), name)


@lru_cache(maxsize=1)
def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(word_order=2)


def score_copying(summary: Sequence[str], source: Sequence[str], language: str) -> Score:
    """The share of the summary's word trigrams that are in the source; unscored for a summary without any."""
    name = f"copied-{COPIED}-grams/2 {tokenizer_name(language)}"
    grams = ngrams(summary, COPIED)
    if not grams or not source:
        return Score("copy_rate", None, name, reason="no source" if grams else "fewer than three words")
    there = ngrams(source, COPIED)
    return Score("copy_rate", sum(count for gram, count in grams.items() if gram in there) / grams.total(), name)
