"""Language pass rates, as a module of `evaluate`: evaluate.load("<repo>/eval/modules/answer_language").

Needs this project installed (pip install -e .).
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from eval.scorers.language import ANOTHER, score_language
from eval.scorers.language_confusion import language_confusion_pass_rate

DESCRIPTION = """Line pass rate, word pass rate and their harmonic mean, the language confusion pass rate
(arXiv 2406.20052). `references` are the codes of the languages expected; `candidates` those it may be instead,
by default English and, with "another", any other that the identifier knows."""
DEFAULT_CANDIDATES = ("en", ANOTHER)


class AnswerLanguage(evaluate.Metric):
    """Rates over the answers that can be judged, and how many those are; None where there are none."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Marchisio et al. 2024",
            inputs_description=DESCRIPTION,
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, predictions: list[str], references: list[str], candidates: list[str] | None = None
    ) -> dict[str, Any]:
        among = candidates or DEFAULT_CANDIDATES
        values_of: dict[str, list[float]] = {"language_pass": [], "word_pass": []}
        for prediction, expected in zip(predictions, references, strict=True):
            for score in score_language(prediction, expected, among):
                if score.value is not None:
                    values_of[score.metric].append(score.value)
        lines, words = (sum(values) / len(values) if values else None for values in values_of.values())
        both = language_confusion_pass_rate(lines, words) if lines is not None and words is not None else None
        scored = len(values_of["language_pass"])
        return {"lpr": lines, "wpr": words, "lcpr": both, "scored": scored, "unscored": len(predictions) - scored}
