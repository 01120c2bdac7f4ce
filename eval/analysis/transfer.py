"""Source × target transfer: what training on one language does to another.

Donors and recipients, harm and regimes as in arXiv 2511.13368; asymmetry as in arXiv 2205.11758.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from typing import NamedTuple, TypeAlias

import numpy as np
import polars as pl

from eval.analysis.comparisons import arm_in, compare_settings, paired, pooled_runs
from eval.analysis.design import BASE, Design
from eval.analysis.families import Comparison, compare_combinations
from eval.analysis.panel import Panel
from eval.analysis.stats import (
    Codes,
    Difference,
    Estimate,
    Floats,
    clustered,
    comparable,
    contributions,
    differences,
    spread,
)
from eval.analysis.variance import RunVariance
from eval.scorers.metrics import Metric, metric_of

NOTHING = "nothing"
"""What stands for the language that a source is trained on beside, where there is none."""


class Source(NamedTuple):
    """What a setting was trained on, where that is one task in one language, or in one beside the pivot."""

    task: str
    language: str
    beside: str = NOTHING
    """The pivot, where the setting was trained on that too."""
    share: float = 1.0
    """Of the language, among the setting's training rows."""
    other: str = BASE
    """The setting it is compared with: the base, or one that was trained on the pivot alone."""

    @property
    def trained(self) -> tuple[str, str]:
        """The languages that the setting was trained on."""
        return self.language, self.beside


Sources: TypeAlias = Mapping[str, Source]
"""Setting → what it was trained on, of those that a matrix is made of."""

FIGURES = {
    "items": pl.Int64, "runs": pl.Int64, "difference": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "p": pl.Float64, "p_adjusted": pl.Float64, "test": pl.String,
}  # fmt: skip
TRANSFERS = {
    "source_task": pl.String, "source": pl.String, "beside": pl.String, "task": pl.String, "target": pl.String,
    "metric": pl.String, "cell": pl.String, "other": pl.String, **FIGURES, "source_share": pl.Float64,
}  # fmt: skip


def transfer_matrix(panels: Sequence[Panel], sources: Sources, design: Design) -> pl.DataFrame:
    """A row for each (task, language) trained on and each tested: setting − other, in the metric's unit.

    `panels` are `main_panels`. Columns: task, source_task, source, beside (the pivot where that was trained on too,
    else "nothing"), target, metric, cell, other, items, runs, difference, low, high, p, p_adjusted (max-t over a task
    tested), test, source_share (of the training rows).
    """
    rows: list[dict[str, object]] = []
    for panel in panels:
        gains = gains_of(panel, sources, design)
        tested_gains = gains_tested(panel, sources, design, [(cell, (target,)) for cell, target in gains])
        for (cell, target), figures in zip(gains, tested_gains, strict=True):
            source = sources[cell]
            rows.append(
                {
                    "source_task": source.task,
                    "source": source.language,
                    "beside": source.beside,
                    "task": panel.task,
                    "target": target,
                    "metric": panel.metric,
                    "cell": cell,
                    "other": source.other,
                    **figures,
                    "source_share": source.share,
                }
            )
    return pl.DataFrame(rows, schema=TRANSFERS)


def gains_tested(
    panel: Panel, sources: Sources, design: Design, asked: Sequence[tuple[str, tuple[str, ...]]]
) -> list[dict[str, object]]:
    """The columns `FIGURES` of settings, each against what its source is compared with, in some languages."""
    compared = [(cell, sources[cell].other, languages) for cell, languages in asked]
    return figures_of(compare_settings(panel, design, compared))


def gains_of(panel: Panel, sources: Sources, design: Design) -> dict[tuple[str, str], Floats]:
    """(setting, target) → what the setting has more than the other, of shape (runs, items, 1)."""
    there = set(design.there(panel))
    return {
        (cell, target): np.subtract(*paired(panel, design, cell, source.other, [target]))
        for cell, source in sources.items()
        for target in panel.languages
        if {cell, source.other} <= there
    }


def figures_of(differences: Sequence[Difference]) -> list[dict[str, object]]:
    """The columns `FIGURES` of a family of differences."""
    return [{name: getattr(figure, name) for name in FIGURES} for figure in differences]


def asymmetry(panels: Sequence[Panel], sources: Sources, design: Design) -> pl.DataFrame:
    """T − Tᵀ for each pair of languages that are sources of a task tested: (a → b) − (b → a), items paired.

    Languages that several settings are trained on are left out, pairs that are not compared with the same setting, and
    those whose test items are not parallel are blank. The variance of runs is the mean of those pooled in either
    language. Columns: task, metric, beside, one, other, against, items, runs, difference, low, high, p, p_adjusted
    (max-t over a task tested), test.
    """
    rows: list[dict[str, object]] = []
    for panel in panels:
        gains = gains_of(panel, alone(sources), design)
        cells = dict.fromkeys(cell for cell, _ in gains if sources[cell].task == panel.task)
        pairs = [
            (one, other)
            for one, other in combinations(cells, 2)
            if (sources[one].beside, sources[one].other) == (sources[other].beside, sources[other].other)
            and {(one, sources[other].language), (other, sources[one].language)} <= {*gains}
        ]
        tests = compare_combinations(
            [_directions(panel, design, sources, *pair) for pair in pairs],
            [_mean_of(*(pooled_runs(panel, design, [sources[cell].language]) for cell in pair)) for pair in pairs],
            panel.clusters,
        )
        rows += [
            {"task": panel.task, "metric": panel.metric, "beside": sources[one].beside, "one": sources[one].language,
             "other": sources[other].language, "against": sources[one].other, **figures}
            for (one, other), figures in zip(pairs, figures_of(tests), strict=True)
        ]  # fmt: skip
    words = dict.fromkeys(("task", "metric", "beside", "one", "other", "against"), pl.String)
    return pl.DataFrame(rows, schema=words | FIGURES)


def _directions(panel: Panel, design: Design, sources: Sources, one: str, other: str) -> Comparison:
    """What a setting gives to another's language, less what that gives to its."""
    there, back, against = sources[other].language, sources[one].language, sources[one].other
    weighed = ((1.0, one, there), (-1.0, against, there), (-1.0, other, back), (1.0, against, back))
    return [(weight, arm_in(panel, design, name, [language])) for weight, name, language in weighed]


def _mean_of(one: RunVariance | None, other: RunVariance | None) -> RunVariance | None:
    """The mean of two variances of the same runs, which has no more degrees of freedom than either."""
    if one is None or other is None:
        return None
    means = (one.of_means + other.of_means) / 2, (one.residual + other.residual) / 2
    return RunVariance(*means, min(one.freedom, other.freedom))


def alone(sources: Sources) -> dict[str, Source]:
    """The sources that one setting alone is trained on: of its task, language and pivot beside it."""
    kinds = [source[:3] for source in sources.values()]
    return {cell: source for cell, source in sources.items() if kinds.count(source[:3]) == 1}


def trimmed(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """As many runs of each as of the one with fewer."""
    runs = min(len(one), len(other))
    return one[:runs], other[:runs]


def donors(panels: Sequence[Panel], sources: Sources, design: Design) -> pl.DataFrame:
    """What each source gives to the languages that it was not trained on, their mean, in each task.

    Sources that several settings are trained on, say on several amounts, are left out, and targets that were not
    scored. Columns: source_task, source, beside, against (what it is compared with), task, metric, languages (the
    targets), items, runs, difference, low, high, p, p_adjusted (max-t over a task tested), test.
    """
    rows: list[dict[str, object]] = []
    for panel in panels:
        targets: dict[str, tuple[str, ...]] = {}
        for (cell, target), gain in gains_of(panel, alone(sources), design).items():
            if target not in sources[cell].trained and comparable(gain):
                targets[cell] = (*targets.get(cell, ()), target)
        figures = gains_tested(panel, sources, design, [*targets.items()])
        rows += [
            {"source_task": sources[cell].task, "source": sources[cell].language, "beside": sources[cell].beside,
             "against": sources[cell].other, "task": panel.task, "metric": panel.metric,
             "languages": " ".join(languages)} | figure
            for (cell, languages), figure in zip(targets.items(), figures, strict=True)
        ]  # fmt: skip
    return _by_size(rows, "source")


def recipients(panels: Sequence[Panel], sources: Sources, design: Design) -> pl.DataFrame:
    """What each target gets from the sources that were not trained on it, their mean, in each task: as `donors`."""
    rows: list[dict[str, object]] = []
    words = ("source_task", "target", "beside", "against", "task", "metric")
    for panel in panels:
        parts: dict[tuple[str, ...], list[str]] = {}
        for (cell, target), gain in gains_of(panel, alone(sources), design).items():
            source = sources[cell]
            if target not in source.trained and comparable(gain):
                place = (source.task, target, source.beside, source.other, panel.task, panel.metric)
                parts.setdefault(place, []).append(cell)
        tests = compare_combinations(
            [_mean_gain(panel, design, cells, place[3], place[1]) for place, cells in parts.items()],
            [pooled_runs(panel, design, [target]) for _, target, *_ in parts],
            panel.clusters,
        )
        rows += [
            dict(zip(words, place, strict=True))
            | {"languages": " ".join(sources[cell].language for cell in cells)} | figures
            for (place, cells), figures in zip(parts.items(), figures_of(tests), strict=True)
        ]  # fmt: skip
    return _by_size(rows, "target")


def _mean_gain(panel: Panel, design: Design, cells: Sequence[str], against: str, target: str) -> Comparison:
    """The mean of several settings in a language, less another's there."""
    weighed = [*((1 / len(cells), cell) for cell in cells), (-1.0, against)]
    return [(weight, arm_in(panel, design, name, [target])) for weight, name in weighed]


def _by_size(rows: Sequence[dict[str, object]], by: str) -> pl.DataFrame:
    """Donors or recipients, those with the largest differences first."""
    words = ("source_task", by, "beside", "against", "task", "metric", "languages")
    order = [pl.col("task"), pl.col("source_task"), pl.col("beside") != NOTHING, -pl.col("difference")]
    made = pl.DataFrame(rows, schema=dict.fromkeys(words, pl.String) | FIGURES)
    return made.sort(order, nulls_last=True, maintain_order=True)


def regimes(matrix: pl.DataFrame) -> pl.DataFrame:
    """Same or other task × same or other language: how many transfers, their mean, and how many help or harm.

    A language is the same where the setting was trained on it. Differences are shares of their metric's range.
    Columns: task, language ("same" or "other"), transfers, mean, positive, negative (shares by sign), helped, harmed
    (shares with an adjusted p below 0.05).
    """
    spans = {name: metric_of(name).best - metric_of(name).worst for name in matrix["metric"].unique()}
    known = matrix.filter(pl.col("difference").is_not_null()).with_columns(
        difference=pl.col("difference") / pl.col("metric").replace_strict(spans, default=None, return_dtype=pl.Float64)
    )
    sign, sure = pl.col("difference"), pl.col("p_adjusted") < 0.05
    trained = (pl.col("source") == pl.col("target")) | (pl.col("beside") == pl.col("target"))
    return (
        known.with_columns(
            task=pl.when(pl.col("source_task") == pl.col("task")).then(pl.lit("same")).otherwise(pl.lit("other")),
            language=pl.when(trained).then(pl.lit("same")).otherwise(pl.lit("other")),
        )
        .group_by("task", "language")
        .agg(
            transfers=pl.len(),
            mean=sign.mean(),
            positive=(sign > 0).mean(),
            negative=(sign < 0).mean(),
            helped=((sign > 0) & sure).mean(),
            harmed=((sign < 0) & sure).mean(),
        )
        .sort("task", "language", descending=True)
    )


NORMALISED = {
    "task": pl.String, "metric": pl.String, "cell": pl.String, "language": pl.String, "in_language": pl.String,
    "n": pl.Int64, "runs": pl.Int64, "share": pl.Float64, "low": pl.Float64, "high": pl.Float64,
}  # fmt: skip


def normalised_transfer(panels: Sequence[Panel], sources: Sources, design: Design) -> pl.DataFrame:
    """(cell − base) / (in-language − base) of every setting: the share of what training on the language would give.

    In-language is the one setting that was trained on that language alone, on the task tested; languages without one
    have no rows. Of both as many runs count as of the one with fewer. Undefined where the denominator is within noise,
    that is, where its interval holds 0 or there is none, and where it is a loss: large denominators are chosen, so
    that shares lean downwards where it is barely above. Columns: task, metric, cell, language, in_language (the
    setting), n, runs, share, low, high.
    """
    rows: list[dict[str, object]] = []
    for panel in panels:
        own, there = _in_language(panel, sources, design), design.there(panel)
        cells = [cell for cell in there if cell in design.settings and design.base_of(cell) in there]
        gains = {(cell, language): np.subtract(*paired(panel, design, cell, design.base_of(cell), [language]))
                 for cell in cells for language in own}  # fmt: skip
        places = [(cell, language) for cell, language in gains if cell != own[language]]
        pairs = [trimmed(gains[place], gains[own[place[1]], place[1]]) for place in places]
        wholes = {(language, len(gain)): gain for (_, language), (_, gain) in zip(places, pairs, strict=True)}
        sure = dict(
            zip(
                wholes,
                differences([(gain, np.zeros_like(gain)) for gain in wholes.values()], panel.clusters),
                strict=True,
            )
        )
        for (cell, language), (gain, whole) in zip(places, pairs, strict=True):
            share = _share(gain, whole, sure[language, len(whole)], metric_of(panel.metric), panel.clusters)
            rows.append(
                {"task": panel.task, "metric": panel.metric, "cell": cell, "language": language,
                 "in_language": own[language], "n": share.n, "runs": len(gain), "share": share.mean,
                 "low": share.low, "high": share.high}
            )  # fmt: skip
    return pl.DataFrame(rows, schema=NORMALISED)


def _in_language(panel: Panel, sources: Sources, design: Design) -> dict[str, str]:
    """Language → the one setting that was trained on the panel's task in it alone; none without scores of the base."""
    there = design.there(panel)
    names = {
        source.language: cell
        for cell, source in alone(sources).items()
        if source.task == panel.task and source.beside == NOTHING and {cell, design.base_of(cell)} <= {*there}
    }
    return {language: names[language] for language in panel.languages if language in names}


def _share(gain: Floats, whole: Floats, sure: Difference, metric: Metric, clusters: Codes | None) -> Estimate:
    """The mean of `gain` over that of `whole`, of which `sure` says whether it is noise: arrays (runs, items, 1).

    The interval is that of the ratio's linearisation, (gain − share · whole) / mean(whole).
    """
    n = int((~np.isnan(gain)).sum())
    if not (comparable(gain) and comparable(whole)) or sure.low is None or sure.high is None:
        return Estimate(n, None, None, None)
    if not (sure.low > 0 if metric.best > metric.worst else sure.high < 0):
        return Estimate(n, None, None, None)
    size = float(contributions(whole).mean())
    value = float(contributions(gain).mean()) / size
    linear = (contributions(gain) - value * contributions(whole)) / size
    half = spread(clustered(linear, clusters)).half_width
    return Estimate(n, value, value - half, value + half)


@dataclass(frozen=True, slots=True)
class Transfer:
    """What settings that are trained on one language each say of transfer; of each table see the function so called."""

    transfer: pl.DataFrame
    asymmetry: pl.DataFrame
    donors: pl.DataFrame
    recipients: pl.DataFrame
    regimes: pl.DataFrame
    normalised: pl.DataFrame

    @classmethod
    def by_base(cls, panels: Sequence[Panel], sources: Sources, design: Design) -> Transfer:
        """All of `main_panels`, of the settings of each base apart: several bases have a column `base` to tell them."""
        parts = {
            base: cls.of(panels, {name: source for name, source in sources.items() if name in part.settings}, part)
            for base, part in design.parts().items()
        }
        if len(parts) == 1:
            return next(iter(parts.values()))
        tables = {
            field.name: pl.concat(
                [getattr(part, field.name).with_columns(base=pl.lit(base)) for base, part in parts.items()]
            )
            for field in fields(cls)
        }
        return cls(**tables)

    def parts(self) -> dict[str, Transfer]:
        """The tables of each base apart, by its name."""
        if "base" not in self.transfer.columns:
            return {BASE: self}
        return {
            base: Transfer(**{field.name: getattr(self, field.name).filter(base=base) for field in fields(self)})
            for base in self.transfer["base"].unique(maintain_order=True)
        }

    @classmethod
    def of(cls, panels: Sequence[Panel], sources: Sources, design: Design) -> Transfer:
        """All of `main_panels`."""
        matrix = transfer_matrix(panels, sources, design)
        return cls(
            transfer=matrix,
            asymmetry=asymmetry(panels, sources, design),
            donors=donors(panels, sources, design),
            recipients=recipients(panels, sources, design),
            regimes=regimes(matrix),
            normalised=normalised_transfer(panels, sources, design),
        )
