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
    graded: bool = False
    """Whether a single score may lie between the ends; else it is right or wrong, and its mean a share."""

    @property
    def ends(self) -> tuple[float, float]:
        """The worst and the best value."""
        return self.worst, self.best


SHARE = Metric()
GRADED = Metric(graded=True)
METRICS = {
    "judge_rating": Metric(1.0, 5.0, 1.0, graded=True),
    "length_ratio": Metric(0.0, float("inf"), 1.0, graded=True),
    **dict.fromkeys(("chrf", "copy_rate", "instruction_pass", "instruction_pass_loose"), GRADED),
}


def metric_of(name: str) -> Metric:
    """The metric of a name; most are shares of right answers."""
    whole = name.removesuffix(IN_LANGUAGE).removesuffix(SWITCH_AWARE)
    return METRICS.get(whole, GRADED if whole.startswith("rouge") else SHARE)
