"""How figures are written: metrics and their units in words, means, differences, shares, times."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from eval.analysis.groups import Kind
from eval.scorers.metrics import IN_LANGUAGE, SHARE, SWITCH_AWARE, Metric, metric_of

NAMES = {"rouge_l": "ROUGE-L", "rouge_1": "ROUGE-1", "rouge_2": "ROUGE-2", "chrf": "chrF++"}
SPLITS = {
    IN_LANGUAGE: "of answers in the right language",
    SWITCH_AWARE: "worst score for an answer in another language",
}
CUT_BY_LANGUAGE = ("rouge", "chrf")
"""How the names of metrics begin whose units differ by language."""


def metric_name(metric: str) -> str:
    """A metric in words: "accuracy", "accuracy (of answers in the right language)"."""
    for ending, words in SPLITS.items():
        if metric.endswith(ending):
            return f"{metric_name(metric.removesuffix(ending))} ({words})"
    return NAMES.get(metric, metric.replace("_", " "))


def metric_title(metric: str) -> str:
    """A metric with its unit: "accuracy, %", "ROUGE-L × 100", "judge rating, 1 to 5"."""
    unit = metric_of(metric)
    if unit.factor == SHARE.factor:
        return f"{metric_name(metric)} × 100" if depends_on_language(metric) else f"{metric_name(metric)}, %"
    return (
        f"{metric_name(metric)}, {unit.worst:g} to {unit.best:g}" if math.isfinite(unit.best) else metric_name(metric)
    )


def depends_on_language(metric: str) -> bool:
    """Whether a metric counts words or characters, so that figures of different languages are not on one scale."""
    return metric.startswith(CUT_BY_LANGUAGE)


def unit_of(metric: str, kind: str) -> Metric:
    """The unit of a figure: a ratio of means is a share, whatever it is a ratio of."""
    return SHARE if kind == Kind.RATIO else metric_of(metric)


def shown(value: float | None, metric: Metric) -> str:
    """A value as tables show it: times the metric's factor, with one decimal of 100, or two of less."""
    return "" if value is None else f"{metric.factor * value:.{decimals_of(metric)}f}"


def difference(value: float | None, other: float | None, metric: Metric) -> str:
    """How far a value is above another, signed; blank if one of them is missing."""
    if value is None or other is None:
        return ""
    return f"{metric.factor * (value - other):+.{decimals_of(metric)}f}".replace("-", "−")


def decimals_of(metric: Metric) -> int:
    """The decimals of a mean."""
    return 1 if metric.factor == SHARE.factor else 2


def percent(share: float | None) -> str:
    """A share in percent; blank if there is none."""
    return "" if share is None else f"{100 * share:.1f} %"


def names_in_words(names: Mapping[str, object] | Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def duration(seconds: float) -> str:
    """ "27 s", "6 min 26 s", "3 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02} min"
