"""What a study found, in plain sentences: which setting is best where, whether that is real, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from eval.curves import CurveFinding
from eval.metrics import metric_of
from eval.stats import LEVEL
from eval.transfer import BASE, Design, LanguageGroups


def sentences(
    summary: pl.DataFrame,
    comparisons: pl.DataFrame,
    curves: Sequence[CurveFinding],
    groups: LanguageGroups,
    design: Design,
    seconds: Mapping[str, float],
) -> list[str]:
    """A sentence for each task and group of languages, then one for each curve, then what settings took.

    `summary`, `comparisons` and `curves` are those of `eval.transfer` and `eval.curves`; `seconds` are the training
    times of settings.
    """
    named = [name for name in (*groups.named, "seen", "unseen") if name in groups.means()]
    told = [
        best_of(task, group, part, comparisons, groups, design, seconds)
        for (task,), part in _main(summary).group_by(["task"], maintain_order=True)
        for group in named
    ]
    return [each for each in told if each] + [*_plateaus(curves, groups)]


def _main(summary: pl.DataFrame) -> pl.DataFrame:
    """The rows of each task's main metric, which comes first."""
    first = summary.group_by("task", maintain_order=True).agg(pl.col("metric").first())
    return summary.join(first, on=["task", "metric"], how="semi", maintain_order="left")


def best_of(
    task: object,
    group: str,
    part: pl.DataFrame,
    comparisons: pl.DataFrame,
    groups: LanguageGroups,
    design: Design,
    seconds: Mapping[str, float],
) -> str | None:
    """Which setting is best, against what it is compared with, and what it took; None where nothing was scored."""
    scored = part.filter(
        (pl.col("group") == group) & pl.col("mean").is_not_null() & pl.col("cell").is_in([*design.settings])
    ).sort("mean", descending=True)
    if scored.is_empty():
        return None
    best = scored.row(0, named=True)
    metric = best["metric"]
    where = f"{task}, {group} languages ({' '.join(groups.means()[group])})"
    if best["mean"] == scored["mean"].min() and scored.height > 1:
        return f"{where}: all {scored.height} settings are alike, {figure(metric, best)}."
    told = f"{where}: {best['cell']} is best of {scored.height} settings, {figure(metric, best)}"
    against = [
        _compared(metric, comparisons, str(task), group, best["cell"], other)
        for other in dict.fromkeys((design.references.get(best["cell"]), BASE))
        if other and other != best["cell"]
    ]
    told += "".join(f"; {each}" for each in against if each)
    took = seconds.get(best["cell"])
    return f"{told}. It took {duration(took)} of training." if took else f"{told}."


def figure(metric: str, row: Mapping[str, Any]) -> str:
    """A mean with its interval, e.g. "23.1 (20.0 to 26.4)"."""
    factor = metric_of(metric).factor
    interval = f" ({factor * row['low']:.1f} to {factor * row['high']:.1f})" if row["low"] is not None else ""
    return f"{metric} {factor * row['mean']:.1f}{interval}"


def _compared(metric: str, comparisons: pl.DataFrame, task: str, group: str, cell: str, other: str) -> str | None:
    """How a setting differs from another, and whether that is real."""
    found = comparisons.filter(
        (pl.col("task") == task)
        & (pl.col("group") == group)
        & (pl.col("cell") == cell)
        & (pl.col("other") == other)
        & pl.col("difference").is_not_null()
    )
    if found.is_empty():
        return None
    row, factor = found.row(0, named=True), metric_of(metric).factor
    if row["low"] is None:
        return f"the same as {other} on every item" if row["difference"] == 0 else None
    low, high, gap = (factor * row[key] for key in ("low", "high", "difference"))
    way = "above" if gap >= 0 else "below"
    told = f"{abs(gap):.1f} points {way} {other} (95 %: {low:.1f} to {high:.1f}, {p_value(row['p_adjusted'])})"
    if row["p_adjusted"] < LEVEL:
        return told
    return (
        f"{told}, which may be chance: differences under {factor * row['detectable']:.1f} are likely to be missed here"
    )


def p_value(p: float) -> str:
    """A p-value adjusted by Holm's method, in words."""
    return "p < 0.001 after Holm" if p < 0.001 else f"p = {p:.3f} after Holm"


def _plateaus(curves: Sequence[CurveFinding], groups: LanguageGroups) -> Iterator[str]:
    """Where each curve flattens, for the languages other than the pivot."""
    for each in curves:
        if each.group != groups.others:
            continue
        where = ", ".join(filter(None, (each.task, each.curve)))
        told = f"{where}: over {each.points} amounts the {each.group} mean is highest at {each.axis} {each.best:g}"
        if each.plateau is not None and each.plateau != each.best:
            told += f", but {each.plateau:g} is not significantly below it"
        closed = each.gap_closed
        if closed.mean is not None and closed.low is not None and closed.high is not None:
            told += (
                f"; {groups.performance} rises by up to {100 * closed.mean:.1f} points "
                f"({100 * closed.low:.1f} to {100 * closed.high:.1f})"
            )
        if each.correlation is not None:
            told += f"; seen and unseen means go together with Spearman's ρ = {each.correlation:.2f}"
        yield f"{told}."


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
