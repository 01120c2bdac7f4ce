"""ROUGE with words fit for the language, as a module of `evaluate`.

evaluate.load("<repo>/eval/modules/multilingual_rouge"), with this project installed (pip install -e .).
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from eval.scorers.summaries import score_summary

METRICS = ("rouge_1", "rouge_2", "rouge_l", "chrf")
DESCRIPTION = """ROUGE-1/2/L (F1) and chrF++ of summaries in any language, averaged; None for a metric that no row has.
Rows are text; `language` is one code for all, or a list of codes."""


class MultilingualRouge(evaluate.Metric):
    """Means over the rows that are scored, and how many those are."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Lin 2004; Popović 2017",
            inputs_description=DESCRIPTION,
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, predictions: list[str], references: list[str], language: str | list[str]
    ) -> dict[str, Any]:
        languages = [language] * len(predictions) if isinstance(language, str) else language
        values_of: dict[str, list[float]] = {metric: [] for metric in METRICS}
        for prediction, reference, code in zip(predictions, references, languages, strict=True):
            for score in score_summary(prediction, reference, "", code):
                if score.metric in values_of and score.value is not None:
                    values_of[score.metric].append(score.value)
        means = {metric: sum(values) / len(values) if values else None for metric, values in values_of.items()}
        return means | {"scored": len(values_of["rouge_l"]), "unscored": len(predictions) - len(values_of["rouge_l"])}
