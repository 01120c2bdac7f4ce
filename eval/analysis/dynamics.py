"""Scores over checkpoints and stages: when a language is learned, what is forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.analysis.panel import Panel
from eval.analysis.stats import Estimate, Floats, interval, means_of

LEARNED = 0.98
ROUNDING = 1e-6
"""Replicates are made of single precision."""


def learn_step(steps: Sequence[float], scores: Sequence[float | None]) -> float | None:
    """The first checkpoint with at least 98 % of the best score (arXiv 2205.11758).

    None where none was scored, or the best is nothing.
    """
    known = sorted((step, score) for step, score in zip(steps, scores, strict=True) if score is not None)
    if not known:
        return None
    best = max(score for _, score in known)
    if best <= 0:
        return None
    return next(step for step, score in known if score >= LEARNED * best)


def forgetting(steps: Sequence[float], scores: Sequence[float | None]) -> float | None:
    """The best score − that of the last checkpoint (arXiv 2205.11758); None where the last was not scored."""
    known = sorted(zip(steps, scores, strict=True))
    if not known or known[-1][1] is None:
        return None
    return max(score for _, score in known if score is not None) - known[-1][1]


def learned_in(steps: Sequence[float], replicates: Floats) -> Floats | None:
    """The learn step of each bootstrap replicate, replicates × checkpoints; None where one has nothing to learn."""
    in_order = np.argsort(steps)
    curves, ordered = replicates[:, in_order], np.array(steps, dtype=np.float64)[in_order]
    highest = np.nanmax(curves, axis=1, keepdims=True)
    if not (highest > 0).all():
        return None
    return ordered[(np.nan_to_num(curves, nan=-1.0) >= LEARNED * highest).argmax(axis=1)]


@dataclass(frozen=True, slots=True)
class Learning:
    """When scores along checkpoints are learned, and what is lost again."""

    learn_step: float | None
    before: float | None
    """The checkpoint before that one: it was learned somewhere between the two."""
    low: float | None
    """The 95 % interval of the learn step over resampled items, in checkpoints that there are."""
    high: float | None
    forgetting: float | None
    forgetting_share: float | None
    """Of the best score."""


def learning(steps: Sequence[float], scores: Sequence[float | None], replicates: Floats | None = None) -> Learning:
    """When a curve over checkpoints is learned; `replicates` are its bootstrap means, replicates × checkpoints.

    The interval goes from the earliest to the latest checkpoint that 2.5 % of the replicates do not lie beyond. It is
    blank where a replicate has nothing to learn, and without items.
    """
    step, lost = learn_step(steps, scores), forgetting(steps, scores)
    best = max((score for score in scores if score is not None), default=0.0)
    earlier = [other for other in steps if step is not None and other < step]
    low = high = None
    if step is not None and replicates is not None and (learned := learned_in(steps, replicates)) is not None:
        low, high = (float(end) for end in np.quantile(learned, [0.025, 0.975], method="inverted_cdf"))
    share = lost / best if lost is not None and best > 0 else None
    return Learning(step, max(earlier, default=None), low, high, lost, share)


FINAL, FORGETTING, BACKWARD, FORWARD, TRANSFER = "final", "forgetting", "backward", "forward", "transfer"


def continual(
    scores: Floats, random: Sequence[float] | None = None, alone: Sequence[float] | None = None
) -> dict[str, Floats]:
    """The metrics of training in stages (the code of arXiv 2205.11152), as far as they are defined.

    `scores[..., i, j]` is the score on language j after stage i, which trained on language i: shape (..., N, N), and
    each metric's is (...). `random` are the scores of guessing, and `alone` those of training on each language only.

    - final: mean_j R[N, j]
    - forgetting: mean over stages i ≥ 1 of the mean over j < i of max_{k < i} R[k, j] − R[i, j]
    - backward: mean over stages i ≥ 1 of the mean over j < i of R[i, j] − R[j, j]
    - forward (zero-shot): mean over j ≥ 1 of the mean over i < j of R[i, j] − random_j
    - forward_k: mean over i < N − k of R[i, i + k] − random_{i + k}, k stages before a language's own
    - transfer: mean over j ≥ 1 of R[j, j] − alone_j

    Raises ValueError for an array that is not square, or figures that are not one per language.
    """
    stages = scores.shape[-1]
    lengths = {len(scores_of) for scores_of in (random, alone) if scores_of is not None}
    if scores.shape[-2:] != (stages, stages) or lengths - {stages}:
        raise ValueError(f"got scores of shape {scores.shape}, and {sorted(lengths)} figures; N × N and N are wanted")
    later, trained = range(1, stages), np.diagonal(scores, axis1=-2, axis2=-1)
    measures = {FINAL: scores[..., -1, :].mean(axis=-1)}
    if not later:
        return measures
    lost = [(scores[..., :i, :i].max(axis=-2) - scores[..., i, :i]).mean(axis=-1) for i in later]
    since = [(scores[..., i, :i] - trained[..., :i]).mean(axis=-1) for i in later]
    measures |= {FORGETTING: np.mean(lost, axis=0), BACKWARD: np.mean(since, axis=0)}
    if random is not None:
        measures[FORWARD] = np.mean([scores[..., :j, j].mean(axis=-1) - random[j] for j in later], axis=0)
        for ahead in later:
            above = [scores[..., i, i + ahead] - random[i + ahead] for i in range(stages - ahead)]
            measures[f"{FORWARD}_{ahead}"] = np.mean(above, axis=0)
    if alone is not None:
        measures[TRANSFER] = np.mean([trained[..., j] - alone[j] for j in later], axis=0)
    return measures


def continual_estimates(
    panel: Panel, stages: Sequence[str], languages: Sequence[str], baselines: Mapping[str, Sequence[float] | None]
) -> dict[str, Estimate]:
    """`continual` of the runs after each stage and the languages they trained on, with the bootstrap over items.

    `baselines` may hold `random` and `alone`, which count as known. A metric is blank where a score of its own is
    missing. Forgetting is of maxima of noisy figures, and leans upwards: over more than two stages it has no interval.
    """
    values, count = panel.of(stages, languages), len(stages)
    counts = (~np.isnan(values)).sum(axis=1)
    measures = continual(means_of(values.transpose(1, 0, 2)), **baselines)
    sampled = continual(panel.replicates_of(stages, languages), **baselines) if values.shape[1] > 1 else {}
    if count > 2:
        sampled.pop(FORGETTING, None)
    later, earlier = np.tril(np.ones((count, count), dtype=bool)), np.triu(np.ones((count, count), dtype=bool), 1)
    used = {FINAL: np.arange(count)[:, None] == count - 1, FORWARD: earlier, TRANSFER: np.eye(count, dtype=bool)}
    used |= {f"{FORWARD}_{ahead}": np.eye(count, k=ahead, dtype=bool) for ahead in range(1, count)}
    return {
        name: _estimate(int((counts * used.get(name, later)).sum()), float(figure), sampled.get(name), values.shape[1])
        for name, figure in measures.items()
    }


def _estimate(n: int, figure: float, sampled: Floats | None, items: int) -> Estimate:
    """The figure with its bootstrap interval; what varies over no item says nothing of how sure it is."""
    if np.isnan(figure):
        return Estimate(n, None, None, None)
    if sampled is None or np.ptp(sampled) <= ROUNDING * max(1.0, float(np.abs(sampled).max())):
        return Estimate(n, figure, None, None)
    low, high = interval(sampled, items)
    return Estimate(n, figure, float(low), float(high))
