"""What a study found at a glance: a card for each task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from eval.analysis.design import Design
from eval.analysis.groups import LanguageGroups
from eval.report.findings import Leader, figure_in_words, leader_of
from eval.report.units import difference, metric_title
from eval.report.verdicts import ARROWS, DISAGREEMENT, Verdict, disagree, tested, verdict_of
from eval.scorers.main_metric import main_metrics
from eval.scorers.metrics import metric_of


@dataclass(frozen=True, slots=True)
class Headline:
    """A card: the finding in a few words, what it rests on, and whether that is more than chance."""

    task: str
    metric: str
    finding: str
    basis: str
    change: str = ""
    verdict: Verdict = Verdict.UNTESTED
    notes: tuple[str, ...] = ()


def headlines(
    scores: pl.DataFrame, summary: pl.DataFrame, comparisons: pl.DataFrame, groups: LanguageGroups, design: Design
) -> list[Headline]:
    """A card for each task in its primary group of languages; a task without scores says so, and why."""
    cards: list[Headline] = []
    for task, metric in main_metrics(scores).items():
        leads = ((group, leader_of(task, group, summary, comparisons, design)) for group in groups_of(task, groups))
        group, leader = next(((group, leader) for group, leader in leads if leader), ("", None))
        if leader:
            cards.append(
                of_leader(task, metric, groups.phrase(group), leader, "mixtures" if design.trains else "models")
            )
        else:
            cards.append(
                Headline(task, metric_title(metric), "No scores", why_unscored(scores.filter(task=task, metric=metric)))
            )
    return cards


def groups_of(task: str, groups: LanguageGroups) -> list[str]:
    """Where to look for a finding: in the primary group first, then in the others that are the same for all cells."""
    return [*dict.fromkeys((groups.primary_of(task), *groups.comparable(), *groups.all))]


def of_leader(task: str, metric: str, where: str, leader: Leader, kind: str) -> Headline:
    """The card of a task that has scores."""
    title, compared = metric_title(metric), leader.compared
    figure = f"{figure_in_words(leader.figure)} on {where}"
    name = f"All {kind} alike" if leader.alike else f"{leader.name} highest"
    if compared is None:
        return Headline(task, title, name, figure)
    verdict = verdict_of(compared)
    if verdict is Verdict.NOISE and not leader.alike:
        name, figure = "No difference shown", f"{leader.name} is highest with {figure}"
    told = f"{difference(compared['difference'], 0.0, metric_of(metric))}{ARROWS.get(verdict, '')} "
    told += f"against {compared['other']}, {tested(compared)}"
    return Headline(task, title, name, figure, told, verdict, tuple(notes_on(compared, verdict)))


def notes_on(compared: Mapping[str, Any], verdict: Verdict) -> Iterator[str]:
    """What else the reader of a difference must know."""
    if verdict is Verdict.NOISE and compared["detectable"]:
        detectable = difference(compared["detectable"], 0.0, metric_of(compared["metric"])).lstrip("+")
        yield f"This evaluation finds differences of {detectable} or more."
    if disagree(compared):
        yield DISAGREEMENT


def why_unscored(scores: pl.DataFrame) -> str:
    """How many predictions have no score, and the reason of most of them."""
    reasons = scores["reason"].drop_nulls().value_counts(sort=True)
    reason = f": {reasons['reason'][0]}" if len(reasons) else ""
    return f"{scores.height:,} predictions are unscored{reason}"
