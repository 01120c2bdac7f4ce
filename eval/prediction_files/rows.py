"""Rows of predictions that can be scored or judged, and why others cannot."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, TypeAlias, get_args

from babel import Locale

from eval.judges.wording import Case
from eval.prediction_files.file import BadRow, PredictionFile, Repeats, Row
from eval.scorers.answers import reference_value
from eval.scorers.constraints import constraints_problem
from eval.scorers.identifiers import DEFAULT, Identifier
from eval.scorers.ifeval import constraints_from_ifeval
from eval.scorers.language import ANOTHER
from eval.scorers.score import Score
from eval.scorers.thoughts import THOUGHTS, Markers

ScoredTask: TypeAlias = Literal[
    "math", "math-lm-eval", "summarization", "summarization-xl-sum", "instructions", "language"
]
"""math-lm-eval is math with lm-evaluation-harness's scores beside ours, summarization-xl-sum has XL-Sum's ROUGE."""


SCORED_TASKS: tuple[str, ...] = get_args(ScoredTask)


LONGEST = 100_000
"""Characters of a prediction or reference: what is longer is no answer, and is reported."""
EVERY_ROW = ("id", "language", "prediction")
"""What every row holds."""


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """One row's scores, the main one first."""

    line: int
    id: Any
    language: str
    scores: tuple[Score, ...]
    others: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Columns that scoring does not read."""


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
    others: Mapping[str, Any] = field(default_factory=dict[str, Any])


def checked(row: Row | BadRow) -> Row | BadRow:
    """A row with an id, a known language and a prediction that is text; NaN, as pandas writes it, is nothing."""
    if isinstance(row, BadRow):
        return row
    known = {key: None if is_nan(value) else value for key, value in row.known.items()}
    number, language = known["id"], known["language"]
    if isinstance(number, float) and number.is_integer():
        known["id"] = number = int(number)
    problem = None
    if not isinstance(number, str | int) or isinstance(number, bool) or number == "":
        known["id"], problem = None, "no id, or one that is neither text nor a whole number"
    elif isinstance(number, str) and (fault := text_problem(number)):
        known["id"], problem = None, f"id {fault}"
    elif not isinstance(language, str) or not is_language(language):
        problem = f"unknown language {language!r}" if language else "language missing"
    elif fault := text_problem(known["prediction"]):
        problem = f"prediction {fault}"
    else:
        known["language"] = normal_code(language)
    row = Row(row.line, row.word, known, row.others)
    return row if problem is None else bad(row, problem)


def bad(row: Row, problem: str) -> BadRow:
    """Why a row cannot be scored."""
    language = row.known["language"]
    return BadRow(row.line, row.known["id"], problem, language if isinstance(language, str) else None, row.others,
                  row.word)  # fmt: skip


def is_nan(value: Any) -> bool:
    """Whether a value is what stands for a missing one."""
    return isinstance(value, float) and math.isnan(value)


def cases_of(file: PredictionFile, repeats: Repeats | None = None) -> list[CaseRow | BadRow]:
    """The rows of a file for a judge, in their order. Raises FileError for a file that cannot be read."""
    return [case_of(checked(row)) for row in file.rows((*EVERY_ROW, "prompt"), repeats)]


def case_of(row: Row | BadRow) -> CaseRow | BadRow:
    """A row with a prompt, and text as reference and opponent if there are any."""
    if isinstance(row, BadRow):
        return row
    known = row.known
    wanted = ["prompt", *(key for key in ("reference", "opponent") if known[key] is not None)]
    problems = [f"{key} {problem}" for key in wanted if (problem := text_problem(known[key]))]
    if problems:
        return bad(row, "; ".join(problems))
    case = Case(known["prompt"], known["prediction"], known["language"], known["reference"], known["opponent"])
    return CaseRow(row.line, known["id"], case, row.others)


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
    except UnicodeEncodeError as error:
        if all("\udc80" <= letter <= "\udcff" for letter in text[error.start : error.end]):
            return "is not UTF-8 text; save the file as UTF-8"
        return "holds a lone surrogate"
    return None


def references(known: Mapping[str, Any]) -> list[Any]:
    """What a prediction may be compared with, one or several."""
    reference = known["reference"]
    return reference if isinstance(reference, list) else [reference]


def _needs_references(known: dict[str, Any], problem_of: Callable[[Any], str | None]) -> str | None:
    """What is wrong with one of the references, which numbers are made the text of."""
    given = references(known)
    known["reference"] = [number_text(one) if is_number(one) else one for one in given]
    if not given:
        return "reference is an empty list"
    faults = (text_problem(one) for one in known["reference"])
    problem = next((f"reference {fault}" for fault in faults if fault), None)
    return problem or next((fault for one in known["reference"] if (fault := problem_of(one))), None)


def _needs_numbers(known: dict[str, Any]) -> str | None:
    def problem_of(reference: str) -> str | None:
        try:
            reference_value(reference, known["language"])
        except ValueError as error:
            return str(error)
        return None

    return _needs_references(known, problem_of)


def is_number(value: Any) -> bool:
    """Whether a value of JSON or Parquet is a number."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def number_text(number: float | Decimal) -> str:
    """A number as text that means the same in every language: 1.125 as 9/8, for 1.125 is 1125 in German."""
    return str(Fraction(str(number))) if math.isfinite(number) else str(number)


def _needs_texts(known: dict[str, Any]) -> str | None:
    if any(map(is_number, references(known))):
        return "reference is not text but a number"
    source = text_problem(known["source"]) if known["source"] is not None else None
    return _needs_references(known, lambda _: None) or (f"source {source}" if source else None)


def _needs_constraints(known: dict[str, Any]) -> str | None:
    names, kwargs = known["instruction_id_list"], known["kwargs"]
    if known["constraints"] is None and isinstance(names, list) and isinstance(kwargs, list):
        known["constraints"] = constraints_from_ifeval(names, kwargs)
    constraints = known["constraints"]
    if not isinstance(constraints, list) or not all(isinstance(one, dict) for one in constraints):
        return "constraints missing, or not a list of objects; or instruction_id_list and kwargs, as IFEval has them"
    if not constraints:
        return None
    return constraints_problem(constraints, known["language"])


def _needs_nothing(known: dict[str, Any]) -> str | None:
    return None


REQUIREMENTS: Mapping[ScoredTask, Callable[[dict[str, Any]], str | None]] = {
    "math": _needs_numbers,
    "math-lm-eval": _needs_numbers,
    "summarization": _needs_texts,
    "summarization-xl-sum": _needs_texts,
    "instructions": _needs_constraints,
    "language": _needs_nothing,
}
"""What is wrong with a row for a task; numbers that are references become text."""

NEEDED: Mapping[ScoredTask, tuple[str, ...]] = {
    "math": (*EVERY_ROW, "reference"),
    "math-lm-eval": (*EVERY_ROW, "reference"),
    "summarization": (*EVERY_ROW, "reference"),
    "summarization-xl-sum": (*EVERY_ROW, "reference"),
    "instructions": EVERY_ROW,
    "language": EVERY_ROW,
}
"""The keys of which a file must have columns."""
