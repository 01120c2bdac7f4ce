"""Math: a worked line, then the answer; the final number decides."""

from __future__ import annotations

from data_mixes.example import Example
from eval.scorers import numbers
from eval.scorers.score import Score
from eval.tasks.task import Task


def score(example: Example, completion: str) -> Score:
    """Whether the completion's final number is the example's."""
    assert example.answer is not None
    return numbers.score_final_number(completion, example.answer, example.language)


MATH = Task("math", "word-problems", 40, ("\n\n",), numbers.METRIC, numbers.VERSION, score)
