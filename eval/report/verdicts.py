"""What a difference may be called: better or worse than its reference, or neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import polars as pl

from eval.analysis.stats import BY_FLIPS
from eval.analysis.variance import LEVEL
from eval.report.units import difference
from eval.scorers.metrics import metric_of


class Verdict(StrEnum):
    """What a difference says."""

    BETTER = "better"
    WORSE = "worse"
    NOISE = "within noise"
    UNTESTED = "not tested"


ARROWS = {Verdict.BETTER: " ▲", Verdict.WORSE: " ▼"}
"""What is said by colour is said by these as well."""
OF_MODELS = ", of these trained models"
"""What is said of a p-value where there is one run of each mixture."""
DISAGREEMENT = (
    "The interval and the p-value disagree: the interval describes this difference alone, the p-value is adjusted for "
    "all comparisons of the task in these languages. Go by the p-value."
)


@dataclass(frozen=True, slots=True)
class Change:
    """How far a setting is from what it is compared with, and how sure that is."""

    text: str
    """Signed, in the unit of tables."""
    verdict: Verdict
    p: str
    """As `tested` tells it."""
    languages: str
    """What it is tested in."""

    @property
    def words(self) -> str:
        """The verdict as it stands beside a difference, with its p-value; * where that is of these very models."""
        p = self.p.replace(OF_MODELS, " *")
        if self.verdict is Verdict.NOISE:
            return f"within noise, {p}"
        return p or self.verdict


def verdict_of(row: Mapping[str, Any]) -> Verdict:
    """The verdict on a comparison, by its adjusted p-value."""
    if row["difference"] is None or row["p_adjusted"] is None:
        return Verdict.UNTESTED
    if row["p_adjusted"] >= LEVEL:
        return Verdict.NOISE
    return Verdict.BETTER if row["difference"] > 0 else Verdict.WORSE


def disagree(row: Mapping[str, Any]) -> bool:
    """Whether a difference's interval and its p-value say different things."""
    if row["low"] is None or row["p_adjusted"] is None:
        return False
    return (row["low"] > 0 or row["high"] < 0) != (row["p_adjusted"] < LEVEL)


def p_value(p: float) -> str:
    """A p-value in a sentence."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def is_of_models(row: Mapping[str, Any]) -> bool:
    """Whether a comparison is of these very models, there being one run of each."""
    return row["test"] == BY_FLIPS


def tested(row: Mapping[str, Any]) -> str:
    """The adjusted p-value of a comparison, and whether it is of these very models; blank if there is none."""
    if row["p_adjusted"] is None:
        return ""
    return p_value(row["p_adjusted"]) + (OF_MODELS if is_of_models(row) else "")


def level(one_seed: bool) -> str:
    """The level at which differences are called shown, and whether they are of these very models."""
    return f"p < {LEVEL:g}{OF_MODELS if one_seed else ''}"


@dataclass(frozen=True, slots=True)
class Changes:
    """Differences from one setting that were tested."""

    reference: str
    """What it is called."""
    known: Mapping[tuple[str, str, str, str], Change]
    """By task, metric, cell and group or language."""

    @classmethod
    def of_comparisons(
        cls, reference: str, comparisons: pl.DataFrame | None, bases: Mapping[str, str] | None = None
    ) -> Changes:
        """Those of a table of comparisons; with several `bases`, from the one of each cell."""
        known = [] if comparisons is None else comparisons.to_dicts()
        rows = [row for row in known if row["other"] == (bases or {}).get(row["cell"], reference)]
        return cls(
            reference,
            {(row["task"], row["metric"], row["cell"], row["group"]): change_of(row)
             for row in rows if row["difference"] is not None},
        )  # fmt: skip

    def of(self, task: str, metric: str, cell: str, group: str) -> Change | None:
        """The change of a cell in a group of languages or in one; None where it was not tested."""
        return self.known.get((task, metric, cell, group))


def change_of(row: Mapping[str, Any]) -> Change:
    """A row of a table of comparisons."""
    text = difference(row["difference"], 0.0, metric_of(row["metric"]))
    return Change(text, verdict_of(row), tested(row), row["languages"])
