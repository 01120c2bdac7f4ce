"""Summarization: one sentence on one line, ROUGE-L against the reference."""

from __future__ import annotations

from data_mixes.example import Example
from eval.scorers import rouge
from eval.scorers.score import Score
from eval.tasks.task import Task


def score(example: Example, completion: str) -> Score:
    """ROUGE-L of the completion against the example's target."""
    return rouge.score_rouge_l(completion, example.target)


SUMMARIZATION = Task("summarization", "notices", 48, ("\n",), rouge.METRIC, rouge.VERSION, score)
