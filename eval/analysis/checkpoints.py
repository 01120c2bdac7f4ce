"""Steps of training as models of their own: scores along them, when languages are learned, what is forgotten.

Learn steps, forgetting and asymmetry as in arXiv 2205.11758.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from eval.analysis.dynamics import Learning, learned_in, learning
from eval.analysis.panel import Panel, panels_of
from eval.analysis.stats import Floats, bootstrap_means, clustered, contributions, estimate
from eval.analysis.summary import main_panels
from eval.scorers.main_metric import main_metrics
from eval.scorers.metrics import metric_of

IN_LANGUAGE, CROSS_LINGUAL, UNTUNED = "in-language", "cross-lingual", "untuned"
FEWEST = 3
"""Checkpoints along which a learn step says anything."""
MOST_EXACT, FLIPS = 12, 10_000
"""Pairs up to which all flips are gone through, and how many of more."""


@dataclass(frozen=True, slots=True)
class Course:
    """The models that a setting was on its way, the untuned model first where that is evaluated."""

    setting: str
    models: Mapping[int, tuple[str, ...]]
    """Step → the models after it, one for each run."""
    languages: tuple[str, ...]
    """Those that it is trained on."""
    source: str | None = None
    """The one language whose transfer it shows, if it is trained on one, or on one beside the pivot."""
    tokens: Mapping[int, float | None] = field(default_factory=dict[int, float | None])
    """Step → the tokens, in billions, that a suite of checkpoints says it has read by then."""

    @property
    def names(self) -> tuple[str, ...]:
        """All models."""
        return tuple(name for models in self.models.values() for name in models)

    def kind(self, language: str) -> str:
        """Whether a language is one that it is trained on; of models that the study trains on nothing that."""
        if not self.languages:
            return UNTUNED
        return IN_LANGUAGE if language in self.languages else CROSS_LINGUAL

    def scored(self, panel: Panel) -> Course:
        """The steps whose models all have scores."""
        there = {step: names for step, names in sorted(self.models.items()) if {*names} <= {*panel.runs}}
        return replace(self, models=there)


@dataclass(frozen=True, slots=True)
class CheckpointTables:
    """What scores along checkpoints say, as tables."""

    checkpoints: pl.DataFrame
    """Every metric at every step in every language: cell, step, tokens (billions, where a suite tells them), task,
    metric, main, language, kind, runs, mean, low, high, scored."""
    learning: pl.DataFrame
    """By main metric: cell, source, task, metric, language, kind, runs, checkpoints, items, first, best, final, and
    `eval.analysis.dynamics.Learning`."""
    learning_asymmetry: pl.DataFrame
    """Pairs of languages that are both sources: task, metric, one, other, difference (one → other less other → one, in
    steps), low, high, and of all pairs of a task pairs, mean_absolute and p."""


CHECKPOINTS = {
    "cell": pl.String, "step": pl.Int64, "tokens": pl.Float64, "task": pl.String, "metric": pl.String,
    "main": pl.Boolean, "language": pl.String, "kind": pl.String, "runs": pl.Int64, "mean": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "scored": pl.Int64,
}  # fmt: skip
LEARNING = {
    "cell": pl.String, "source": pl.String, "task": pl.String, "metric": pl.String, "language": pl.String,
    "kind": pl.String, "runs": pl.Int64, "checkpoints": pl.Int64, "items": pl.Int64, "first": pl.Float64,
    "best": pl.Float64, "final": pl.Float64, "learn_step": pl.Float64, "before": pl.Float64, "low": pl.Float64,
    "high": pl.Float64, "forgetting": pl.Float64, "forgetting_share": pl.Float64,
}  # fmt: skip
ASYMMETRY = {
    "task": pl.String, "metric": pl.String, "one": pl.String, "other": pl.String, "difference": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "pairs": pl.Int64, "mean_absolute": pl.Float64, "p": pl.Float64,
}  # fmt: skip


def checkpoint_tables(scores: pl.DataFrame, courses: Sequence[Course]) -> CheckpointTables:
    """What the scores of cells and of their steps say; `scores` are as evaluation writes them."""
    mains = main_metrics(scores)
    curves = [row for panel in panels_of(scores) for row in _curve_rows(panel, courses, mains[panel.task])]
    panels = main_panels(scores)
    return CheckpointTables(
        pl.DataFrame(curves, schema=CHECKPOINTS),
        pl.DataFrame([row for panel in panels for row in _learning_rows(panel, courses)], schema=LEARNING),
        pl.DataFrame([row for panel in panels for row in _asymmetry_rows(panel, courses)], schema=ASYMMETRY),
    )


def _curve_rows(panel: Panel, courses: Sequence[Course], main: str) -> Iterator[dict[str, Any]]:
    """The mean of each language at each step, with its interval."""
    ends = metric_of(panel.metric).ends
    for course in (course.scored(panel) for course in courses):
        part = replace(panel, runs=course.names, values=panel.of(course.names, panel.languages))
        for language in panel.languages:
            for step, models in course.models.items():
                sampled = part.replicates_of(models, [language]) if len(models) == 1 and part.clusters is None else None
                values = part.of(models, [language])
                figure = estimate(values, sampled, ends, clusters=part.clusters, graded=panel.graded)
                yield {
                    "cell": course.setting, "step": step, "tokens": course.tokens.get(step), "task": panel.task,
                    "metric": panel.metric, "main": panel.metric == main, "language": language,
                    "kind": course.kind(language), "runs": len(models), "mean": figure.mean, "low": figure.low,
                    "high": figure.high, "scored": figure.n,
                }  # fmt: skip


def _learning_rows(panel: Panel, courses: Sequence[Course]) -> Iterator[dict[str, Any]]:
    """When each language is learned; the shares of best scores are counted from the metric's worst value on."""
    worst = metric_of(panel.metric).worst
    for course in (course.scored(panel) for course in courses):
        if len(course.models) < FEWEST:
            continue
        steps = [*course.models]
        for language in panel.languages:
            means, replicates = resampled(panel, course, language)
            known = [float(mean) for mean in means if np.isfinite(mean)]
            made = _learned(steps, means - worst, None if replicates is None else replicates - worst)
            yield {
                "cell": course.setting, "source": course.source, "task": panel.task, "metric": panel.metric,
                "language": language, "kind": course.kind(language), "runs": max(map(len, course.models.values())),
                "checkpoints": len(known), "items": _items(panel, course, language),
                "first": known[0] if known else None, "best": max(known, default=None),
                "final": known[-1] if known else None, **asdict(made),
            }  # fmt: skip


def _learned(steps: Sequence[int], means: Floats, replicates: Floats | None) -> Learning:
    """`learning` of means as an array, in which NaN stands for none."""
    scores = [float(mean) if np.isfinite(mean) else None for mean in means]
    return learning(steps, scores, replicates)


def _items(panel: Panel, course: Course, language: str) -> int:
    """The items of a language that some model on the way is scored on."""
    return int((~np.isnan(panel.of(course.names, [language]))).any(axis=(0, 2)).sum())


def resampled(panel: Panel, course: Course, language: str) -> tuple[Floats, Floats | None]:
    """The mean at each step, of its runs, and the same of resampled items, or clusters: (replicates, steps).

    No replicates where there is one item or cluster alone.
    """
    return _resampled(panel, [(course, language)])[0]


def _resampled(panel: Panel, asked: Sequence[tuple[Course, str]]) -> list[tuple[Floats, Floats | None]]:
    """`resampled` of several courses, each in a language, over the same items."""
    tables = [
        np.stack([contributions(panel.of(models, [language])).mean(axis=0) for models in course.models.values()])
        for course, language in asked
    ]
    together = clustered(np.concatenate(tables), panel.clusters)
    sampled = bootstrap_means(together[:, :, None])[:, :, 0] if together.shape[1] > 1 else None
    ends = np.cumsum([len(table) for table in tables])
    return [
        (table.mean(axis=1), None if sampled is None else sampled[:, end - len(table) : end])
        for table, end in zip(tables, ends, strict=True)
    ]


def _asymmetry_rows(panel: Panel, courses: Sequence[Course]) -> Iterator[dict[str, Any]]:
    """Of each pair of sources how much later the one teaches the other than the reverse, in steps.

    Without asymmetry the two directions of each pair can change places: `p` is of the flips of their signs, of the sum
    over languages of the squared mean difference of a language as a source and as a target. It tells whether some
    languages are learned from late and teach late, not whether single pairs differ.
    """
    sources = _sources([course.scored(panel) for course in courses], panel)
    rows: list[dict[str, Any]] = []
    worst = metric_of(panel.metric).worst
    for (one, first), (other, second) in combinations(sources.items(), 2):
        (there, of_there), (back, of_back) = _resampled(panel, [(first, other), (second, one)])
        steps = [*first.models], [*second.models]
        learned = [
            _learned(steps[0], there - worst, None).learn_step,
            _learned(steps[1], back - worst, None).learn_step,
        ]
        if learned[0] is None or learned[1] is None:
            continue
        low = high = None
        if of_there is not None and of_back is not None:
            drawn = learned_in(steps[0], of_there - worst), learned_in(steps[1], of_back - worst)
            if drawn[0] is not None and drawn[1] is not None:
                apart = np.quantile(drawn[0] - drawn[1], [0.025, 0.975], method="inverted_cdf")
                low, high = (float(end) for end in apart)
        rows.append({"task": panel.task, "metric": panel.metric, "one": one, "other": other,
                     "difference": learned[0] - learned[1], "low": low, "high": high})  # fmt: skip
    if rows:
        differences = np.array([row["difference"] for row in rows], dtype=np.float64)
        tested = {
            "pairs": len(rows), "mean_absolute": float(np.abs(differences).mean()),
            "p": flips_of_directions([(row["one"], row["other"]) for row in rows], differences),
        }  # fmt: skip
        yield from (row | tested for row in rows)


def _sources(courses: Sequence[Course], panel: Panel) -> dict[str, Course]:
    """Source → its course, of tested languages that one setting alone shows the transfer of."""
    named = [course for course in courses if course.source in panel.languages and len(course.models) >= FEWEST]
    sources = [course.source for course in named]
    return {course.source: course for course in named if course.source and sources.count(course.source) == 1}


def flips_of_directions(pairs: Sequence[tuple[str, str]], differences: Floats) -> float:
    """The share of all flips of direction in which languages are as unlike as sources and as targets, or more so.

    All are gone through up to 12 pairs; else 10,000 at random, the observed one counted among them.
    """
    languages = sorted({language for pair in pairs for language in pair})
    incidence = np.array([[(name == one) - (name == other) for name in languages] for one, other in pairs], dtype=float)

    def unlike(signs: Floats) -> Floats:
        return (((signs * differences) @ incidence) ** 2).sum(axis=-1)

    count = len(pairs)
    observed = unlike(np.ones((1, count)))[0] * (1 - 1e-9)
    if count <= MOST_EXACT:
        signs = 1.0 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
        return float((unlike(signs) >= observed).mean())
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(FLIPS, count))
    return float((1 + (unlike(signs) >= observed).sum()) / (FLIPS + 1))
