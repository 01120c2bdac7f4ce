"""What a constraint's fields must hold: each check says what is wrong with a value, or None."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from eval.scorers.identifiers import DEFAULT, knows
from eval.scorers.locales import base_of
from eval.scorers.typography import plain

FieldCheck: TypeAlias = Callable[[Any], str | None]
Spec: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of constraint: how it is checked, what its fields must hold, and what else may be wrong with it."""

    holds: Callable[[str, Spec, str], bool]
    """Whether it holds of a text in a language; all texts are in the form of `typography.plain`."""
    fields: Mapping[str, FieldCheck]
    problem: Callable[[Spec, str], str | None] = lambda spec, language: None
    """Why it cannot be checked in a language, though its fields are right."""


def is_text(value: Any) -> str | None:
    """Some text with more than spaces in it."""
    return None if isinstance(value, str) and plain(value).strip() else f"must be text that is not empty, not {value!r}"


def is_list_of_texts(value: Any) -> str | None:
    """A list of one text or more."""
    right = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
    right = right and all(is_text(text) is None for text in value)
    return None if right else f"must be a list of texts that are not empty, not {value!r}"


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number; 2.0 is one, for tables with gaps hold numbers so."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)


def at_least(least: int) -> FieldCheck:
    """A whole number that is not below the least."""

    def check(value: Any) -> str | None:
        right = isinstance(value, int | float) and abs(value) < 1e9 and is_whole(value) and value >= least
        return None if right else f"must be a whole number from {least} on, not {value!r}"

    return check


def is_order(items: Any) -> str | None:
    """Texts that can all occur once: none of them is in another."""
    if problem := is_list_of_texts(items):
        return problem
    texts = [plain(item) for item in items]
    inside = [(one, other) for at, one in enumerate(texts) for other in texts[:at] + texts[at + 1 :] if one in other]
    return f"can never occur once each: {inside[0][0]!r} is in {inside[0][1]!r}" if inside else None


def one_of(*allowed: str) -> FieldCheck:
    """One of some texts."""

    def check(value: Any) -> str | None:
        return None if value in allowed else f"must be {' or '.join(map(repr, allowed))}, not {value!r}"

    return check


def language_problem(spec: Spec, _: str) -> str | None:
    """Whether a language can be told from those that it is to be told from."""
    code, among = spec["code"], spec["among"]
    if code not in among:
        return f"code {code!r} is not among {', '.join(among)}"
    if len(set(among)) < 2:
        return "among must name another language than code"
    told = knows(DEFAULT, code) and code == base_of(code)  # it tells languages apart, not their regions
    return None if told else f"{DEFAULT} does not know the language {code!r}"
