"""The canary gate: an engine must compute each model as transformers does, and apply each adapter as PEFT does.

Adapters can silently not apply, and weights be loaded to the wrong place. On a few rows the engine's log-probabilities
are compared with those of transformers and PEFT; an engine that ignored an adapter, or took another, is found out
before a single score is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NOISE_LIMIT = 0.1
"""Nats by which an engine may differ from the reference in any case."""
NOISE_SHARE = 0.05
"""The same as a share of how surprising tokens are. Rounding to bfloat16 grows with it: alone it moves Gemma 3 270M's
log-probabilities by 1.5 % of their mean where short answers are far from likely (mean −5.8), 2.0 % in plain text."""
NOISE_ALLOWANCE = 2.0
EFFECT_ALLOWANCE = 0.25


class CanaryError(RuntimeError):
    """An engine that does not compute a model as transformers and PEFT do."""


@dataclass(frozen=True, slots=True)
class CanaryVerdict:
    """Mean absolute differences of log-probability per completion token, in nats."""

    effect: float | None
    """Reference with the adapter to reference without: what the adapter does; None of a whole model."""
    noise: float
    """Engine to reference, both without: what the engines differ by anyway."""
    gap: float
    """Engine to reference, both with the adapter: to be explained by the noise. Of a whole model it is the noise."""
    surprise: float = 0.0
    """How far below 0 the reference's log-probabilities are, without the adapter."""

    @property
    def passed(self) -> bool:
        """Whether the base is the base, and the gap within its noise and a quarter of the effect."""
        return self.noise <= self.noise_allowed and self.gap <= self.allowed

    @property
    def noise_allowed(self) -> float:
        """The largest noise that passes."""
        return max(NOISE_LIMIT, NOISE_SHARE * self.surprise)

    @property
    def conclusive(self) -> bool:
        """Whether the adapter does enough for an engine that ignores it to fail; an engine cannot ignore its model."""
        return self.effect is None or self.effect - self.noise > self.allowed

    @property
    def allowed(self) -> float:
        """The largest gap that passes."""
        return NOISE_ALLOWANCE * self.noise + EFFECT_ALLOWANCE * (self.effect or 0.0)

    def __str__(self) -> str:
        """What speaks against the engine, in words."""
        if self.noise > self.noise_allowed:
            return f"the base model is {self.noise:.3f} nats a token apart, and {self.noise_allowed:.3f} pass"
        return f"with the adapter it is {self.gap:.3f} nats a token apart, and {self.allowed:.3f} pass"


def judge_whole(reference: Sequence[Sequence[float]], engine: Sequence[Sequence[float]]) -> CanaryVerdict:
    """The verdict on a whole model from log-probabilities per row and token."""
    distance = mean_distance(engine, reference)
    return CanaryVerdict(effect=None, noise=distance, gap=distance, surprise=mean_surprise(reference))


def judge(
    reference_base: Sequence[Sequence[float]],
    reference_adapter: Sequence[Sequence[float]],
    engine_base: Sequence[Sequence[float]],
    engine_adapter: Sequence[Sequence[float]],
) -> CanaryVerdict:
    """The verdict on an adapter from log-probabilities per row and token."""
    return CanaryVerdict(
        effect=mean_distance(reference_adapter, reference_base),
        noise=mean_distance(engine_base, reference_base),
        gap=mean_distance(engine_adapter, reference_adapter),
        surprise=mean_surprise(reference_base),
    )


def mean_surprise(log_probs: Sequence[Sequence[float]]) -> float:
    """Mean of −log p over all tokens of all rows, in nats."""
    return mean_distance(log_probs, [[0.0] * len(row) for row in log_probs])


def mean_distance(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> float:
    """Mean absolute difference over all tokens of all rows. Raises ValueError for unequal shapes."""
    pairs = [pair for rows in zip(one, other, strict=True) for pair in zip(*rows, strict=True)]
    return sum(abs(left - right) for left, right in pairs) / len(pairs)
