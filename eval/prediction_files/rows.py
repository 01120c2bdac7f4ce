"""Rows of predictions as they come from a file: read one by one, the bad ones told by line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from babel import Locale

from eval.judges.wording import Case
from eval.scorers.answers import reference_value
from eval.scorers.constraints import constraint_problem
from eval.scorers.identifiers import DEFAULT, Identifier
from eval.scorers.language import ANOTHER
from eval.scorers.score import Score
from eval.scorers.thoughts import THOUGHTS, Markers

ScoredTask: TypeAlias = Literal["math", "math-lm-eval", "summarization", "instructions", "language"]
"""math-lm-eval is math with lm-evaluation-harness's scores beside ours."""


SCORED_TASKS: tuple[str, ...] = get_args(ScoredTask)


LONGEST = 100_000
"""Characters of a prediction or reference: what is longer is no answer, and is reported."""


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


Rule: TypeAlias = Literal["harness", "benchmark"]
"""Whose rule tells the language of answers: ours, or the language confusion benchmark's."""
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """What the scores of a row depend on beside the row: on no other row of the file."""

    candidates: tuple[str, ...] = ("en", ANOTHER)
    """The languages that an answer may be in beside the one expected."""
    identifier: Identifier = DEFAULT
    rule: Rule = "harness"
    thoughts: Markers = THOUGHTS
    """What opens and closes a model's thoughts, which are set apart."""


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One row for a judge."""

    line: int
    id: Any
    case: Case


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
    return row | {"language": normal_code(language)}


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


def normal_code(language: str) -> str:
    """A language code with hyphens, the language in lower case; script and region as they are."""
    base, hyphen, rest = language.replace("_", "-").partition("-")
    return base.lower() + hyphen + rest


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
        row["reference"] = reference = number_text(reference)
    if problem := text_problem(reference):
        return f"reference {problem}"
    try:
        reference_value(row["reference"], row["language"])
    except ValueError as error:
        return str(error)
    return None


def number_text(number: float) -> str:
    """A JSON number as text that means the same in every language: 1.125 as 9/8, for 1.125 is 1125 in German."""
    return str(Fraction(repr(number))) if math.isfinite(number) else repr(number)


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
