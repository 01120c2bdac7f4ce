"""Summarization: one sentence on one line, ROUGE-L against the reference, and what else a summary is judged by."""

from __future__ import annotations

from collections.abc import Sequence

from data_mixes.example import Example
from eval.scorers import summaries
from eval.scorers.score import Score
from eval.tasks.task import Task


def score(example: Example, completion: str) -> Sequence[Score]:
    """The completion against the example's target and text."""
    return summaries.score_summary(completion, example.target, example.prompt, example.language)


SUMMARIZATION = Task("summarization", "notices", 48, ("\n",), summaries.PRIMARY, summaries.VERSION, score)
