"""Instructions that a program can check: each constraint holds of a completion or does not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eval.scorers.language import VERSION as LANGUAGE_VERSION
from eval.scorers.language import identify
from eval.scorers.score import Score

METRIC = "prompt_pass"
VERSION = f"constraints/1+{LANGUAGE_VERSION}"

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


def score_constraints(prediction: str, constraints: Sequence[Mapping[str, Any]]) -> Score:
    """1 if every constraint holds (IFEval's strict prompt-level pass, arXiv 2311.07911), else 0.

    Raises KeyError for a kind of constraint that does not exist.
    """
    if not constraints:
        return Score(METRIC, None, VERSION, reason="nothing to check")
    text = re.sub("[\u00a0\u202f]", " ", unicodedata.normalize("NFC", prediction.strip()))
    failed = [spec["kind"] for spec in constraints if not (text and CHECKS[spec["kind"]](text, spec))]
    return Score(METRIC, float(not failed), VERSION, answer=f"failed: {', '.join(failed)}" if failed else None)


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
