"""What the name of an lm-evaluation-harness task says: its family of tasks, and its language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from babel import Locale
from babel.core import get_global

CODE = re.compile(r"[a-z]{2,3}")
PARTS = re.compile(r"([_-]*)([^_-]+)")


@dataclass(frozen=True, slots=True)
class NamedTask:
    """A task of lm_eval, and the task and language that its scores are counted under."""

    name: str
    task: str
    language: str


def readings(name: str, languages: Sequence[str]) -> list[NamedTask]:
    """What a task's name may say: one reading for each of the languages that a part of it names.

    A part names a language by its ISO 639 code, with its script behind it or not, or by its English
    name: "belebele_fra_Latn" is task belebele in fr, "mgsm_direct_sw" mgsm_direct in sw,
    "include_base_44_japanese" include_base_44 in ja. What is left of the name is the task.
    """
    parts: list[tuple[str, str]] = PARTS.findall(name)
    codes = [canonical(part) for _, part in parts]
    scripts = [
        number > 0 and codes[number - 1] is not None and part.title() in Locale("en").scripts
        for number, (_, part) in enumerate(parts)
    ]
    read: list[NamedTask] = []
    for language in languages:
        code = canonical(language)
        named = [code is not None and other == code for other in codes]
        rest = [
            separator + part
            for number, (separator, part) in enumerate(parts)
            if not (named[number] or (scripts[number] and named[number - 1]))
        ]
        if any(named) and rest:
            read.append(NamedTask(name, "".join(rest).lstrip("_-"), language))
    return read


@cache
def canonical(part: str) -> str | None:
    """The code in CLDR of the language that is so called: "fra", "fr" and "French" are fr; None if none is."""
    languages = Locale("en").languages
    by_name = {str(english).lower(): code for code, english in languages.items() if "_" not in code}
    if part.lower() in by_name:
        return by_name[part.lower()]
    code = str(get_global("language_aliases").get(part, part)).split("_")[0]
    return code if CODE.fullmatch(part) and code in languages else None
