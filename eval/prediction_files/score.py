"""Scoring predictions made anywhere: JSON lines in, a score per row and metric out.

A row that cannot be scored is reported by its line and touches no other.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from eval.prediction_files.rows import (
    REQUIREMENTS,
    BadRow,
    ScoredRow,
    ScoredTask,
    ScoreSettings,
    parsed,
)
from eval.prediction_files.tally import Tallies
from eval.scorers.answers import score_answer
from eval.scorers.constraints import score_constraints
from eval.scorers.language import score_language
from eval.scorers.language_confusion import score_as_benchmark
from eval.scorers.lm_eval_mgsm import score_as_lm_eval
from eval.scorers.locales import base_of
from eval.scorers.score import Score
from eval.scorers.summaries import score_summary
from eval.scorers.thoughts import answer_text

Result = TypeVar("Result")

CHUNK = 1000
DEFAULT = ScoreSettings()


def score_file(
    path: Path, task: ScoredTask, processes: int | None = None, settings: ScoreSettings = DEFAULT
) -> Iterator[ScoredRow | BadRow]:
    """The rows of a file in their order. Raises OSError for a file that cannot be read."""
    for rows in in_chunks(path, partial(score_lines, task, settings), processes):
        yield from rows


def score_to_text(
    path: Path, task: ScoredTask, processes: int | None = None, settings: ScoreSettings = DEFAULT
) -> Iterator[tuple[str, Tallies]]:
    """Chunk by chunk the scores as JSON lines, and their tallies: what processes hand over fastest."""
    return in_chunks(path, partial(lines_to_text, task, settings), processes)


def in_chunks(
    path: Path, score: Callable[[Sequence[tuple[int, bytes]]], Result], processes: int | None
) -> Iterator[Result]:
    """What is made of the lines of a file, some at a time, by several processes where there is enough to do."""
    processes = processes or os.cpu_count() or 1
    with path.open("rb") as file:
        lines = ((number, line) for number, line in enumerate(file, 1) if line.strip())
        chunks = iter(lambda: list(islice(lines, CHUNK)), [])
        first = list(islice(chunks, 2 * processes))
        if processes == 1 or len(first) <= 1:
            yield from map(score, chain(first, chunks))
            return
        with ProcessPoolExecutor(processes) as pool:
            waiting = deque(pool.submit(score, chunk) for chunk in first)
            while waiting:
                waiting.extend(pool.submit(score, chunk) for chunk in islice(chunks, 1))
                yield waiting.popleft().result()


def lines_to_text(task: ScoredTask, settings: ScoreSettings, lines: Sequence[tuple[int, bytes]]) -> tuple[str, Tallies]:
    """The scores of some lines as JSON lines, and their tallies."""
    tallies, text = Tallies(), list[str]()
    for row in score_lines(task, settings, lines):
        tallies.add(row)
        text += [json.dumps(each, ensure_ascii=False) + "\n" for each in output_rows(MAIN[task], row)]
    return "".join(text), tallies


def score_lines(
    task: ScoredTask, settings: ScoreSettings, lines: Iterable[tuple[int, bytes]]
) -> list[ScoredRow | BadRow]:
    """The scores of some lines."""
    return [score_line(task, settings, number, line) for number, line in lines]


def score_line(task: ScoredTask, settings: ScoreSettings, number: int, line: bytes) -> ScoredRow | BadRow:
    """One line's scores, or why it has none."""
    row = parsed(number, line)
    if isinstance(row, BadRow):
        return row
    problem = REQUIREMENTS[task](row)
    if problem:
        return BadRow(number, row["id"], problem)
    row["written"], row["prediction"] = row["prediction"], answer_text(row["prediction"], settings.thoughts)
    return ScoredRow(number, row["id"], row["language"], tuple(SCORERS[task](row, settings)))


SCORERS: Mapping[ScoredTask, Callable[[dict[str, Any], ScoreSettings], Sequence[Score]]] = {
    "math": lambda row, _: [score_answer(row["prediction"], row["reference"], row["language"])],
    "math-lm-eval": lambda row, _: [
        score_answer(row["prediction"], row["reference"], row["language"]),
        *score_as_lm_eval(row["written"], row["reference"], base_of(row["language"])),
    ],
    "summarization": lambda row, _: score_summary(
        row["prediction"], row["reference"], row.get("source") or "", base_of(row["language"])
    ),
    "instructions": lambda row, _: score_constraints(row["prediction"], row["constraints"]),
    "language": lambda row, settings: (
        score_as_benchmark(row["written"], row["language"])
        if settings.rule == "benchmark"
        else score_language(row["prediction"], row["language"], settings.candidates, settings.identifier)
    ),
}
"""Task → its scores of a row: `prediction` is what was answered, `written` all that was written."""


MAIN: Mapping[ScoredTask, str] = {
    "math": "accuracy",
    "math-lm-eval": "accuracy",
    "summarization": "rouge_l",
    "instructions": "prompt_pass",
    "language": "language_pass",
}
"""The metric that comes first."""


def output_rows(main: str, row: ScoredRow | BadRow) -> list[dict[str, Any]]:
    """A row's scores as plain data; of a bad row, that it has none of the main metric."""
    if isinstance(row, BadRow):
        reason = f"line {row.line}: {row.problem}"
        unscored = {"id": row.id, "metric": main, "value": None, "answer": None, "reason": reason}
        return [] if row.id is None else [unscored]
    return [
        {
            "id": row.id,
            "language": row.language,
            "metric": score.metric,
            "value": score.value,
            "answer": score.answer,
            "reason": score.reason,
            "version": score.version,
        }
        for score in row.scores
    ]
