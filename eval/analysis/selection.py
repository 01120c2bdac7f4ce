"""The setting with the highest mean, told with its selection: its score where it was not chosen, and its rivals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from eval.analysis.best import standings
from eval.analysis.comparisons import arm_of, pooled_runs
from eval.analysis.design import Design
from eval.analysis.groups import LanguageGroups
from eval.analysis.halves import highest
from eval.analysis.panel import Panel
from eval.analysis.stats import clustered, contributions
from eval.scorers.metrics import metric_of

HIGHEST = {
    "task": pl.String, "metric": pl.String, "group": pl.String, "cell": pl.String, "settings": pl.Int64,
    "runs": pl.Int64, "mean": pl.Float64, "mean_elsewhere": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "may_be_best": pl.Int64, "rivals": pl.String,
}  # fmt: skip


def highest_settings(panels: Sequence[Panel], groups: LanguageGroups, design: Design) -> pl.DataFrame:
    """The highest of several settings in each task (of `main_panels`) and group of languages that is the same for all.

    The base is none of them; of several bases there is the highest of each one's settings.

    Columns: task, metric, group, cell, settings, runs (the fewest that a setting has), mean, mean_elsewhere (of the
    highest on one half of items and runs, measured on the other; see `eval.analysis.halves.highest`) with low and
    high, may_be_best (how many settings cannot be told from the best), rivals (those but the highest, by "; "). Blank
    is what figures that are means already cannot tell.
    """
    rows: list[dict[str, object]] = []
    for panel in panels:
        for group, languages in groups.comparable().items():
            if set(languages) <= set(panel.languages):
                for part in design.parts().values():
                    rows += _row(panel, part, group, languages)
    return pl.DataFrame(rows, schema=HIGHEST)


def _row(panel: Panel, design: Design, group: str, languages: Sequence[str]) -> list[dict[str, object]]:
    tables = {
        name: clustered(contributions(panel.of(design.present(name, panel), languages)), panel.clusters)
        for name in design.there(panel)
        if name in design.settings
    }
    tables = {name: table for name, table in tables.items() if np.isfinite(table).all()}
    if len(tables) < 2:
        return []
    means = {name: float(table.mean()) for name, table in tables.items()}
    best = max(means, key=lambda name: means[name])
    row: dict[str, object] = {
        "task": panel.task,
        "metric": panel.metric,
        "group": group,
        "cell": best,
        "settings": len(tables),
        "runs": min(map(len, tables.values())),
        "mean": means[best],
    }
    if tables[best].shape[1] == 1:
        return [row]
    between = pooled_runs(panel, design, languages)
    chosen, (worst, top) = highest([*tables.values()], between), metric_of(panel.metric).ends
    row |= {"mean_elsewhere": chosen.mean, "low": max(worst, chosen.mean - chosen.half_width),
            "high": min(top, chosen.mean + chosen.half_width)}  # fmt: skip
    ranked = standings([arm_of(panel, design, name, languages) for name in tables], between, panel.clusters)
    if ranked is not None:
        equals = [name for name, standing in zip(tables, ranked, strict=True) if standing.may_be_best]
        row |= {"may_be_best": len(equals), "rivals": "; ".join(name for name in equals if name != best)}
    return [row]
