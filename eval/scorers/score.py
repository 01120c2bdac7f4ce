"""The outcome of scoring one prediction."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """A value in its metric's range, or None with the reason why; `version` names the scorer's rules."""

    metric: str
    value: float | None
    version: str
    answer: str | None = None
    """What the scorer took for the answer."""
    reason: str | None = None
    """Why the value is None, or why it is 0 though nothing was compared (no answer found)."""
