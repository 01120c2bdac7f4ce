"""Generation noise: what the same model writes to the same prompts in other batches.

Kernels add up in an order that depends on the batch, a sum in another order is rounded otherwise, and where two tokens
are about as likely, the completion goes on differently from there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from eval.analysis.groups import Kind, LanguageGroups
from eval.analysis.panel import CLUSTER, panel_of
from eval.analysis.stats import Estimate, estimate
from eval.scorers.metrics import metric_of

NOISE = {
    "task": pl.String, "metric": pl.String, "group": pl.String, "languages": pl.String, "models": pl.Int64,
    "repeats": pl.Int64, "completions": pl.Int64, "differing": pl.Float64, "differing_low": pl.Float64,
    "differing_high": pl.Float64, "sd": pl.Float64, "sd_low": pl.Float64, "sd_high": pl.Float64,
    "interval": pl.Float64,
}  # fmt: skip
PROMPT = ("cell", "task", "language", "id")


def generation_noise(repeats: pl.DataFrame, groups: LanguageGroups, summary: pl.DataFrame) -> pl.DataFrame:
    """How much completions and mean scores differ where nothing but their batches does.

    `repeats` is as evaluation writes it, `summary` as `summarize` makes it. A row per task and language, or group of
    them that is the same for every model, over all models together. Columns: task, metric, group, languages, models,
    repeats, completions (of one generation), differing (the share of completions that another generation writes
    differently), sd (the standard deviation that this gives the mean score of one model, generated once), both with
    their 95 % intervals over items, and interval (half the width of the 95 % interval of a model's mean, on average).
    """
    rows: list[dict[str, object]] = []
    for (task, metric), part in repeats.group_by("task", "metric", maintain_order=True):
        prompts = by_prompt(part)
        named = {language: (language,) for language in groups.all} | groups.comparable()
        tested = set(part["language"])
        for group, languages in named.items():
            if set(languages) <= tested:
                here = prompts.filter(pl.col("language").is_in(languages))
                rows.append(
                    {"task": task, "metric": metric, "group": group, "languages": " ".join(languages)}
                    | _figures(here, languages, str(metric))
                    | {"interval": mean_half_width(summary, str(task), str(metric), group)}
                )
    return pl.DataFrame(rows, schema=NOISE)


def by_prompt(repeats: pl.DataFrame) -> pl.DataFrame:
    """A row per model and prompt: how often two of its completions differ, and the variance of its score.

    The variance is blank unless every completion was scored.
    """
    alike = repeats.group_by(*PROMPT, "completion").len().with_columns(pairs=pl.col("len") * (pl.col("len") - 1))
    same = alike.group_by(*PROMPT).agg(pl.col("pairs").sum(), count=pl.col("len").sum())
    differing = 1 - pl.col("pairs") / (pl.col("count") * (pl.col("count") - 1))
    scored = repeats.group_by(*PROMPT, maintain_order=True).agg(
        pl.col("item", CLUSTER).first(),
        variance=pl.when(pl.col("value").null_count() == 0).then(pl.col("value").var()),
    )
    several = same.filter(pl.col("count") > 1).select(*PROMPT, "count", differing=differing)
    return scored.join(several, on=PROMPT, maintain_order="left")


def _figures(prompts: pl.DataFrame, languages: Sequence[str], metric: str) -> dict[str, object]:
    """The figures of one group of languages, in the metric's unit."""
    models = prompts["cell"].n_unique()
    differing = _over_models(prompts, "differing", (0.0, 1.0))
    variance = _over_models(prompts, "variance", (0.0, math.inf))
    scored = prompts.filter(pl.col("variance").is_not_null())
    of_one = scored.height / models if models else 0.0
    sd = _root(variance, of_one) if of_one else Estimate(0, None, None, None)
    high = sd.high
    if sd.mean == 0 and differing.high is not None and math.isfinite(span := _span(metric)):
        high = math.sqrt(differing.high * span**2 / 2 / of_one)  # as if each that may differ had the most variance
    return {
        "models": models, "repeats": prompts["count"].max(), "completions": prompts["differing"].count(),
        "differing": differing.mean, "differing_low": differing.low, "differing_high": differing.high,
        "sd": sd.mean, "sd_low": 0.0 if sd.mean == 0 and high is not None else sd.low, "sd_high": high,
    }  # fmt: skip


def _over_models(prompts: pl.DataFrame, column: str, ends: tuple[float, float]) -> Estimate:
    """The mean over languages of the means over items of what all models have there, with its interval over items."""
    table = prompts.group_by("language", "item", maintain_order=True).agg(
        pl.col(CLUSTER).first(), value=pl.col(column).mean()
    )
    panel = panel_of("", "", table.with_columns(cell=pl.lit("all models")))
    return estimate(panel.values, ends=ends, clusters=panel.clusters)


def _root(variance: Estimate, scores: float) -> Estimate:
    """The standard deviation of a mean of so many scores, from the variance of one."""
    mean, low, high = (None if figure is None else math.sqrt(max(0.0, figure) / scores)
                       for figure in (variance.mean, variance.low, variance.high))  # fmt: skip
    return Estimate(variance.n, mean, low, high)


def _span(metric: str) -> float:
    """From the worst to the best there is."""
    unit = metric_of(metric)
    return abs(unit.best - unit.worst)


def mean_half_width(summary: pl.DataFrame, task: str, metric: str, group: str) -> float | None:
    """Half the width of the 95 % interval of a mean, on average over runs and settings."""
    here = summary.filter(
        (pl.col("task") == task) & (pl.col("metric") == metric) & (pl.col("group") == group)
        & pl.col("kind").is_in([Kind.LANGUAGE, Kind.MEAN]) & (pl.col("runs") == 1)
    )  # fmt: skip
    mean = ((here["high"] - here["low"]) / 2).mean()
    return float(mean) if isinstance(mean, float) and np.isfinite(mean) else None


def noise_notes(noise: pl.DataFrame, groups: LanguageGroups) -> Iterator[str]:
    """A sentence for each task: its noise in its primary group of languages."""
    for (task,), part in noise.group_by(["task"], maintain_order=True):
        order = (groups.primary_of(str(task)), *part["group"].reverse())
        row = next(row for name in order for row in part.iter_rows(named=True) if row["group"] == name)
        if row["differing"] is None:
            continue
        factor = metric_of(row["metric"]).factor
        sentence = (
            f"{task}, {groups.phrase(row['group'])}: generated {row['repeats']} times in other batches, "
            f"{100 * row['differing']:.1f} % of {row['completions']:,} completions differ between two generations"
        )
        if row["differing_low"] is not None:
            sentence += f" (95 % CI {100 * row['differing_low']:.1f}–{100 * row['differing_high']:.1f})"
        if row["sd"] is not None:
            sentence += f"; that alone moves a model's mean by {factor * row['sd']:.2f} (standard deviation)"
            if row["interval"] is not None:
                sentence += f", and its interval, which holds that, is ± {factor * row['interval']:.1f}"
        yield sentence
