"""Instructions that a program can check: each constraint holds of a completion or does not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eval.scorers.identifiers import VERSION as LANGUAGE_VERSION
from eval.scorers.identifiers import identify
from eval.scorers.score import Score

METRIC = "prompt_pass"
METRICS = (METRIC, "instruction_pass", "prompt_pass_loose", "instruction_pass_loose")
VERSION = f"constraints/2+{LANGUAGE_VERSION}"

Check = Callable[[str, Mapping[str, Any]], bool]

BULLET = re.compile(r"[-*•] ?\S")
QUOTATION_MARKS = (
    ("“", "”"),
    ("«", "»"),
    ("「", "」"),
    ("『", "』"),
    ('"', '"'),
    ("'", "'"),
    ("‘", "’"),
    ("《", "》"),
    ("„", "“"),
)


def score_constraints(prediction: str, constraints: Sequence[Mapping[str, Any]]) -> list[Score]:
    """IFEval's four levels (arXiv 2311.07911), the strict prompt level first.

    `prompt_pass` is 1 if every constraint holds, `instruction_pass` the share of those that hold; `…_loose` the
    same of the best of the prediction without asterisks, without its first line, and without its last.
    Unscored where there is nothing to check, or a kind of constraint is not known.
    """
    problems = [problem for spec in constraints if (problem := constraint_problem(spec))]
    if problems or not constraints:
        reason = "; ".join(problems) or "nothing to check"
        return [Score(metric, None, VERSION, reason=reason) for metric in METRICS]
    strict = _failed(prediction, constraints)
    loose = min((_failed(variant, constraints) for variant in loosened(prediction)), key=len)
    scores: list[Score] = []
    for (prompt, instruction), failed in zip((METRICS[:2], METRICS[2:]), (strict, loose), strict=True):
        answer = f"failed: {', '.join(failed)}" if failed else None
        scores.append(Score(prompt, float(not failed), VERSION, answer=answer))
        scores.append(Score(instruction, 1 - len(failed) / len(constraints), VERSION, answer=answer))
    return scores


def constraint_problem(spec: Mapping[str, Any]) -> str | None:
    """Why a constraint cannot be checked: its kind is not known, or something is missing in it."""
    kind = spec.get("kind")
    if kind not in CHECKS:
        return f"no constraint of kind {kind!r}; allowed: {', '.join(CHECKS)}"
    try:
        CHECKS[kind]("a", spec)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return f"constraint {kind} is not complete: {type(error).__name__} {error}"
    return None


def _failed(prediction: str, constraints: Sequence[Mapping[str, Any]]) -> list[str]:
    """The kinds of the constraints that do not hold; none holds of nothing."""
    text = re.sub("[\u00a0\u202f]", " ", unicodedata.normalize("NFC", prediction.strip()))
    return [spec["kind"] for spec in constraints if not (text and CHECKS[spec["kind"]](text, spec))]


def loosened(prediction: str) -> list[str]:
    """The prediction and its variants that IFEval accepts as loosely following: seven at most."""
    lines = prediction.split("\n")
    cut = [prediction, "\n".join(lines[1:]), "\n".join(lines[:-1]), "\n".join(lines[1:-1])]
    return list(dict.fromkeys(each.strip() for text in cut for each in (text, text.replace("*", ""))))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _in_order(text: str, spec: Mapping[str, Any]) -> bool:
    """Whether all items occur once each and in this order."""
    places = [text.find(item) for item in spec["items"]]
    return -1 not in places and places == sorted(places) and all(text.count(item) == 1 for item in spec["items"])


def _numbered(text: str, spec: Mapping[str, Any]) -> bool:
    lines = _lines(text)
    return len(lines) == spec["count"] and all(
        re.match(rf"{number}[.)、．] ?\S", line) for number, line in enumerate(lines, 1)
    )


def _quoted(text: str, spec: Mapping[str, Any]) -> bool:
    """Whether the text stands between a pair of quotation marks, French spaces allowed."""
    squeezed = text.replace("« ", "«").replace(" »", "»")
    return any(f"{opening}{spec['text']}{closing}" in squeezed for opening, closing in QUOTATION_MARKS)


CHECKS: dict[str, Check] = {
    "equals": lambda text, spec: _squeezed(text) == _squeezed(spec["text"]),
    "lines": lambda text, spec: len(_lines(text)) == spec["count"],
    "bullets": lambda text, spec: len(_lines(text)) == spec["count"] and all(map(BULLET.match, _lines(text))),
    "numbered": _numbered,
    "in_order": _in_order,
    "contains": lambda text, spec: spec["text"] in text,
    "excludes": lambda text, spec: spec["text"] not in text,
    "starts_with": lambda text, spec: text.startswith(spec["text"]),
    "ends_with": lambda text, spec: text.endswith(spec["text"]),
    "quoted": _quoted,
    "uppercase": lambda text, spec: text == text.upper() and text != text.lower(),
    "lowercase": lambda text, spec: text == text.lower() and text != text.upper(),
    "occurs": lambda text, spec: text.count(spec["text"]) == spec["count"],
    "language": lambda text, spec: identify(text, spec["among"]) == spec["code"],
}
