"""Which of several settings may be the best, and how far each may be below it: multiple comparisons with the best.

J. C. Hsu, "Constrained simultaneous confidence intervals for multiple comparisons with the best", Annals of Statistics
12 (1984) 1136-1144. Which setting is best is not known, and the highest mean is partly luck: the bounds hold whichever
it is, for all settings together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.analysis.families import DRAWS, Arm, Contrast, contrast, simulated
from eval.analysis.stats import Codes
from eval.analysis.variance import LEVEL, Floats, RunVariance


@dataclass(frozen=True, slots=True)
class Standing:
    """How a setting stands to the best of all, with 95 % certainty over all settings together."""

    may_be_best: bool
    """Whether it cannot be told from the best."""
    below: float
    """The most that its true mean may be below that of the best."""


def standings(
    arms: Sequence[Arm], between: RunVariance | None, clusters: Codes | None = None, draws: int = DRAWS
) -> list[Standing] | None:
    """How each of several settings stands to the best; None where two of them cannot be compared.

    Arms are those of `compare_family`, and so is `between`. Without it the settings are these very models.
    """
    count = len(arms)
    made = {(one, other): contrast(arms[one], arms[other], between, clusters)
            for one in range(count) for other in range(one + 1, count)}  # fmt: skip
    contrasts = {pair: gap for pair, gap in made.items() if gap is not None}
    if len(contrasts) < len(made):
        return None
    gaps, margins = np.zeros((count, count)), np.zeros((count, count))
    for (one, other), gap in contrasts.items():
        gaps[one, other], gaps[other, one] = gap.mean, -gap.mean
    for best, critical in enumerate(_criticals(contrasts, count, draws)):
        for other in range(count):
            if other != best:
                margins[best, other] = critical * contrasts[min(best, other), max(best, other)].spread.error
    return _bounds(gaps, margins)


def _criticals(contrasts: dict[tuple[int, int], Contrast], count: int, draws: int) -> list[float]:
    """For each setting, if it is the best: how many standard errors below another its mean falls in 5 % of studies."""
    varied = {pair: gap for pair, gap in contrasts.items() if gap.spread.error > 0}
    if not varied:
        return [0.0] * count
    drawn = dict(zip(varied, simulated([*varied.values()], draws).T, strict=True))
    criticals: list[float] = []
    for best in range(count):
        against = [errors if best == one else -errors for (one, other), errors in drawn.items() if best in (one, other)]
        criticals.append(float(np.quantile(np.max(against, axis=0), 1 - LEVEL)) if against else 0.0)
    return criticals


def _bounds(gaps: Floats, margins: Floats) -> list[Standing]:
    """Of differences (one, other), and how far below another the best may fall by chance: margins (best, other)."""
    others = ~np.eye(len(gaps), dtype=bool)
    may_be = [bool((gaps[one] + margins[one])[others[one]].min() > 0) for one in range(len(gaps))]
    if not any(may_be):  # equal in everything
        may_be = [bool((gaps[one] >= 0).all()) for one in range(len(gaps))]
    standings: list[Standing] = []
    for one in range(len(gaps)):
        # one is below the best, whichever of those that may be best it is, by no more than this
        rivals = [best for best in range(len(gaps)) if may_be[best] and best != one]
        below = max((gaps[best, one] + margins[best, one] for best in rivals), default=0.0)
        standings.append(Standing(may_be[one], max(0.0, float(below))))
    return standings
