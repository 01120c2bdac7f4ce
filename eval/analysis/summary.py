"""What transferred: means over groups of languages, and performance to the pivot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import polars as pl

from eval.analysis.comparisons import pooled_runs
from eval.analysis.design import Design
from eval.analysis.groups import GAP, OTHERS, PERFORMANCE, SEEN, UNSEEN, Kind, LanguageGroups
from eval.analysis.panel import Panel, panels_of
from eval.analysis.stats import (
    Estimate,
    clustered,
    contributions,
    estimate,
    interval,
    ratio,
    span_of,
    spread,
)
from eval.analysis.variance import RunVariance
from eval.scorers.main_metric import main_metrics
from eval.scorers.metrics import metric_of


def summarize(scores: pl.DataFrame, groups: LanguageGroups, design: Design | None = None) -> pl.DataFrame:
    """One row per run and setting, task, metric and language or group.

    Columns: cell, runs, task, metric, main (whether the task is judged by the metric), group, kind (see `Kind`),
    languages, mean, low, high, scored, unscored, no_answer, version. The group `performance_to_pivot` is the mean
    over the other languages / the pivot's score of the same cell (arXiv 2504.16677, avg7 / English), and
    `seen_minus_unseen` the difference of the two means. Seen and unseen are each cell's own, see `LanguageGroups.of`.
    """
    tallies, mains = counted(scores), main_metrics(scores)
    rows = [
        row | {"main": mains[panel.task] == panel.metric}
        for panel in panels_of(scores)
        for row in _summary_rows(panel, groups, design, tallies)
    ]
    schema = dict.fromkeys(("mean", "low", "high"), pl.Float64) | {"runs": pl.Int64}
    return pl.DataFrame(rows, schema_overrides=schema).select(SUMMARY_COLUMNS)


SUMMARY_COLUMNS = (
    "cell", "runs", "task", "metric", "main", "group", "kind", "languages", "mean", "low", "high", "scored",
    "unscored", "no_answer", "version",
)  # fmt: skip
Tallies = Mapping[tuple[str, str, str, str], tuple[int, int, str]]


def counted(scores: pl.DataFrame) -> Tallies:
    """Unscored, scored without an answer found, and scorers' versions by cell, task, metric and language."""
    value, reason = pl.col("value"), pl.col("reason")
    counts = scores.group_by("cell", "task", "metric", "language").agg(
        unscored=value.is_null().sum(),
        no_answer=(value.is_not_null() & reason.is_not_null()).sum(),
        version=pl.col("version").unique().sort().str.join(", "),
    )
    return {(row[0], row[1], row[2], row[3]): (row[4], row[5], row[6]) for row in counts.iter_rows()}


def _summary_rows(
    panel: Panel, groups: LanguageGroups, design: Design | None, tallies: Tallies
) -> Iterator[dict[str, object]]:
    """The rows of one panel: every run on its own, and settings that are not called as their run is."""
    named = {name: runs for name, runs in (design.settings if design else {}).items() if runs != (name,)}
    settings = {run: (run,) for run in panel.runs}
    settings |= {name: tuple(run for run in runs if run in panel.runs) for name, runs in named.items()}
    for name, runs in settings.items():
        if not runs:
            continue
        between = partial(pooled_runs, panel, design) if design and name in design.settings else None
        for group, kind, languages, estimated in estimates(panel, runs, groups.of(name), between):
            keys = [(run, panel.task, panel.metric, language) for run in runs for language in languages]
            counts = [tallies[key] for key in keys if key in tallies]
            yield {
                "cell": name,
                "runs": len(runs),
                "task": panel.task,
                "metric": panel.metric,
                "group": group,
                "kind": kind.value,
                "languages": " ".join(languages),
                "mean": estimated.mean,
                "low": estimated.low,
                "high": estimated.high,
                "scored": estimated.n,
                "unscored": sum(unscored for unscored, _, _ in counts),
                "no_answer": sum(no_answer for _, no_answer, _ in counts),
                "version": ", ".join(sorted({version for _, _, version in counts})),
            }


def estimates(
    panel: Panel,
    runs: Sequence[str],
    groups: LanguageGroups,
    between: Callable[[Sequence[str]], RunVariance | None] | None = None,
) -> Iterator[tuple[str, Kind, tuple[str, ...], Estimate]]:
    """Each language tested, the groups all of whose languages are, performance to the pivot, and the gap.

    `between` gives the variance of runs in some languages, pooled over the settings of a study.
    """
    means = {name: members for name, members in groups.means().items() if set(members) <= set(panel.languages)}
    named = {language: (language,) for language in groups.all if language in panel.languages} | means
    single = runs[0] if len(runs) == 1 else None
    ends = metric_of(panel.metric).ends
    for name, members in named.items():
        sampled = panel.replicates_of([single], members) if single else None
        kind = Kind.MEAN if name in means else Kind.LANGUAGE
        yield (
            name,
            kind,
            members,
            estimate(
                panel.of(runs, members),
                sampled,
                ends,
                between(members) if between else None,
                panel.clusters,
                panel.graded,
            ),
        )
    if groups.pivot in panel.languages and OTHERS in means:
        others = means[OTHERS]
        sampled = panel.replicates_of([single], (*others, groups.pivot)) if single else None
        yield (
            PERFORMANCE,
            Kind.RATIO,
            (groups.pivot, *others),
            ratio(panel.of(runs, others), panel.of(runs, (groups.pivot,)), sampled, ends, panel.clusters, panel.graded),
        )
    if {SEEN, UNSEEN} <= set(means):
        members = (*means[SEEN], *means[UNSEEN])
        yield GAP, Kind.DIFFERENCE, members, _gap(panel, runs, means[SEEN], means[UNSEEN])


def _gap(panel: Panel, runs: Sequence[str], seen: Sequence[str], unseen: Sequence[str]) -> Estimate:
    """The mean over seen languages less that over unseen ones, items resampled together."""
    above, below = panel.of(runs, seen), panel.of(runs, unseen)
    n = int((~np.isnan(above)).sum() + (~np.isnan(below)).sum())
    if not (~np.isnan(above)).any(axis=1).all() or not (~np.isnan(below)).any(axis=1).all():
        return Estimate(n, None, None, None)
    table = clustered(contributions(above) - contributions(below), panel.clusters)
    mean = float(table.mean())
    if table.shape[1] == 1:
        return Estimate(n, mean, None, None)
    if spread(table).error == 0:
        return Estimate(n, mean, None, None)
    if len(runs) > 1 or panel.clusters is not None:
        half = spread(table).half_width
        return Estimate(n, mean, *span_of(mean - half, mean + half, metric_of(panel.metric).ends))
    one, other = (panel.replicates_of(runs, members).mean(axis=(1, 2)) for members in (seen, unseen))
    low, high = interval(one - other, above.shape[1])
    return Estimate(n, mean, float(low), float(high))


def main_panels(scores: pl.DataFrame) -> list[Panel]:
    """The panels of each task's main metric."""
    main = main_metrics(scores)
    return [panel for panel in panels_of(scores, [*main.values()]) if main[panel.task] == panel.metric]
