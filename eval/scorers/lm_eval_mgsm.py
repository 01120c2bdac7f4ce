"""Math as lm-evaluation-harness 0.4.13 scores MGSM, for comparison with published numbers, faults included.

Its exact match drops all ASCII punctuation from both sides: 1.5 and 15 are equal to it.
"""

from __future__ import annotations

import re
import string

from eval.scorers.score import Score

VERSION = "lm-eval-0.4.13 mgsm/4"
STRICT, FLEXIBLE = "accuracy_lm_eval_strict", "accuracy_lm_eval_flexible"
NUMBER = r"(\-?[0-9\.\,]+)"
FLEXIBLE_PATTERN = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
ANNOUNCED = {
    "bn": f"The answer is {NUMBER}", "de": f"Die Antwort lautet {NUMBER}", "en": f"The answer is {NUMBER}",
    "es": f"La respuesta es {NUMBER}", "fr": f"La réponse est {NUMBER}", "ja": f"答えは{NUMBER}です。",
    "ru": f"Ответ — {NUMBER}", "sw": f"Jibu ni {NUMBER}", "te": f"సమాధానం {NUMBER}", "th": f"คำตอบคือ {NUMBER}",
    "zh": f"答案是 {NUMBER}。",
}  # fmt: skip
"""Its strict-match patterns of the native chain-of-thought tasks."""
PUNCTUATION = str.maketrans("", "", string.punctuation)


def score_as_lm_eval(prediction: str, reference: str, language: str) -> list[Score]:
    """Its strict match (the first announced number) and flexible extraction (the last number-like run)."""
    strict = Score(STRICT, None, VERSION, reason=f"lm-eval's MGSM has no {language}")
    if language in ANNOUNCED:
        announced = re.findall(ANNOUNCED[language], prediction)
        strict = _matched(STRICT, announced[0] if announced else None, reference)
    runs = FLEXIBLE_PATTERN.findall(prediction)
    return [strict, _matched(FLEXIBLE, runs[-1][0] or runs[-1][1] if runs else None, reference)]


def _matched(metric: str, answer: str | None, reference: str) -> Score:
    if answer is None:
        return Score(metric, 0.0, VERSION, reason="no match")
    equal = answer.lower().translate(PUNCTUATION) == reference.lower().translate(PUNCTUATION)
    return Score(metric, float(equal), VERSION, answer=answer)
