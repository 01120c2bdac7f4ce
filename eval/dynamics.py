"""Scores over checkpoints and stages: when a language is learned, what is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.stats import Floats

LEARNED = 0.98


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


@dataclass(frozen=True, slots=True)
class Continual:
    """The metrics of training in stages (the code of arXiv 2205.11152); None for too few stages, or no baseline."""

    final: float
    """mean_j R[N, j]."""
    forgetting: float | None
    """mean over stages i ≥ 1 of the mean over j < i of max_{k < i} R[k, j] − R[i, j]."""
    backward: float | None
    """mean over i > j of R[i, j] − R[j, j]."""
    forward: float | None
    """Zero-shot: mean over j ≥ 1 of the mean over i < j of R[i, j] − random_j."""
    transfer: float | None
    """mean over j ≥ 1 of R[j, j] − mono_j."""


def continual(scores: Floats, random: Sequence[float] | None = None, alone: Sequence[float] | None = None) -> Continual:
    """Of `scores[i, j]`, the score on language j after stage i, which trained on language i: shape (N, N).

    `random` are the scores of guessing, and `alone` those of training on each language only. Raises ValueError for an
    array that is not square, or figures that are not one per language.
    """
    stages = len(scores)
    lengths = {len(each) for each in (random, alone) if each is not None}
    if scores.shape != (stages, stages) or lengths - {stages}:
        raise ValueError(f"got scores of shape {scores.shape}, and {sorted(lengths)} figures; N × N and N are wanted")
    later = range(1, stages)
    forgotten = [np.mean([scores[:i, j].max() - scores[i, j] for j in range(i)]) for i in later]
    backward = [scores[i, j] - scores[j, j] for i in later for j in range(i)]
    forward = [np.mean(scores[:j, j]) - random[j] for j in later] if random is not None else []
    transfer = [scores[j, j] - alone[j] for j in later] if alone is not None else []
    means = [float(np.mean(each)) if each else None for each in (forgotten, backward, forward, transfer)]
    return Continual(float(scores[-1].mean()), *means)
