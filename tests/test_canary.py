"""The canary gate finds an engine that does not apply an adapter."""

from __future__ import annotations

import pytest

from eval.generation.canary import CanaryVerdict, judge, mean_distance

BASE = [[-1.0, -2.0], [-3.0]]
TUNED = [[-0.2, -0.5], [-1.0]]


def nudged(rows: list[list[float]], by: float) -> list[list[float]]:
    return [[value + by for value in row] for row in rows]


def test_an_engine_within_its_noise_passes() -> None:
    verdict = judge(BASE, TUNED, nudged(BASE, 0.02), nudged(TUNED, -0.03))
    assert verdict.passed and verdict.conclusive


def test_an_ignored_adapter_fails() -> None:
    assert not judge(BASE, TUNED, nudged(BASE, 0.02), nudged(BASE, 0.02)).passed


def test_an_adapter_that_leaks_into_the_base_model_fails() -> None:
    assert not judge(BASE, TUNED, TUNED, TUNED).passed


def test_an_adapter_too_weak_to_tell_passes_but_is_called_inconclusive() -> None:
    verdict = judge(BASE, nudged(BASE, 0.01), nudged(BASE, 0.02), nudged(BASE, 0.02))
    assert verdict.passed and not verdict.conclusive


def test_rounding_may_be_larger_where_tokens_are_surprising() -> None:
    """As measured with short answers that are far from likely: 0.145 nats apart, and yet the same model."""
    surprising = [[-7.0, -5.0], [-9.0]]
    assert judge(surprising, TUNED, nudged(surprising, 0.145), nudged(TUNED, 0.01)).passed
    likely = [[-1.0, -0.5], [-0.2]]
    verdict = judge(likely, TUNED, nudged(likely, 0.145), nudged(TUNED, 0.01))
    assert not verdict.passed and str(verdict) == "the base model is 0.145 nats a token apart, and 0.100 pass"
    ignored = judge(BASE, TUNED, BASE, BASE)
    assert not ignored.passed and str(ignored).startswith("with the adapter it is 1.433 nats a token apart, and 0.35")


def test_distances_want_equal_shapes() -> None:
    with pytest.raises(ValueError):
        mean_distance([[1.0]], [[1.0, 2.0]])
    assert CanaryVerdict(1.0, 0.0, 0.0).passed
