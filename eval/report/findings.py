"""A study's findings in sentences: which setting scores highest, whether that is more than noise, what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from eval.analysis.curves import CurveFinding
from eval.analysis.design import BASE, Design
from eval.analysis.groups import HELD_OUT, OTHERS, PERFORMANCE, SEEN, STUDY_SEEN, UNSEEN, LanguageGroups, language_name
from eval.analysis.stats import BY_FLIPS
from eval.analysis.transfer import NOTHING, Transfer
from eval.analysis.variance import LEVEL
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
        _highest(str(task), group, part, comparisons, groups, design, selected)
        for (task,), part in summary.filter("main").group_by(["task"], maintain_order=True)
        for group in dict.fromkeys((groups.primary_of(str(task)), *groups.named, SEEN, UNSEEN, STUDY_SEEN, HELD_OUT))
        if group in groups.comparable()
    ]
    donors = _donors(transfer) if transfer else ()
    return [*_seeds(comparisons), *filter(None, highest), *_curves(curves, groups), *donors, *_costs(seconds)]


def _seeds(comparisons: pl.DataFrame) -> Iterator[str]:
    """What one run per setting cannot say."""
    if len(comparisons) and (comparisons["test"] == BY_FLIPS).all():
        yield (
            "Each mixture was trained under one seed, so intervals and p-values are of these trained models, not of "
            "the mixtures: another seed may change a score by several points. To compare mixtures, add an axis of "
            "three or more seeds to the grid."
        )


def _highest(
    task: str,
    group: str,
    part: pl.DataFrame,
    comparisons: pl.DataFrame,
    groups: LanguageGroups,
    design: Design,
    selected: pl.DataFrame | None,
) -> str | None:
    """The setting with the highest mean and how far it is above its reference; None where nothing was scored."""
    scored = part.filter(
        (pl.col("group") == group) & pl.col("mean").is_not_null() & pl.col("cell").is_in([*design.settings])
    ).sort("mean", descending=True, maintain_order=True)
    if scored.is_empty():
        return None
    where, best = groups.phrase(group), scored.row(0, named=True)
    where += "" if group == groups.primary_of(task) else " (secondary)"
    name, mean = best["cell"], _figure(best)
    if scored.height > 1 and best["mean"] == scored["mean"].min():
        return f"{task}: the {scored.height} mixtures score the same on {where}, {mean}."
    of_several = f" of {scored.height} mixtures" if scored.height > 2 else ""
    told = f"{task}: {name} scores highest{of_several} on {where}: {mean}"
    other = design.references.get(name, name)
    other = BASE if other == name else other
    compared = comparisons.filter(task=task, group=group, cell=name, other=other).filter(
        pl.col("difference").is_not_null()
    )
    told += _difference(compared.row(0, named=True)) if len(compared) else ""
    return f"{told}.{'' if selected is None else _chosen(selected.filter(task=task, group=group, cell=name))}"


def _chosen(selected: pl.DataFrame) -> str:
    """What the highest of several scores where it was not chosen, and how many may be as good."""
    if selected.is_empty() or selected["mean_elsewhere"][0] is None:
        return ""
    row = selected.row(0, named=True)
    told = f" Being highest is partly luck: {_on_halves(row['runs'])}, the highest "
    told += f"scores {_figure(row | {'mean': row['mean_elsewhere']})}"
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


def _figure(row: Mapping[str, Any]) -> str:
    """A mean with its interval, e.g. "23.1 (95 % CI 20.0–26.4)"."""
    factor = metric_of(row["metric"]).factor
    interval = f" (95 % CI {factor * row['low']:.1f}–{factor * row['high']:.1f})" if row["low"] is not None else ""
    return f"{factor * row['mean']:.1f}{interval}"


def p_value(p: float) -> str:
    """A p-value in a sentence."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


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
    told = f"{groups.label(PERFORMANCE)} rises by {100 * closed.mean:+.1f} points from the first point to the best, "
    told += f"{_on_halves(curve.runs)} ({interval}; {models}{p_value(p)} for a flat curve)"
    published = 100 * (curve.gap_closed_published or 0)
    yield f"{told}, and by {published:+.1f} by the published definition, which is biased upwards"


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


def _costs(seconds: Mapping[str, float]) -> Iterator[str]:
    """The shortest and the longest training."""
    if len(seconds) > 1:
        shortest, longest = min(seconds, key=lambda name: seconds[name]), max(seconds, key=lambda name: seconds[name])
        times = seconds[longest] / seconds[shortest]
        yield (
            f"cost: training took from {duration(seconds[shortest])} ({shortest}) to {duration(seconds[longest])} "
            f"({longest}), {times:.1f} times as long."
        )


def duration(seconds: float) -> str:
    """ "27 s", "6 min 26 s", "3 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02} min"
