"""What a study found, in plain sentences: which setting is best where, whether that is real, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from eval.analysis.curves import CurveFinding
from eval.analysis.design import BASE, Design
from eval.analysis.groups import LanguageGroups, language_name
from eval.analysis.stats import LEVEL
from eval.analysis.transfer import NOTHING, Transfer
from eval.scorers.metrics import metric_of


def sentences(
    summary: pl.DataFrame,
    comparisons: pl.DataFrame,
    curves: Sequence[CurveFinding],
    groups: LanguageGroups,
    design: Design,
    seconds: Mapping[str, float],
    transfer: Transfer | None = None,
) -> list[str]:
    """A sentence for each task and group of languages, each curve, the best donors, and what settings took.

    `summary`, `comparisons` and `curves` are those of `eval.analysis`; `seconds` are the training times of settings.
    """
    shown = [name for name in (*groups.named, "seen", "unseen") if name in groups.means()]
    told = [
        _best(str(task), group, part, comparisons, design)
        for (task,), part in _main(summary).group_by(["task"], maintain_order=True)
        for group in shown
    ]
    given = _donors(transfer) if transfer else ()
    return [*filter(None, told), *_curves(curves, groups), *given, *_costs(seconds)]


def _main(summary: pl.DataFrame) -> pl.DataFrame:
    """The rows of each task's main metric, which comes first."""
    first = summary.group_by("task", maintain_order=True).agg(pl.col("metric").first())
    return summary.join(first, on=["task", "metric"], how="semi", maintain_order="left")


def _best(task: str, group: str, part: pl.DataFrame, comparisons: pl.DataFrame, design: Design) -> str | None:
    """The setting with the highest mean against what it is compared with; None where nothing was scored."""
    scored = part.filter(
        (pl.col("group") == group) & pl.col("mean").is_not_null() & pl.col("cell").is_in([*design.settings])
    ).sort("mean", descending=True, maintain_order=True)
    if scored.is_empty():
        return None
    where, best = f"{task}, {group} languages", scored.row(0, named=True)
    name, metric, mean = best["cell"], best["metric"], _figure(best)
    if scored.height > 1 and best["mean"] == scored["mean"].min():
        return f"{where}: the {scored.height} mixtures score the same, {mean}."
    other = design.references.get(name, name)
    other = BASE if other == name else other
    compared = comparisons.filter(task=task, group=group, cell=name, other=other).filter(
        pl.col("difference").is_not_null()
    )
    if compared.is_empty():
        return f"{where}: {name} is highest, {mean}."
    row, factor = compared.row(0, named=True), metric_of(metric).factor
    way = "above" if row["difference"] >= 0 else "below"
    told = f"{where}: {name} is highest, {mean}, {factor * abs(row['difference']):.1f} {way} {other}"
    if row["p_adjusted"] < LEVEL:
        return f"{told} ({p_value(row['p_adjusted'])})."
    missed = f"; under {factor * row['detectable']:.1f} would likely be missed" if row["detectable"] else ""
    return f"{told}, which may be chance ({p_value(row['p_adjusted'])}{missed})."


def _figure(row: Mapping[str, Any]) -> str:
    """A mean with its interval, e.g. "23.1 (20.0–26.4)"."""
    factor = metric_of(row["metric"]).factor
    interval = f" ({factor * row['low']:.1f}–{factor * row['high']:.1f})" if row["low"] is not None else ""
    return f"{factor * row['mean']:.1f}{interval}"


def p_value(p: float) -> str:
    """A p-value adjusted by Holm's method."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _curves(curves: Sequence[CurveFinding], groups: LanguageGroups) -> Iterator[str]:
    """Where each curve flattens, for the languages other than the pivot."""
    for each in curves:
        if each.group != groups.others:
            continue
        if each.plateau == each.best == each.least:
            continue
        where = ", ".join(filter(None, (each.task, each.curve)))
        told = [f"{where}, {each.group} mean over {each.axis}: highest at {each.best:g}"]
        if each.plateau is not None and each.plateau != each.best:
            told.append(f"{each.plateau:g} is not told apart from that")
        closed = each.gap_closed
        if closed.mean and closed.low is not None and closed.high is not None:
            figures = f"{100 * closed.mean:.1f} points ({100 * closed.low:.1f}–{100 * closed.high:.1f})"
            told.append(f"{groups.performance} rises by up to {figures}")
        if each.correlation is not None:
            told.append(f"ρ of seen and unseen means {each.correlation:.2f}")
        yield f"{'; '.join(told)}."


def _donors(transfer: Transfer) -> Iterator[str]:
    """For each task the source with the highest mean over languages it was not trained on, where several are alike."""
    same = transfer.donors.filter((pl.col("source_task") == pl.col("task")) & pl.col("difference").is_not_null())
    for part in same.partition_by("task", "beside", "against", maintain_order=True):
        if part.height < 2 or part["difference"].min() == part["difference"].max():
            continue
        row = part.row(0, named=True)
        factor = metric_of(row["metric"]).factor
        ends = "" if row["low"] is None else f" ({factor * row['low']:+.1f} to {factor * row['high']:+.1f})"
        chance = "" if row["p_adjusted"] < LEVEL else ", which may be chance"
        beside = "" if row["beside"] == NOTHING else f" beside {language_name(row['beside'])}"
        which = (
            f"of {part.height} languages trained on{beside}, {language_name(row['source'])} has the highest mean for"
        )
        gain = (
            f"{factor * row['difference']:+.1f}{ends} against {row['against']}{chance} ({p_value(row['p_adjusted'])})"
        )
        yield f"{row['task']}: {which} others, {gain}."


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
