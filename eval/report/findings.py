"""A study's findings in sentences: which setting scores highest, whether that is more than noise, what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from eval.analysis.curves import CurveFinding
from eval.analysis.design import Design
from eval.analysis.groups import HELD_OUT, OTHERS, PERFORMANCE, SEEN, STUDY_SEEN, UNSEEN, LanguageGroups, language_name
from eval.analysis.stats import BY_FLIPS
from eval.analysis.transfer import NOTHING, Transfer
from eval.analysis.variance import LEVEL
from eval.report.units import depends_on_language, duration, metric_name
from eval.report.verdicts import p_value
from eval.scorers.metrics import metric_of


def sentences(
    summary: pl.DataFrame,
    comparisons: pl.DataFrame,
    curves: Sequence[CurveFinding],
    groups: LanguageGroups,
    design: Design,
    seconds: Mapping[str, float],
    transfer: Transfer | None = None,
    selected: pl.DataFrame | None = None,
) -> list[str]:
    """A sentence for each task and group of languages, each curve, the best donors, and what settings took.

    `summary`, `comparisons`, `curves` and `selected` (`highest_settings`) are those of `eval.analysis`; `seconds` are
    the training times of settings.
    """
    highest = [
        _highest(task, group, summary, comparisons, groups, part, selected)
        for task in summary["task"].unique(maintain_order=True)
        for group in dict.fromkeys((groups.primary_of(task), *groups.named, SEEN, UNSEEN, STUDY_SEEN, HELD_OUT))
        if group in groups.comparable()
        for part in design.parts().values()
    ]
    donors = _donors(transfer) if transfer else ()
    return [*_seeds(comparisons, design), *filter(None, highest), *_curves(curves, groups), *donors, *_costs(seconds)]


def _seeds(comparisons: pl.DataFrame, design: Design) -> Iterator[str]:
    """What one run per setting cannot say."""
    if not design.trains:
        yield (
            "Models are compared as they are: intervals and p-values are over test items, and say nothing of how "
            "another training of the same kind would turn out."
        )
    elif len(comparisons) and (comparisons["test"] == BY_FLIPS).all():
        yield (
            "Each mixture was trained under one seed, so intervals and p-values are of these trained models, not of "
            "the mixtures: another seed may change a score by several points. To compare mixtures, add an axis of "
            "three or more seeds to the grid."
        )


@dataclass(frozen=True, slots=True)
class Leader:
    """The setting with the highest mean of a task in a group of languages."""

    figure: Mapping[str, Any]
    """Its row of the summary."""
    settings: int
    """How many are scored."""
    alike: bool
    """Whether all of several score the same."""
    compared: Mapping[str, Any] | None
    """The comparison with its reference; with the base where it is its own, or where all are alike."""

    @property
    def name(self) -> str:
        """What the setting is called."""
        return self.figure["cell"]


def leader_of(task: str, group: str, summary: pl.DataFrame, comparisons: pl.DataFrame, design: Design) -> Leader | None:
    """The leader by the task's main metric; None where nothing was scored. Of equals it is the first."""
    scored = summary.filter(
        pl.col("main"), pl.col("mean").is_not_null(), pl.col("cell").is_in([*design.settings]), task=task, group=group
    ).sort("mean", descending=True, maintain_order=True)
    if scored.is_empty():
        return None
    best = scored.row(0, named=True)
    alike = scored.height > 1 and best["mean"] == scored["mean"].min()
    reference, base = design.references.get(best["cell"], best["cell"]), design.base_of(best["cell"])
    compared = comparisons.filter(
        pl.col("difference").is_not_null(), pl.col("p_adjusted").is_not_null(),
        task=task, group=group, cell=best["cell"], other=base if alike or reference == best["cell"] else reference,
    )  # fmt: skip
    return Leader(best, scored.height, alike, compared.row(0, named=True) if len(compared) else None)


def _highest(
    task: str,
    group: str,
    summary: pl.DataFrame,
    comparisons: pl.DataFrame,
    groups: LanguageGroups,
    design: Design,
    selected: pl.DataFrame | None,
) -> str | None:
    """The setting with the highest mean and how far it is above its reference; None where nothing was scored."""
    leader = leader_of(task, group, summary, comparisons, design)
    if leader is None:
        return None
    where, mean = groups.phrase(group), figure_in_words(leader.figure)
    kind = "mixtures" if design.trains else "models"
    where += "" if group == groups.primary_of(task) else " (secondary)"
    if leader.alike:
        from_base = _difference(leader.compared) if leader.compared else ""
        return f"{task}: the {leader.settings} {kind} score the same on {where}, {mean}{from_base}."
    of_several = f" of {leader.settings} {kind}" if leader.settings > 2 else ""
    told = f"{task}: {leader.name} scores highest{of_several} on {where}: {mean}"
    told += _difference(leader.compared) if leader.compared else ""
    row = None if selected is None else selected.filter(task=task, group=group, cell=leader.name)
    chosen = "" if row is None or row.is_empty() else _chosen(row.row(0, named=True), leader.figure["mean"])
    return f"{told}.{chosen}"


def _chosen(row: dict[str, Any], mean: float) -> str:
    """What the highest of several, with this mean, scores where it was not chosen, and how many may be as good."""
    if row["mean_elsewhere"] is None or row["mean_elsewhere"] >= mean:
        return ""
    told = f" Being highest is partly luck: {_on_halves(row['runs'])}, the highest "
    told += f"scores {figure_in_words(row | {'mean': row['mean_elsewhere']})}"
    others = (row["may_be_best"] or 1) - 1
    return f"{told}, and {others} other{'s' if others > 1 else ''} may be as good." if others else f"{told}."


def _difference(row: Mapping[str, Any]) -> str:
    """How far a setting is from another, and whether that is more than noise."""
    factor = metric_of(row["metric"]).factor
    way = "above" if row["difference"] >= 0 else "below"
    told = f", {factor * abs(row['difference']):.1f} {way} {row['other']}"
    of_models = row["test"] == BY_FLIPS
    if row["p_adjusted"] < LEVEL:
        return f"{told} ({'of these trained models: ' if of_models else ''}{p_value(row['p_adjusted'])})"
    detects = f"; this evaluation detects differences of {factor * (row['detectable'] or 0):.1f} or more"
    limit = detects if row["detectable"] else ""
    between = "between these trained models, " if of_models else ""
    return f"{told}; {between}this difference is within noise ({p_value(row['p_adjusted'])}{limit})"


def figure_in_words(row: Mapping[str, Any]) -> str:
    """A mean with its interval, e.g. "23.1 (95 % CI 20.0–26.4)"."""
    factor = metric_of(row["metric"]).factor
    interval = f" (95 % CI {factor * row['low']:.1f}–{factor * row['high']:.1f})" if row["low"] is not None else ""
    return f"{factor * row['mean']:.1f}{interval}"


def _curves(curves: Sequence[CurveFinding], groups: LanguageGroups) -> Iterator[str]:
    """Where each curve flattens, for the languages other than the pivot."""
    for curve in curves:
        if curve.group == OTHERS:
            where = ", ".join(filter(None, (curve.task, curve.curve)))
            highest = f"over {curve.axis}, {groups.phrase(curve.group)} score highest at {curve.best:g}"
            told = "; ".join([highest, *_plateau(curve), *_gap_closed(curve, groups), *_correlation(curve)])
            yield f"{where}: {told}."


def _plateau(curve: CurveFinding) -> Iterator[str]:
    """Whether a smaller amount is as good, by the margin that this is told with."""
    if curve.margin is None:
        return
    margin = f"shown to be within a tenth ({metric_of(curve.metric).factor * curve.margin:.1f}) of the best"
    if curve.plateau is None:
        yield f"no amount is {margin}"
    elif curve.plateau < curve.best:
        yield f"{curve.plateau:g} is {margin}"
    else:
        yield f"no smaller amount is {margin}"


def _gap_closed(curve: CurveFinding, groups: LanguageGroups) -> Iterator[str]:
    closed, p = curve.gap_closed, curve.gap_closed_p
    if closed.mean is None or closed.low is None or closed.high is None or p is None:
        return
    models = "" if curve.runs > 1 else "of these trained models: "
    interval = f"95 % CI {100 * closed.low:+.1f} to {100 * closed.high:+.1f}"
    told = (
        f"{groups.label(PERFORMANCE)} rises by {100 * closed.mean:+.1f} points from the first point to its own best, "
    )
    told += f"{_on_halves(curve.runs)} ({interval}; {models}{p_value(p)} for a flat curve)"
    published = 100 * (curve.gap_closed_published or 0)
    yield f"{told}, and by {published:+.1f} by the published definition, which is biased upwards"
    if depends_on_language(curve.metric):
        yield (
            f"{metric_name(curve.metric)} of different languages is not on one scale, so this rise says how settings "
            "differ, not how near a language comes to another"
        )


def _on_halves(runs: int) -> str:
    """How a figure of the best is made that has none of the luck of being best."""
    return f"chosen on one half of the items{' and seeds' if runs > 1 else ''} and measured on the other"


def _correlation(curve: CurveFinding) -> Iterator[str]:
    if curve.correlation is None or curve.correlation_interval is None or curve.correlation_published is None:
        return
    low, high = curve.correlation_interval
    told = "seen and unseen means of different halves of the items and seeds correlate at"
    if curve.runs == 1:
        told = "seen and unseen means of different halves of the items, but of the same trained models, correlate at"
    ends = f"95 % CI {low:.2f} to {high:.2f}"
    yield f"{told} ρ = {curve.correlation:.2f} ({ends}; {curve.correlation_published:.2f} by the published definition)"


def _donors(transfer: Transfer) -> Iterator[str]:
    """For each task the source with the highest mean over languages it was not trained on, where several are alike."""
    same = transfer.donors.filter((pl.col("source_task") == pl.col("task")) & pl.col("difference").is_not_null())
    for part in same.partition_by("task", "beside", "against", maintain_order=True):
        if part.height < 2 or part["difference"].min() == part["difference"].max():
            continue
        row = part.row(0, named=True)
        factor = metric_of(row["metric"]).factor
        ends = "" if row["low"] is None else f" (95 % CI {factor * row['low']:+.1f} to {factor * row['high']:+.1f})"
        beside = "" if row["beside"] == NOTHING else f" beside {language_name(row['beside'])}"
        source = f"{language_name(row['source'])}, one of {part.height} languages trained on{beside}"
        noise = "" if row["p_adjusted"] < LEVEL else "; this difference is within noise"
        gain = f"{factor * row['difference']:+.1f}{ends} against {row['against']}{noise}"
        models = "of these trained models: " if row["test"] == BY_FLIPS else ""
        yield f"{row['task']}: {source}, helps other languages most: {gain} ({models}{p_value(row['p_adjusted'])})."


OF_ITSELF = 1.5
"""By how many times the same training may take longer at another hour."""


def _costs(seconds: Mapping[str, float]) -> Iterator[str]:
    """The shortest and the longest training, where they differ by more than what else runs on a machine explains."""
    if not seconds:
        return
    shortest, longest = min(seconds, key=lambda name: seconds[name]), max(seconds, key=lambda name: seconds[name])
    if seconds[longest] > OF_ITSELF * seconds[shortest]:
        yield (
            f"cost: training took from {duration(seconds[shortest])} ({shortest}) to {duration(seconds[longest])} "
            f"({longest}) as the machine was, with what else ran on it."
        )
