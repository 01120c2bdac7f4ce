"""What the figures of a metric are: their range, and how tables show them."""

from __future__ import annotations

from dataclasses import dataclass

IN_LANGUAGE, SWITCH_AWARE = "_in_language", "_switch_aware"
"""Ends of the names of split scores: of completions in the right language alone; with the worst value for others."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's range and the factor that tables show its figures times."""

    worst: float = 0.0
    best: float = 1.0
    factor: float = 100.0

    @property
    def ends(self) -> tuple[float, float]:
        """The worst and the best value."""
        return self.worst, self.best


SHARE = Metric()
METRICS = {"judge_rating": Metric(1.0, 5.0, 1.0), "length_ratio": Metric(0.0, float("inf"), 1.0)}


def metric_of(name: str) -> Metric:
    """The metric of a name; most are shares."""
    return METRICS.get(name.removesuffix(IN_LANGUAGE).removesuffix(SWITCH_AWARE), SHARE)
