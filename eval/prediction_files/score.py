"""Scoring predictions made anywhere: a file in, a score per row and metric out.

A row that cannot be scored is reported by its line and touches no other.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from data_mixes.json_text import json_text
from eval.prediction_files.file import BadRow, PredictionFile, Repeats, Row
from eval.prediction_files.rows import (
    NEEDED,
    REQUIREMENTS,
    ScoredRow,
    ScoredTask,
    ScoreSettings,
    bad,
    checked,
)
from eval.prediction_files.tally import Tallies
from eval.scorers.answers import score_answer
from eval.scorers.constraints import score_constraints
from eval.scorers.language import score_language
from eval.scorers.language_confusion import score_as_benchmark
from eval.scorers.lm_eval_mgsm import score_as_lm_eval
from eval.scorers.locales import base_of
from eval.scorers.metrics import metric_of
from eval.scorers.score import Score
from eval.scorers.summaries import score_summary
from eval.scorers.thoughts import answer_text
from eval.scorers.xl_sum_rouge import score_as_xl_sum

Result = TypeVar("Result")

CHUNK = 1000
DEFAULT = ScoreSettings()


def score_file(
    file: PredictionFile,
    task: ScoredTask,
    processes: int | None = None,
    settings: ScoreSettings = DEFAULT,
    repeats: Repeats | None = None,
) -> Iterator[ScoredRow | BadRow]:
    """The rows of a file in their order. Raises FileError for a file that cannot be read."""
    score = partial(score_rows, task, settings)
    for rows in in_chunks(file.rows(NEEDED[task], repeats), score, processes):
        yield from rows


def score_to_text(
    file: PredictionFile,
    task: ScoredTask,
    processes: int | None = None,
    settings: ScoreSettings = DEFAULT,
    repeats: Repeats | None = None,
) -> Iterator[tuple[str, Tallies]]:
    """Chunk by chunk the scores as JSON lines, and their tallies: what processes hand over fastest."""
    score = partial(rows_to_text, task, settings, file.group)
    return in_chunks(file.rows(NEEDED[task], repeats), score, processes)


def in_chunks(
    rows: Iterator[Row | BadRow], score: Callable[[Sequence[Row | BadRow]], Result], processes: int | None
) -> Iterator[Result]:
    """What is made of rows, some at a time, by several processes where there is enough to do."""
    processes = processes or os.cpu_count() or 1
    chunks = iter(lambda: list(islice(rows, CHUNK)), [])
    first = list(islice(chunks, 2 * processes))
    if processes == 1 or len(first) <= 1:
        yield from map(score, chain(first, chunks))
        return
    with ProcessPoolExecutor(processes) as pool:
        waiting = deque(pool.submit(score, chunk) for chunk in first)
        while waiting:
            waiting.extend(pool.submit(score, chunk) for chunk in islice(chunks, 1))
            yield waiting.popleft().result()


def rows_to_text(
    task: ScoredTask, settings: ScoreSettings, group: Sequence[str], rows: Sequence[Row | BadRow]
) -> tuple[str, Tallies]:
    """The scores of some rows as JSON lines, and their tallies."""
    tallies, text = Tallies(tuple(group)), list[str]()
    for row in score_rows(task, settings, rows):
        tallies.add(row)
        text += [json_text(score) + "\n" for score in output_rows(MAIN[task], row)]
    return "".join(text), tallies


def score_rows(task: ScoredTask, settings: ScoreSettings, rows: Iterable[Row | BadRow]) -> list[ScoredRow | BadRow]:
    """The scores of some rows."""
    return [score_row(task, settings, row) for row in rows]


def score_row(task: ScoredTask, settings: ScoreSettings, given: Row | BadRow) -> ScoredRow | BadRow:
    """One row's scores, or why it has none."""
    row = checked(given)
    if isinstance(row, BadRow):
        return row
    problem = REQUIREMENTS[task](row.known)
    if problem:
        return bad(row, problem)
    written = row.known["prediction"]
    known = row.known | {"written": written, "prediction": answer_text(written, settings.thoughts)}
    scores = SCORERS[task](known, settings)
    return ScoredRow(row.line, row.known["id"], row.known["language"], tuple(scores), row.others)


def best_of(known: Mapping[str, Any], score: Callable[[str], Sequence[Score]]) -> Sequence[Score]:
    """The best scores over the references, each metric on its own, as rouge_score and sacrebleu take them.

    A metric that has no best value, such as the length ratio, is that of the reference with the best main score.
    """
    first, *others = [score(reference) for reference in known["reference"]]
    if not others:
        return first
    main = max((first, *others), key=lambda scores: rank(scores[0]))
    return [
        max((scores[place] for scores in (first, *others)), key=rank)
        if math.isfinite(metric_of(chosen.metric).best)
        else chosen
        for place, chosen in enumerate(main)
    ]


def rank(score: Score) -> float:
    """How good a score is among those of one metric; having none is the least."""
    return -math.inf if score.value is None else score.value


SCORERS: Mapping[ScoredTask, Callable[[dict[str, Any], ScoreSettings], Sequence[Score]]] = {
    "math": lambda row, _: best_of(
        row, lambda reference: [score_answer(row["prediction"], reference, row["language"])]
    ),
    "math-lm-eval": lambda row, _: best_of(
        row,
        lambda reference: [
            score_answer(row["prediction"], reference, row["language"]),
            *score_as_lm_eval(row["written"], reference, base_of(row["language"])),
        ],
    ),
    "summarization": lambda row, _: best_of(
        row,
        lambda reference: score_summary(row["prediction"], reference, row["source"] or "", base_of(row["language"])),
    ),
    "summarization-xl-sum": lambda row, _: best_of(
        row,
        lambda reference: [
            *score_summary(row["prediction"], reference, row["source"] or "", base_of(row["language"])),
            *score_as_xl_sum(row["prediction"], reference, base_of(row["language"])),
        ],
    ),
    "instructions": lambda row, _: score_constraints(row["prediction"], row["constraints"], row["language"]),
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
    "summarization-xl-sum": "rouge_l",
    "instructions": "prompt_pass",
    "language": "language_pass",
}
"""The metric that comes first."""
WRITTEN = ("id", "language", "metric", "value", "answer", "reason", "version")
"""What a row of scores holds, beside the columns of its prediction that scoring does not read."""


def output_rows(main: str, row: ScoredRow | BadRow) -> list[dict[str, Any]]:
    """A row's scores as plain data; of a bad row, that it has none of the main metric."""
    others = {name: value for name, value in row.others.items() if name not in WRITTEN}
    if isinstance(row, BadRow):
        reason = f"{row.word} {row.line}: {row.problem}"
        unscored = {"id": row.id, "language": row.language, "metric": main, "value": None, "answer": None}
        return [] if row.id is None else [unscored | {"reason": reason, "version": None} | others]
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
        | others
        for score in row.scores
    ]
