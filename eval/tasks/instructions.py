"""Instruction following: all constraints of the instruction must hold."""

from __future__ import annotations

from collections.abc import Sequence

from data_mixes.example import Example
from eval.scorers import constraints
from eval.scorers.score import Score
from eval.tasks.task import Task


def score(example: Example, completion: str) -> Sequence[Score]:
    """Whether the completion fulfils every constraint of the example."""
    return constraints.score_constraints(completion, example.constraints, example.language)


INSTRUCTIONS = Task("instructions", "instructions", 48, ("\n\n",), constraints.METRIC, constraints.VERSION, score)
