"""What transferred: means over groups of languages, performance to the pivot, comparisons, plateaus, gaps closed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from babel import Locale

from eval.analysis.panel import Panel, panels_of
from eval.analysis.stats import (
    Difference,
    Estimate,
    Floats,
    contributions,
    differences,
    estimate,
    holm,
    interval,
    ratio,
    spread,
)
from eval.scorers.metrics import metric_of

BASE = "base"
"""What the untuned model is called among the cells."""
GAP = "seen − unseen"


@dataclass(frozen=True, slots=True)
class LanguageGroups:
    """The study's languages; `seen` has the pivot in it if it was trained on. `named` are groups of the user's own."""

    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    pivot: str = "en"

    @property
    def all(self) -> tuple[str, ...]:
        """Seen languages, then unseen."""
        return (*self.seen, *self.unseen)

    @property
    def others(self) -> str:
        """The name of the group of all languages but the pivot, e.g. "non-English"."""
        return f"non-{language_name(self.pivot)}"

    @property
    def performance(self) -> str:
        """The name of the ratio to the pivot, e.g. "performance to English"."""
        return f"performance to {language_name(self.pivot)}"

    def means(self) -> dict[str, tuple[str, ...]]:
        """The groups whose means are reported, by name.

        As in arXiv 2504.16677 "seen" is without the pivot, "non-English" its average of 7 and "all" its average of 8.
        """
        groups = {
            "seen": tuple(language for language in self.seen if language != self.pivot),
            "unseen": self.unseen,
            self.others: tuple(language for language in self.all if language != self.pivot),
            "all": self.all,
        } | dict(self.named)
        return {name: languages for name, languages in groups.items() if languages}


def language_name(code: str) -> str:
    """The English name of a language, or its code where CLDR has none."""
    return Locale("en").languages.get(code, code)


@dataclass(frozen=True, slots=True)
class Curve:
    """Settings along an axis of amounts, the rest of the recipe being the same; `name` says what that is."""

    name: str
    axis: str
    amounts: tuple[float, ...]
    settings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Design:
    """How the cells of a study belong together.

    A *setting* is a cell, or the runs of one under several seeds. Each is compared with its reference and the base.
    """

    settings: Mapping[str, tuple[str, ...]]
    """Setting → its runs, the names of cells."""
    references: Mapping[str, str] = field(default_factory=dict[str, str])
    """Setting → the one it is compared with: its like with the least amount."""
    curves: tuple[Curve, ...] = ()

    def runs(self, setting: str) -> tuple[str, ...]:
        """A setting's runs; the base, or a single run by its own name, is one."""
        return self.settings.get(setting, (setting,))

    def there(self, panel: Panel) -> list[str]:
        """The settings with scores, the base first."""
        names = [BASE, *self.settings]
        return [name for name in names if any(run in panel.runs for run in self.runs(name))]

    def present(self, setting: str, panel: Panel) -> list[str]:
        """A setting's runs that have scores."""
        return [run for run in self.runs(setting) if run in panel.runs]


def main_metrics(scores: pl.DataFrame) -> dict[str, str]:
    """Task → the metric it is judged by, which comes first."""
    first = scores.group_by("task", maintain_order=True).agg(pl.col("metric").first())
    return dict(first.iter_rows())


def summarize(scores: pl.DataFrame, groups: LanguageGroups, design: Design | None = None) -> pl.DataFrame:
    """One row per run and setting, task, metric and language or group.

    Columns: cell, runs, task, metric, group, languages, mean, low, high, scored, unscored, no_answer, version.
    *Performance to English* = mean over the other languages / the English score of the same cell (arXiv 2504.16677,
    avg7 / English); *seen − unseen* = difference of the two means.
    """
    tallies = counted(scores)
    rows = [row for panel in panels_of(scores) for row in _summary_rows(panel, groups, design, tallies)]
    schema = dict.fromkeys(("mean", "low", "high"), pl.Float64) | {"runs": pl.Int64}
    return pl.DataFrame(rows, schema_overrides=schema)


Tallies = Mapping[tuple[str, str, str, str], tuple[int, int, str]]


def counted(scores: pl.DataFrame) -> Tallies:
    """Unscored, scored without an answer found, and scorers' versions by cell, task, metric and language."""
    value, reason = pl.col("value"), pl.col("reason")
    found = scores.group_by("cell", "task", "metric", "language").agg(
        unscored=value.is_null().sum(),
        no_answer=(value.is_not_null() & reason.is_not_null()).sum(),
        version=pl.col("version").unique().sort().str.join(", "),
    )
    return {(row[0], row[1], row[2], row[3]): (row[4], row[5], row[6]) for row in found.iter_rows()}


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
        for group, languages, estimated in estimates(panel, runs, groups):
            concerned = [tallies.get((run, panel.task, panel.metric, each)) for run in runs for each in languages]
            there = [each for each in concerned if each]
            yield {
                "cell": name,
                "runs": len(runs),
                "task": panel.task,
                "metric": panel.metric,
                "group": group,
                "languages": " ".join(languages),
                "mean": estimated.mean,
                "low": estimated.low,
                "high": estimated.high,
                "scored": estimated.n,
                "unscored": sum(each[0] for each in there),
                "no_answer": sum(each[1] for each in there),
                "version": ", ".join(sorted({each[2] for each in there})),
            }


def estimates(
    panel: Panel, runs: Sequence[str], groups: LanguageGroups
) -> Iterator[tuple[str, tuple[str, ...], Estimate]]:
    """Each language tested, the groups all of whose languages are, performance to the pivot, and the gap."""
    means = {name: members for name, members in groups.means().items() if set(members) <= set(panel.languages)}
    named = {language: (language,) for language in groups.all if language in panel.languages} | means
    single = runs[0] if len(runs) == 1 else None
    ends = metric_of(panel.metric).ends
    for name, members in named.items():
        sampled = panel.replicates_of([single], members) if single else None
        yield name, members, estimate(panel.of(runs, members), sampled, ends)
    if groups.pivot in panel.languages and groups.others in means:
        others = means[groups.others]
        sampled = panel.replicates_of([single], (*others, groups.pivot)) if single else None
        yield (
            groups.performance,
            (groups.pivot, *others),
            ratio(panel.of(runs, others), panel.of(runs, (groups.pivot,)), sampled, ends),
        )
    if {"seen", "unseen"} <= set(means):
        members = (*means["seen"], *means["unseen"])
        yield GAP, members, _gap(panel, runs, means["seen"], means["unseen"])


def _gap(panel: Panel, runs: Sequence[str], seen: Sequence[str], unseen: Sequence[str]) -> Estimate:
    """The mean over seen languages less that over unseen ones, items resampled together."""
    above, below = panel.of(runs, seen), panel.of(runs, unseen)
    n = int((~np.isnan(above)).sum() + (~np.isnan(below)).sum())
    if not (~np.isnan(above)).any(axis=1).all() or not (~np.isnan(below)).any(axis=1).all():
        return Estimate(n, None, None, None)
    table = contributions(above) - contributions(below)
    mean = float(table.mean())
    if table.shape[1] == 1:
        return Estimate(n, mean, None, None)
    if spread(table).error == 0:
        return Estimate(n, mean, None, None)
    if len(runs) > 1:
        half = spread(table).half_width
        return Estimate(n, mean, mean - half, mean + half)
    one, other = (panel.replicates_of(runs, members).mean(axis=(1, 2)) for members in (seen, unseen))
    low, high = interval(one - other, above.shape[1])
    return Estimate(n, mean, float(low), float(high))


def compare(panels: Sequence[Panel], groups: LanguageGroups, design: Design) -> pl.DataFrame:
    """Every setting against its reference and the base in each group of languages; `panels` are `main_panels`.

    Columns: task, metric, group, cell, other, items, runs, difference, low, high, p, p_adjusted, detectable, test.
    `p_adjusted` is Holm's over the settings and groups compared with the same kind of other (the base, or references)
    in one task.
    """
    found: list[dict[str, object]] = []
    for panel in panels:
        there = design.there(panel)
        to_base = [(name, BASE) for name in there if name != BASE] if BASE in there else []
        to_reference = [
            (name, other) for name in there if (other := design.references.get(name)) in there and other != name
        ]
        for pairs in (to_base, to_reference):
            found += compared(panel, pairs, groups, design)  # pyright: ignore[reportArgumentType]
    return pl.DataFrame(found, schema=COMPARISONS)


COMPARISONS = {
    "task": pl.String, "metric": pl.String, "group": pl.String, "cell": pl.String, "other": pl.String,
    "items": pl.Int64, "runs": pl.Int64, "difference": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "p": pl.Float64, "p_adjusted": pl.Float64, "detectable": pl.Float64, "test": pl.String,
}  # fmt: skip


def main_panels(scores: pl.DataFrame) -> list[Panel]:
    """The panels of each task's main metric."""
    main = main_metrics(scores)
    return [panel for panel in panels_of(scores, [*main.values()]) if main[panel.task] == panel.metric]


def compared(
    panel: Panel, pairs: Sequence[tuple[str, str]], groups: LanguageGroups, design: Design
) -> list[dict[str, object]]:
    """The rows of a family of comparisons, over which p-values are adjusted."""
    means = {name: members for name, members in groups.means().items() if set(members) <= set(panel.languages)}
    asked = [(name, other, group) for name, other in pairs for group in means]
    found = differences([paired(panel, design, name, other, means[group]) for name, other, group in asked])
    adjusted = holm([each.p for each in found])
    return [
        {"task": panel.task, "metric": panel.metric, "group": group, "cell": name, "other": other}
        | _figures(each)
        | {"p_adjusted": p}
        for (name, other, group), each, p in zip(asked, found, adjusted, strict=True)
    ]


def _figures(each: Difference) -> dict[str, object]:
    return {
        "items": each.items,
        "runs": each.runs,
        "difference": each.difference,
        "low": each.low,
        "high": each.high,
        "p": each.p,
        "detectable": each.detectable,
        "test": each.test,
    }


def paired(panel: Panel, design: Design, one: str, other: str, languages: Sequence[str]) -> tuple[Floats, Floats]:
    """The scores of two settings, run by run: of the runs that both have, in the order of their seeds.

    The base has no seed: every run is compared with it. Of settings with unlike numbers of runs, as many are taken of
    each as of the one with fewer: a single run's own luck would be in all differences alike, and so in none's spread.
    """
    first, second = design.present(one, panel), design.present(other, panel)
    if BASE not in (one, other):
        if len(design.runs(one)) == len(design.runs(other)):
            pairs = zip(design.runs(one), design.runs(other), strict=True)
            both = [pair for pair in pairs if pair[0] in first and pair[1] in second]
            first, second = [pair[0] for pair in both], [pair[1] for pair in both]
        fewer = min(len(first), len(second))
        first, second = first[:fewer], second[:fewer]
    return panel.of(first, languages), panel.of(second, languages)
