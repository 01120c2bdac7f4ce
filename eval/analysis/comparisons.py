"""Whether one setting is better than another, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from eval.analysis.design import Design
from eval.analysis.families import Arm, compare_family
from eval.analysis.groups import LanguageGroups
from eval.analysis.panel import Panel
from eval.analysis.stats import Difference, Floats, clustered, contributions
from eval.analysis.variance import RunVariance, run_variance
from eval.scorers.metrics import metric_of

COMPARISONS = {
    "task": pl.String, "metric": pl.String, "group": pl.String, "primary": pl.Boolean, "cell": pl.String,
    "other": pl.String, "languages": pl.String, "items": pl.Int64, "runs": pl.Int64, "difference": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "p": pl.Float64, "p_adjusted": pl.Float64, "detectable": pl.Float64,
    "test": pl.String,
}  # fmt: skip


def compare(panels: Sequence[Panel], groups: LanguageGroups, design: Design) -> pl.DataFrame:
    """Every setting against its reference and its base in each group of languages and in each language.

    `panels` are `main_panels`.

    Columns: task, metric, group, primary (whether the task's question is about this group), cell, other, languages
    (seen: by one of the two; unseen: by neither), items (or clusters of them), runs, difference, low, high, p,
    p_adjusted, detectable, test. All comparisons of a task in one group are a family, over which `p_adjusted` and
    `detectable` are adjusted. Groups hold each other's languages, and are not adjusted for one another: those that are
    not primary are for exploring.
    """
    rows: list[dict[str, object]] = []
    for panel in panels:
        primary = groups.primary_of(panel.task)
        for group in (*groups.names, *groups.all):
            place: dict[str, object] = {
                "task": panel.task,
                "metric": panel.metric,
                "group": group,
                "primary": group == primary,
            }
            rows += [place | row for row in family_of(panel, groups, design, group)]
    return pl.DataFrame(rows, schema=COMPARISONS)


def family_of(panel: Panel, groups: LanguageGroups, design: Design, group: str) -> list[dict[str, Any]]:
    """The comparisons of a task in one group of languages: cell, other, languages, and the figures of a difference."""
    there = design.there(panel)
    pairs = [(name, base) for name in there if (base := design.base_of(name)) in there and name not in design.untuned]
    pairs += [(name, other) for name in there if (other := design.references.get(name)) in there and other != name]
    compared = {pair: languages for pair in pairs if (languages := tested(panel, groups.of(*pair), group))}
    figures = compare_settings(panel, design, [(*pair, languages) for pair, languages in compared.items()])
    return [
        {"cell": name, "other": other, "languages": " ".join(languages)} | figures_of(difference)
        for ((name, other), languages), difference in zip(compared.items(), figures, strict=True)
    ]


def compare_settings(
    panel: Panel, design: Design, asked: Sequence[tuple[str, str, tuple[str, ...]]]
) -> list[Difference]:
    """One setting − another, each in some languages, as a family.

    The variance of runs is pooled over all settings in the same languages, and the luck of a run in other languages is
    taken to be another, which makes the adjustment stricter if anything.
    """
    pools = {languages: pooled_runs(panel, design, languages) for _, _, languages in asked}
    pairs = [(arm_in(panel, design, one, languages), arm_in(panel, design, other, languages))
             for one, other, languages in asked]  # fmt: skip
    found = compare_family(pairs, [pools[languages] for _, _, languages in asked], panel.clusters)
    return [difference.of_scores_between(metric_of(panel.metric).ends) for difference in found]


def tested(panel: Panel, groups: LanguageGroups, group: str) -> tuple[str, ...]:
    """The languages of a group, or a language alone, if all are tested; else none."""
    languages = groups.means().get(group, (group,) if group in groups.all else ())
    return languages if set(languages) <= set(panel.languages) else ()


def figures_of(difference: Difference) -> dict[str, object]:
    """A difference as a row."""
    names = ("items", "runs", "difference", "low", "high", "p", "p_adjusted", "detectable", "test")
    return {name: getattr(difference, name) for name in names}


def arm_of(panel: Panel, design: Design, name: str, languages: Sequence[str]) -> Arm:
    """A setting's scores in some languages; the base has no seed."""
    return Arm(name, panel.of(design.present(name, panel), languages), has_seed=name not in design.untuned)


def arm_in(panel: Panel, design: Design, name: str, languages: Sequence[str]) -> Arm:
    """A setting's scores in some languages, named by these too: its luck in others counts as another's."""
    return replace(arm_of(panel, design, name, languages), name=f"{name} in {' '.join(languages)}")


def pooled_runs(panel: Panel, design: Design, languages: Sequence[str]) -> RunVariance | None:
    """The variance between runs under other seeds, pooled over the settings; None where each has one run."""
    return run_variance(run_tables(panel, design, dict.fromkeys(design.settings, languages)))


def run_tables(panel: Panel, design: Design, languages: Mapping[str, Sequence[str]]) -> list[Floats]:
    """What each item contributes to the mean of each run, of the settings with several runs that are scored whole.

    `languages` are those of each setting that counts.
    """
    values = [panel.of(design.present(name, panel), languages[name]) for name in design.settings if name in languages]
    several = [scores for scores in values if len(scores) > 1 and not np.isnan(contributions(scores)).any()]
    return [clustered(contributions(scores), panel.clusters) for scores in several]


def paired(panel: Panel, design: Design, one: str, other: str, languages: Sequence[str]) -> tuple[Floats, Floats]:
    """The scores of two settings, run by run: of the runs that both have, in the order of their seeds.

    The base has no seed: every run is compared with it. Of settings with unlike numbers of runs, as many are taken of
    each as of the one with fewer: a single run's own luck would be in all differences alike, and so in none's spread.
    """
    first, second = design.present(one, panel), design.present(other, panel)
    if not {one, other} & {*design.untuned}:
        if len(design.runs(one)) == len(design.runs(other)):
            pairs = zip(design.runs(one), design.runs(other), strict=True)
            both = [pair for pair in pairs if pair[0] in first and pair[1] in second]
            first, second = [pair[0] for pair in both], [pair[1] for pair in both]
        fewer = min(len(first), len(second))
        first, second = first[:fewer], second[:fewer]
    return panel.of(first, languages), panel.of(second, languages)
