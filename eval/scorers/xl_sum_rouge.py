"""ROUGE as XL-Sum publishes it (Hasan et al. 2021, arXiv 2106.13822), for comparison with published numbers.

By its own program, which `pip install '.[xl-sum]'` brings: its stemmers and segmenters, words of lower case.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from eval.scorers.score import Score

METRICS = {"rouge_1_xl_sum": "rouge1", "rouge_2_xl_sum": "rouge2", "rouge_l_xl_sum": "rougeL"}
NAMES = {
    "ar": "arabic", "bn": "bengali", "da": "danish", "de": "german", "en": "english", "es": "spanish", "fi": "finnish",
    "fr": "french", "hi": "hindi", "hu": "hungarian", "it": "italian", "my": "burmese", "nb": "norwegian",
    "nl": "dutch", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sv": "swedish",
    "th": "thai", "tr": "turkish", "zh": "chinese",
}  # fmt: skip
"""Languages for which it has a stemmer or a segmenter, by its names."""
NOT_HAD = {
    "bn": "the rules of XL-Sum's Bengali stemmer are not in the package",
    "ja": "XL-Sum's Japanese needs the full UniDic, which is not on the package index",
}


def score_as_xl_sum(prediction: str, reference: str, language: str) -> list[Score]:
    """Its ROUGE-1, -2 and -L (F1, 0…1); unscored with the reason where what it needs for a language is not here."""
    scorer = NOT_HAD.get(language) or _scorer(NAMES.get(language, language))
    if isinstance(scorer, str):
        return [Score(metric, None, "xl-sum", reason=scorer) for metric in METRICS]
    scores, name = scorer.score(reference, prediction), f"xl-sum multilingual-rouge-{version('multilingual-rouge')}"
    return [Score(metric, float(scores[theirs].fmeasure), name) for metric, theirs in METRICS.items()]


@lru_cache(maxsize=64)
def _scorer(name: str) -> Any:
    """Its scorer for a language, or why there is none."""
    try:
        version("multilingual-rouge")
    except PackageNotFoundError:
        return "XL-Sum's program is not installed: pip install '.[xl-sum]'"
    try:
        with warnings.catch_warnings(action="ignore"):
            return import_module("multilingual_rouge.rouge_scorer").RougeScorer(
                list(METRICS.values()), use_stemmer=True, lang=name
            )
    except (LookupError, ValueError):  # without NLTK's stop words, or with an old list that lacks the language
        return f"NLTK's stop words, which XL-Sum's {name} needs, are not here: python -m nltk.downloader stopwords"
