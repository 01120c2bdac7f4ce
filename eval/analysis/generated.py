"""What models wrote to be trained on: how much of it is kept and right, and how much of the gap to gold it closes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from eval.analysis.panel import CLUSTER, Panel, codes
from eval.analysis.stats import Codes, Floats, differences, estimate, ratio, wilson
from eval.scorers.metrics import metric_of

KEPT = {
    "source": pl.String, "written_by": pl.String, "language": pl.String, "prompts": pl.Int64, "kept": pl.Int64,
    "share": pl.Float64, "share_low": pl.Float64, "share_high": pl.Float64, "metric": pl.String,
    "score": pl.Float64, "score_low": pl.Float64, "score_high": pl.Float64, "scored": pl.Int64,
    "score_of_all": pl.Float64, "score_of_all_low": pl.Float64, "score_of_all_high": pl.Float64,
    "scored_of_all": pl.Int64, "left_out": pl.String,
}  # fmt: skip
RECOVERED = {
    "task": pl.String, "metric": pl.String, "cell": pl.String, "gold": pl.String, "zero_shot": pl.String,
    "languages": pl.String, "runs": pl.Int64, "items": pl.Int64,
    "gained": pl.Float64, "gained_low": pl.Float64, "gained_high": pl.Float64,
    "by_gold": pl.Float64, "by_gold_low": pl.Float64, "by_gold_high": pl.Float64,
    "recovered": pl.Float64, "recovered_low": pl.Float64, "recovered_high": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class WrittenAndLearned:
    """Tables of what cells learned besides given targets; empty where there is nothing."""

    generated: pl.DataFrame = field(default_factory=pl.DataFrame)
    """What models wrote to be trained on: see `kept_table`."""
    recovered: pl.DataFrame = field(default_factory=pl.DataFrame)
    """How much of what gold targets gain that gains too: see `recovered_table`."""
    objectives: pl.DataFrame = field(default_factory=pl.DataFrame)
    """The loss of each term beside the likelihood: cell, term, steps, averaged, first, last."""
    retrieval: pl.DataFrame = field(default_factory=pl.DataFrame)
    """How often held-out translations are found: cell, layer, languages, pairs, before, after, with intervals."""


@dataclass(frozen=True, slots=True)
class SelfTrained:
    """A setting that is trained on what a model wrote, with what it is compared with; runs in the order of seeds."""

    setting: str
    runs: tuple[str, ...]
    gold: str
    """The setting that differs from it in having the source's own targets."""
    gold_runs: tuple[str, ...]
    zero_shot: str
    """The setting, or the model, that wrote the rows."""
    zero_shot_runs: tuple[str, ...]
    """As many as there are runs, or one for all."""
    languages: tuple[str, ...]
    """Of the rows."""


def kept_table(written: pl.DataFrame) -> pl.DataFrame:
    """What became of the prompts of each source, model and language. Columns: see `KEPT`.

    `written` has a row per prompt: source, written_by, language, item_id, cluster, metric, reason (null where the
    target is kept), score (of the target by the hidden one; null where there is none). Shares have Wilson's interval,
    scores that of `estimate`, templates or other clusters resampled as wholes.
    """
    rows = [kept_row(part, *map(str, names)) for names, part in
            written.group_by(["source", "written_by", "language"], maintain_order=True)]  # fmt: skip
    return pl.DataFrame(rows, schema=KEPT)


def kept_row(part: pl.DataFrame, source: str, written_by: str, language: str) -> dict[str, Any]:
    """The figures of one source, model and language."""
    kept = part.filter(pl.col("reason").is_null())
    low, high = wilson(kept.height / part.height, part.height)
    reasons = Counter(part["reason"].drop_nulls().to_list())
    left_out = "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common())
    metric = str(part["metric"][0])
    row = {"source": source, "written_by": written_by, "language": language, "prompts": part.height,
           "kept": kept.height, "share": kept.height / part.height, "share_low": low, "share_high": high,
           "metric": metric, "left_out": left_out}  # fmt: skip
    return row | mean_score(kept, metric, "score", "scored") | mean_score(part, metric, "score_of_all", "scored_of_all")


def mean_score(rows: pl.DataFrame, metric: str, name: str, count: str) -> dict[str, Any]:
    """The mean score with its interval, of the rows that have a score; blank where none has."""
    scored = rows.filter(pl.col("score").is_not_null())
    figure = estimate(
        scored["score"].to_numpy()[None, :, None], ends=metric_of(metric).ends, clusters=clusters_of(scored),
        graded=metric_of(metric).graded,
    )  # fmt: skip
    return {name: figure.mean, f"{name}_low": figure.low, f"{name}_high": figure.high, count: figure.n}


def clusters_of(rows: pl.DataFrame) -> Codes:
    """The number of each row's cluster; an item without one is its own."""
    names = rows.select(pl.coalesce(CLUSTER, "item_id")).to_series()
    return codes(names, names.unique(maintain_order=True))


def recovered_table(panels: Sequence[Panel], studies: Sequence[SelfTrained]) -> pl.DataFrame:
    """How much of what gold targets gain the model's own gain too, by main metrics. Columns: see `RECOVERED`.

    Gap recovered is (self-trained − zero-shot) / (gold − zero-shot), paired by item and run, in the languages of the
    rows: in each, and in all together. It is blank where what gold gains is within noise (`stats.ratio`).
    """
    rows = [row for panel in panels for study in studies for row in recovered_rows(panel, study)]
    return pl.DataFrame(rows, schema=RECOVERED)


def recovered_rows(panel: Panel, study: SelfTrained) -> Iterator[dict[str, Any]]:
    """The rows of one setting in one task."""
    runs = {*study.runs, *study.gold_runs, *study.zero_shot_runs}
    languages = tuple(language for language in study.languages if language in panel.languages)
    if not runs <= {*panel.runs}:
        return
    for group in dict.fromkeys([*((language,) for language in languages), languages]):
        if group:
            names = {"task": panel.task, "metric": panel.metric, "cell": study.setting, "gold": study.gold,
                     "zero_shot": study.zero_shot, "languages": " ".join(group)}  # fmt: skip
            own, gold, zero_shot = (panel.of(of, group) for of in (study.runs, study.gold_runs, study.zero_shot_runs))
            yield names | recovered(own, gold, zero_shot, panel)


def recovered(own: Floats, gold: Floats, zero_shot: Floats, panel: Panel) -> dict[str, Any]:
    """What is gained over zero-shot, by the model's own targets and by gold ones, and the ratio of both."""
    gained, by_gold = differences([(own, zero_shot), (gold, zero_shot)], panel.clusters)
    worst, best = metric_of(panel.metric).ends
    share = ratio(own - zero_shot, gold - zero_shot, ends=(worst - best, best - worst), clusters=panel.clusters,
                  graded=True)  # fmt: skip
    return {
        "runs": gained.runs, "items": gained.items,
        "gained": gained.difference, "gained_low": gained.low, "gained_high": gained.high,
        "by_gold": by_gold.difference, "by_gold_low": by_gold.low, "by_gold_high": by_gold.high,
        "recovered": share.mean, "recovered_low": share.low, "recovered_high": share.high,
    }  # fmt: skip
