"""What scores of rows come to, per language and metric."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from scipy.special import stdtrit

from eval.analysis.stats import LEVEL, wilson
from eval.prediction_files.file import BadRow
from eval.prediction_files.rows import ScoredRow
from eval.scorers.language_confusion import language_confusion_pass_rate
from eval.scorers.metrics import metric_of
from eval.scorers.score import Score

TINY = 1e-9
"""A smaller share of the sum of squares is rounding."""


@dataclass
class Tally:
    """Scored and unscored rows of one language and metric."""

    metric: str
    scored: int = 0
    unscored: int = 0
    no_answer: int = 0
    total: float = 0.0
    squares: float = 0.0
    extreme: bool = True
    """Whether every value is the worst or the best there is, as those of yes or no are."""
    version: str = ""

    def merge(self, other: Tally) -> None:
        """Adds what another counted."""
        for name in ("scored", "unscored", "no_answer", "total", "squares"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.extreme, self.version = self.extreme and other.extreme, other.version

    def add(self, score: Score) -> None:
        """Counts one score."""
        self.version = score.version
        if score.value is None:
            self.unscored += 1
            return
        self.scored += 1
        self.total += score.value
        self.squares += score.value**2
        known = metric_of(self.metric)
        self.extreme = self.extreme and not known.graded and score.value in (known.worst, known.best)
        self.no_answer += score.reason is not None

    def as_data(self) -> dict[str, Any]:
        """Mean and 95 % interval over rows taken as independent; None of nothing.

        The interval is Wilson's where scores are right or wrong, else Student's, within the range; values that do not
        vary give none.
        """
        data: dict[str, Any] = {"scored": self.scored, "unscored": self.unscored, "no_answer": self.no_answer}
        mean = low = high = None
        if self.scored:
            mean = self.total / self.scored
            if self.extreme:
                low, high = wilson(mean, self.scored)
            elif (squares := self.squares - self.total * mean) > TINY * self.squares:
                known = metric_of(self.metric)
                error = math.sqrt(squares / (self.scored - 1) / self.scored)
                half = float(stdtrit(self.scored - 1, 1 - LEVEL / 2)) * error
                low, high = max(mean - half, known.worst), min(mean + half, known.best)
        return data | {"mean": mean, "low": low, "high": high, "version": self.version}


Languages: TypeAlias = dict[str, dict[str, Tally]]
"""Tallies by language and metric."""


@dataclass
class Tallies:
    """The tallies of a file, those of each group of its rows apart, and its bad rows."""

    group: tuple[str, ...] = ()
    """The columns of which each combination is a group."""
    by_group: dict[tuple[str, ...], Languages] = field(default_factory=dict[tuple[str, ...], Languages])
    bad: list[BadRow] = field(default_factory=list[BadRow])

    def merge(self, other: Tallies) -> None:
        """Adds what another counted."""
        self.bad += other.bad
        for group, languages in other.by_group.items():
            for language, metrics in languages.items():
                known = self.by_group.setdefault(group, {}).setdefault(language, {})
                for metric, tally in metrics.items():
                    known.setdefault(metric, Tally(metric)).merge(tally)

    def add(self, row: ScoredRow | BadRow) -> None:
        """Counts one row."""
        if isinstance(row, BadRow):
            self.bad.append(row)
            return
        group = tuple(str(row.others.get(name)) for name in self.group)
        metrics = self.by_group.setdefault(group, {}).setdefault(row.language, {})
        for score in row.scores:
            metrics.setdefault(score.metric, Tally(score.metric)).add(score)

    def as_data(self) -> dict[str, Any]:
        """Everything as plain data: languages and metrics, or these of each group."""
        groups = [
            {"group": dict(zip(self.group, values, strict=True)), "languages": figures(languages)}
            for values, languages in sorted(self.by_group.items())
        ]
        return {
            "languages": {} if self.group or not groups else groups[0]["languages"],
            "groups": groups if self.group else [],
            "bad": [{"line": row.line, "id": row.id, "problem": row.problem} for row in self.bad],
        }


def figures(tallies: Languages) -> dict[str, dict[str, Any]]:
    """What rows come to by language and metric; for the language task with the language confusion pass rate."""
    languages = {
        language: {metric: tally.as_data() for metric, tally in metrics.items()}
        for language, metrics in sorted(tallies.items())
    }
    for metrics in languages.values():
        line, word = metrics.get("language_pass", {}).get("mean"), metrics.get("word_pass", {}).get("mean")
        if line is not None and word is not None:
            metrics["lcpr"] = {"mean": language_confusion_pass_rate(line, word)}
    return languages
