"""Instructions that a program can check: each constraint holds of a completion or does not.

A constraint is an object with a `kind`: one of ours, in `KINDS`, or one of IFEval's instruction types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import Any

from eval.scorers.constraint_fields import (
    FieldCheck,
    Kind,
    Spec,
    at_least,
    is_list_of_texts,
    is_order,
    is_text,
    language_problem,
)
from eval.scorers.identifiers import VERSION as LANGUAGE_VERSION
from eval.scorers.identifiers import identify, same
from eval.scorers.ifeval import IFEVAL, RESPONSE_LANGUAGE
from eval.scorers.ifeval import VERSION as IFEVAL_VERSION
from eval.scorers.score import Score
from eval.scorers.typography import is_bullet, is_quoted, list_number, plain

METRIC = "prompt_pass"
METRICS = (METRIC, "instruction_pass", "prompt_pass_loose", "instruction_pass_loose")
VERSION = f"constraints/4+{IFEVAL_VERSION}+{LANGUAGE_VERSION}"


def score_constraints(prediction: str, constraints: Sequence[Spec], language: str) -> list[Score]:
    """Whether a prediction to an item in a language fulfils its constraints.

    The scores are IFEval's four levels (arXiv 2311.07911), the strict prompt level first.

    `prompt_pass` is 1 if every constraint holds, `instruction_pass` the share of those that hold. `…_loose` are the
    same, where a constraint holds if it does of the prediction without asterisks, its first line, its last, or any of
    these. Unscored where there is nothing to check, or what is asked for can never be.
    """
    problem = constraints_problem(constraints, language)
    language = answer_language(constraints, language)
    if problem:
        return [Score(metric, None, VERSION, reason=problem) for metric in METRICS]
    variants = loosened(prediction)
    strict = [spec["kind"] for spec in constraints if not _holds(prediction, spec, language)]
    loose = [spec["kind"] for spec in constraints if not any(_holds(variant, spec, language) for variant in variants)]
    scores: list[Score] = []
    for (prompt, instruction), failed in zip((METRICS[:2], METRICS[2:]), (strict, loose), strict=True):
        answer = f"failed: {', '.join(failed)}" if failed else None
        scores.append(Score(prompt, float(not failed), VERSION, answer=answer))
        scores.append(Score(instruction, 1 - len(failed) / len(constraints), VERSION, answer=answer))
    return scores


def answer_language(constraints: Sequence[Spec], language: str) -> str:
    """The language that the answer to an item in a language is to be in: another one if a constraint says so."""
    asked = [spec.get("language") for spec in constraints if spec.get("kind") == RESPONSE_LANGUAGE]
    return asked[0] if asked and isinstance(asked[0], str) else language


def constraints_problem(constraints: Sequence[Spec], language: str) -> str | None:
    """Why constraints cannot be checked: there are none, one is wrong in itself, or two exclude each other."""
    if not constraints:
        return "nothing to check"
    language = answer_language(constraints, language)
    problems = [problem for spec in constraints if (problem := constraint_problem(spec, language))]
    return "; ".join(problems) or contradiction([_in_one_form(spec) for spec in constraints], language)


def constraint_problem(spec: Spec, language: str) -> str | None:
    """Why a constraint cannot be checked: its kind is not known, or a field is missing or wrong."""
    kind = KINDS.get(spec["kind"]) if isinstance(spec.get("kind"), str) else None
    if kind is None:
        return f"no constraint of kind {spec.get('kind')!r}; allowed: {', '.join(KINDS)}"
    for name, check in kind.fields.items():
        if spec.get(name) is None:
            return f"constraint {spec['kind']} is not complete: {name} is missing"
        if problem := check(spec[name]):
            return f"constraint {spec['kind']}: {name} {problem}"
    problem = kind.problem(spec, language)
    return f"constraint {spec['kind']}: {problem}" if problem else None


def contradiction(constraints: Sequence[Spec], language: str) -> str | None:
    """Why no text can fulfil all of the constraints, where that is plain to see; their texts are in one form."""
    for one, other in permutations(constraints, 2):
        if _exclude_each_other(one, other, language):
            return f"constraints {one['kind']} and {other['kind']} can never hold together"
    return None


def _exclude_each_other(one: Spec, other: Spec, language: str) -> bool:
    demanded = _demanded(other)
    match one["kind"], other["kind"]:
        case _, "equals":
            return not _holds(other["text"], one, language)
        case "excludes", _:
            return any(one["text"] in text for text in demanded)
        case "occurs", "occurs":
            return one["text"] == other["text"] and one["count"] != other["count"]
        case "occurs", _:
            return one["count"] == 0 and any(one["text"] in text for text in demanded)
        case ("uppercase", "lowercase") | ("bullets", "numbered"):
            return True
        case "uppercase" | "lowercase" as case, _:
            return any(text != CASES[case](text) for text in demanded)
        case "lines" | "bullets" | "numbered", "lines" | "bullets" | "numbered":
            return one["count"] != other["count"]
        case "starts_with", "starts_with":
            return not (one["text"].startswith(other["text"]) or other["text"].startswith(one["text"]))
        case "ends_with", "ends_with":
            return not (one["text"].endswith(other["text"]) or other["text"].endswith(one["text"]))
        case "language", "language":
            return not same(one["code"], other["code"])
        case _:
            return False


def _demanded(spec: Spec) -> list[str]:
    """The texts that must be in a completion for the constraint to hold."""
    return [spec["text"]] if spec["kind"] in DEMANDING else list(spec.get("items", ()))


def loosened(prediction: str) -> list[str]:
    """The prediction and its variants that IFEval accepts as loosely following: eight at most."""
    lines = prediction.split("\n")
    cut = [prediction, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return list(dict.fromkeys(text for variant in cut for text in (variant, variant.replace("*", ""))))


def _holds(text: str, spec: Spec, language: str) -> bool:
    """Whether a constraint holds of an answer in a language; none holds of nothing."""
    text = plain(text)
    return bool(text.strip()) and KINDS[spec["kind"]].holds(text, _in_one_form(spec), language)


def _in_one_form(spec: Spec) -> dict[str, Any]:
    """The constraint with its texts in the form that they are compared in."""
    return {name: _plain(value) for name, value in spec.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _in_order(text: str, spec: Spec, _: str) -> bool:
    """Whether all items occur once each and in this order."""
    places = [text.find(item) for item in spec["items"]]
    return -1 not in places and places == sorted(places) and all(text.count(item) == 1 for item in spec["items"])


def _bullets(text: str, spec: Spec, _: str) -> bool:
    return len(_lines(text)) == spec["count"] and all(map(is_bullet, _lines(text)))


def _numbered(text: str, spec: Spec, _: str) -> bool:
    return [list_number(line) for line in _lines(text)] == list(range(1, int(spec["count"]) + 1))


def _in_language(text: str, spec: Spec, _: str) -> bool:
    likeliest = identify(text, spec["among"])
    return likeliest is not None and same(likeliest, spec["code"])


TEXT: Mapping[str, FieldCheck] = {"text": is_text}
COUNT: Mapping[str, FieldCheck] = {"count": at_least(1)}
DEMANDING = ("equals", "contains", "starts_with", "ends_with", "quoted")
"""Kinds whose text must be in the completion."""
CASES: Mapping[str, Callable[[str], str]] = {"uppercase": str.upper, "lowercase": str.lower}
KINDS: dict[str, Kind] = {
    "equals": Kind(lambda text, spec, _: _squeezed(text) == _squeezed(spec["text"]), TEXT),
    "lines": Kind(lambda text, spec, _: len(_lines(text)) == spec["count"], COUNT),
    "bullets": Kind(_bullets, COUNT),
    "numbered": Kind(_numbered, COUNT),
    "in_order": Kind(_in_order, {"items": is_order}),
    "contains": Kind(lambda text, spec, _: spec["text"] in text, TEXT),
    "excludes": Kind(lambda text, spec, _: spec["text"] not in text, TEXT),
    "starts_with": Kind(lambda text, spec, _: text.lstrip().startswith(spec["text"].lstrip()), TEXT),
    "ends_with": Kind(lambda text, spec, _: text.rstrip().endswith(spec["text"].rstrip()), TEXT),
    "quoted": Kind(lambda text, spec, _: is_quoted(spec["text"].strip(), text), TEXT),
    "uppercase": Kind(lambda text, spec, _: text == text.upper() and text != text.lower(), {}),
    "lowercase": Kind(lambda text, spec, _: text == text.lower() and text != text.upper(), {}),
    "occurs": Kind(lambda text, spec, _: text.count(spec["text"]) == spec["count"], {**TEXT, "count": at_least(0)}),
    "language": Kind(_in_language, {"code": is_text, "among": is_list_of_texts}, language_problem),
} | IFEVAL
