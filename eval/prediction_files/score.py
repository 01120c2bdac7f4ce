"""Scoring predictions made anywhere: JSON lines in, a score per row and metric out.

A row that cannot be scored is reported by its line and touches no other.
"""

from __future__ import annotations

import json
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from babel import Locale
from scipy.stats import t

from eval.analysis.stats import LEVEL, wilson
from eval.judges.wording import Case
from eval.scorers.answers import reference_value, score_answer
from eval.scorers.constraints import constraint_problem, score_constraints
from eval.scorers.language import DEFAULT, Identifier, language_confusion_pass_rate, score_language
from eval.scorers.lm_eval_mgsm import score_as_lm_eval
from eval.scorers.metrics import metric_of
from eval.scorers.score import Score
from eval.scorers.summaries import score_summary

ScoredTask: TypeAlias = Literal["math", "math-lm-eval", "summarization", "instructions", "language"]
"""math-lm-eval is math with lm-evaluation-harness's scores beside ours."""
Result = TypeVar("Result")
SCORED_TASKS: tuple[str, ...] = get_args(ScoredTask)

LONGEST = 100_000
"""Characters of a prediction or reference: what is longer is no answer, and is reported."""
CHUNK = 1000


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be scored."""

    line: int
    id: Any
    problem: str

    def __str__(self) -> str:
        name = "" if self.id is None else f" (id {self.id!r})"
        return f"line {self.line}{name}: {self.problem}"


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """One row's scores, the main one first."""

    line: int
    id: Any
    language: str
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class Among:
    """The languages between which answers are told apart, where the task is to tell, and by what."""

    candidates: tuple[str, ...] = ()
    identifier: Identifier = DEFAULT


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One row for a judge."""

    line: int
    id: Any
    case: Case


def score_file(
    path: Path, task: ScoredTask, processes: int | None = None, identifier: Identifier = DEFAULT
) -> Iterator[ScoredRow | BadRow]:
    """The rows of a file in their order. Raises OSError for a file that cannot be read."""
    for rows in in_chunks(path, partial(score_lines, task, among_of(path, task, identifier)), processes):
        yield from rows


def score_to_text(
    path: Path, task: ScoredTask, processes: int | None = None, identifier: Identifier = DEFAULT
) -> Iterator[tuple[str, Tallies]]:
    """Chunk by chunk the scores as JSON lines, and their tallies: what processes hand over fastest."""
    return in_chunks(path, partial(lines_to_text, task, among_of(path, task, identifier)), processes)


def among_of(path: Path, task: ScoredTask, identifier: Identifier) -> Among:
    """The languages of a file, where the task is to tell them apart."""
    return Among(languages_of(path) if task == "language" else (), identifier)


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


def lines_to_text(task: ScoredTask, among: Among, lines: Sequence[tuple[int, bytes]]) -> tuple[str, Tallies]:
    """The scores of some lines as JSON lines, and their tallies."""
    tallies, text = Tallies(), list[str]()
    for row in score_lines(task, among, lines):
        tallies.add(row)
        text += [json.dumps(each, ensure_ascii=False) + "\n" for each in output_rows(MAIN[task], row)]
    return "".join(text), tallies


def languages_of(path: Path) -> tuple[str, ...]:
    """The languages that occur in a file: those between which answers are told apart."""
    found: set[str] = set()
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            row = parsed(number, line)
            if isinstance(row, dict):
                found.add(row["language"])
    return tuple(sorted(found))


def score_lines(task: ScoredTask, among: Among, lines: Iterable[tuple[int, bytes]]) -> list[ScoredRow | BadRow]:
    """The scores of some lines."""
    return [score_line(task, among, number, line) for number, line in lines]


def score_line(task: ScoredTask, among: Among, number: int, line: bytes) -> ScoredRow | BadRow:
    """One line's scores, or why it has none."""
    row = parsed(number, line)
    if isinstance(row, BadRow):
        return row
    problem = REQUIREMENTS[task](row)
    if problem:
        return BadRow(number, row["id"], problem)
    return ScoredRow(number, row["id"], row["language"], tuple(SCORERS[task](row, among)))


def parsed(number: int, line: bytes) -> dict[str, Any] | BadRow:
    """A row with an id, a known language and a prediction that is text."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return BadRow(number, None, "not JSON")
    if not isinstance(row, dict):
        return BadRow(number, None, "not a JSON object")
    if not isinstance(row.get("id"), str | int) or isinstance(row.get("id"), bool):
        return BadRow(number, None, "no id, or one that is neither text nor a whole number")
    if isinstance(row["id"], str) and (problem := text_problem(row["id"])):
        return BadRow(number, None, f"id {problem}")
    language = row.get("language")
    if not isinstance(language, str) or not is_language(language):
        problem = "language missing" if language is None else f"unknown language {language!r}"
        return BadRow(number, row["id"], problem)
    problem = text_problem(row.get("prediction"))
    if problem:
        return BadRow(number, row["id"], f"prediction {problem}")
    return row | {"language": language.replace("_", "-").split("-")[0].lower()}


def cases_of(path: Path) -> list[CaseRow | BadRow]:
    """The rows of a file for a judge, in their order. Raises OSError for a file that cannot be read."""
    with path.open("rb") as file:
        return [case_of_line(number, line) for number, line in enumerate(file, 1) if line.strip()]


def case_of_line(number: int, line: bytes) -> CaseRow | BadRow:
    """A row with a prompt, and text as reference and opponent if there are any."""
    row = parsed(number, line)
    if isinstance(row, BadRow):
        return row
    wanted = ["prompt", *(key for key in ("reference", "opponent") if row.get(key) is not None)]
    problems = [f"{key} {problem}" for key in wanted if (problem := text_problem(row.get(key)))]
    if problems:
        return BadRow(number, row["id"], "; ".join(problems))
    case = Case(row["prompt"], row["prediction"], row["language"], row.get("reference"), row.get("opponent"))
    return CaseRow(number, row["id"], case)


@lru_cache(maxsize=1024)
def is_language(code: str) -> bool:
    """Whether a code, or its part before a script or country, is a language of CLDR."""
    return code.replace("_", "-").split("-")[0].lower() in Locale("en").languages


def text_problem(text: Any) -> str | None:
    """What is wrong with what should be text."""
    if not isinstance(text, str):
        return "missing" if text is None else f"is not text but {type(text).__name__}"
    if len(text) > LONGEST:
        return f"has {len(text):,} characters, more than {LONGEST:,}"
    if "\0" in text:
        return "holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds a lone surrogate"
    return None


def _needs_number(row: dict[str, Any]) -> str | None:
    reference = row.get("reference")
    if isinstance(reference, int | float) and not isinstance(reference, bool):
        row["reference"] = reference = repr(reference)
    if problem := text_problem(reference):
        return f"reference {problem}"
    try:
        reference_value(row["reference"])
    except ValueError as error:
        return str(error)
    return None


def _needs_text(row: dict[str, Any]) -> str | None:
    problem = text_problem(row.get("reference"))
    if problem:
        return f"reference {problem}"
    source = text_problem(row["source"]) if row.get("source") is not None else None
    return f"source {source}" if source else None


def _needs_constraints(row: dict[str, Any]) -> str | None:
    constraints = row.get("constraints")
    if not isinstance(constraints, list) or not all(isinstance(each, dict) for each in constraints):
        return "constraints missing, or not a list of objects"
    return next((problem for each in constraints if (problem := constraint_problem(each))), None)


def _needs_nothing(row: dict[str, Any]) -> str | None:
    return None


REQUIREMENTS: Mapping[ScoredTask, Callable[[dict[str, Any]], str | None]] = {
    "math": _needs_number,
    "math-lm-eval": _needs_number,
    "summarization": _needs_text,
    "instructions": _needs_constraints,
    "language": _needs_nothing,
}
SCORERS: Mapping[ScoredTask, Callable[[dict[str, Any], Among], Sequence[Score]]] = {
    "math": lambda row, _: [score_answer(row["prediction"], row["reference"], row["language"])],
    "math-lm-eval": lambda row, _: [
        score_answer(row["prediction"], row["reference"], row["language"]),
        *score_as_lm_eval(row["prediction"], row["reference"], row["language"]),
    ],
    "summarization": lambda row, _: score_summary(
        row["prediction"], row["reference"], row.get("source") or "", row["language"]
    ),
    "instructions": lambda row, _: score_constraints(row["prediction"], row["constraints"]),
    "language": lambda row, among: score_language(
        row["prediction"], row["language"], among.candidates, among.identifier
    ),
}


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


@dataclass
class Tally:
    """Scored and unscored rows of one language and metric."""

    metric: str
    scored: int = 0
    unscored: int = 0
    no_answer: int = 0
    total: float = 0.0
    squares: float = 0.0
    extreme: bool = True
    """Whether every value is the worst or the best there is, as those of yes or no are."""
    version: str = ""

    def merge(self, other: Tally) -> None:
        """Adds what another counted."""
        for name in ("scored", "unscored", "no_answer", "total", "squares"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.extreme, self.version = self.extreme and other.extreme, other.version

    def add(self, score: Score) -> None:
        """Counts one score."""
        self.version = score.version
        if score.value is None:
            self.unscored += 1
            return
        self.scored += 1
        self.total += score.value
        self.squares += score.value**2
        known = metric_of(self.metric)
        self.extreme = self.extreme and math.isfinite(known.best) and score.value in (known.worst, known.best)
        self.no_answer += score.reason is not None

    def as_data(self) -> dict[str, Any]:
        """Mean and 95 % interval over rows taken as independent; None of nothing.

        The interval is Wilson's where every value is the worst or the best there is, else Student's, within the range.
        """
        data: dict[str, Any] = {"scored": self.scored, "unscored": self.unscored, "no_answer": self.no_answer}
        mean = low = high = None
        if self.scored:
            mean = self.total / self.scored
            if self.extreme:
                known = metric_of(self.metric)
                span = known.best - known.worst
                low, high = (known.worst + span * end for end in wilson((mean - known.worst) / span, self.scored))
            elif self.scored > 1:
                variance = max(0.0, self.squares - self.total * mean) / (self.scored - 1)
                known = metric_of(self.metric)
                half = float(t.ppf(1 - LEVEL / 2, self.scored - 1)) * math.sqrt(variance / self.scored)
                low, high = max(mean - half, known.worst), min(mean + half, known.best)
        return data | {"mean": mean, "low": low, "high": high, "version": self.version}


@dataclass
class Tallies:
    """The tallies of a file, and its bad rows."""

    by_language: dict[str, dict[str, Tally]] = field(default_factory=dict[str, dict[str, Tally]])
    bad: list[BadRow] = field(default_factory=list[BadRow])

    def merge(self, other: Tallies) -> None:
        """Adds what another counted."""
        self.bad += other.bad
        for language, metrics in other.by_language.items():
            for metric, tally in metrics.items():
                self.by_language.setdefault(language, {}).setdefault(metric, Tally(metric)).merge(tally)

    def add(self, row: ScoredRow | BadRow) -> None:
        """Counts one row."""
        if isinstance(row, BadRow):
            self.bad.append(row)
            return
        metrics = self.by_language.setdefault(row.language, {})
        for score in row.scores:
            metrics.setdefault(score.metric, Tally(score.metric)).add(score)

    def as_data(self) -> dict[str, Any]:
        """Everything as plain data; for the language task with the language confusion pass rate."""
        languages = {
            language: {metric: tally.as_data() for metric, tally in metrics.items()}
            for language, metrics in sorted(self.by_language.items())
        }
        for metrics in languages.values():
            line, word = metrics.get("language_pass", {}).get("mean"), metrics.get("word_pass", {}).get("mean")
            if line is not None and word is not None:
                metrics["lcpr"] = {"mean": language_confusion_pass_rate(line, word)}
        return {
            "languages": languages,
            "bad": [{"line": row.line, "id": row.id, "problem": row.problem} for row in self.bad],
        }
