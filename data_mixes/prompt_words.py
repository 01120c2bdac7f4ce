"""The words that tasks put around their prompts, in every language: those of prompts.yaml, and a recipe's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from babel import Locale, UnknownLocaleError
from ruamel.yaml import YAML

from data_mixes.example import Example
from data_mixes.languages import nearest

TEXT = (files("data_mixes") / "prompts.yaml").read_text(encoding="utf-8")
"""The file of all words, as it is."""
RESTORE_TEXT = (files("data_mixes") / "makers" / "restore.yaml").read_text(encoding="utf-8")
"""The words of rows whose language is to be restored: in a file of its own, as those of all tasks are hashed."""
_WORDS, _RESTORE = (YAML(typ="safe", pure=True).load(text) for text in (TEXT, RESTORE_TEXT))

PROMPTS: dict[str, dict[str, str]] = _WORDS["prompts"] | _RESTORE
"""Task → language → prompt with the field {prompt}; the file describes the other fields."""
ANSWERS: dict[str, str] = _WORDS["answers"]
"""Language → the sentence that the solution of a math problem ends with, with the field {answer}."""
RESPONSE_LANGUAGE: dict[str, str] = _WORDS["response_language"]
"""Language → the line that asks for a response in {language}, where that is not the prompt's language."""
FIELD = re.compile(r"\{(\w+)\}")


class PromptError(ValueError):
    """A prompt that cannot be rendered for this model or language."""


def task_prompt(example: Example, words: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """The example's prompt in the words of its task and language. Raises PromptError without any."""
    language = example.prompt_language or example.language
    known = {**PROMPTS.get(example.task, {}), **(words or {}).get(example.task, {})}
    worded = nearest(language, known)
    text = known[worded] if worded else None
    if text is None:
        raise PromptError(
            f"no prompt for task {example.task!r} in language {language!r}; "
            f"write one in the recipe, under prompts.words.{example.task}.{language}"
        )
    fields = {"prompt": example.prompt}
    if "{answer_marker}" in text:
        fields["answer_marker"] = in_language(ANSWERS, example.language).partition("{answer}")[0].rstrip()
    if language != example.language:
        name = language_name(example.language, language)
        if "{language}" in text:
            fields["language"] = name
        elif language in RESPONSE_LANGUAGE:
            fields["prompt"] += "\n" + RESPONSE_LANGUAGE[language].replace("{language}", name)
    return filled(text, fields)


def answer_sentence(answer: int | str, language: str) -> str:
    """The sentence that the solution of a math problem ends with."""
    return filled(ANSWERS[language], {"answer": str(answer)})


def answer_in(solution: str, language: str) -> str | None:
    """What the last sentence of this kind in a solution gives as its answer; None without such a sentence."""
    before, _, after = ANSWERS[language].partition("{answer}")
    _, found, rest = solution.rpartition(before.strip())
    return rest.strip().removesuffix(after.strip()).strip() or None if found else None


def in_language(texts: Mapping[str, str], language: str) -> str:
    """The text for a language, or for the same language and script elsewhere; empty without one."""
    code = nearest(language, texts)
    return texts[code] if code else ""


def filled(text: str, fields: Mapping[str, str]) -> str:
    """The text with its fields filled in; braces in the values are left alone."""
    return FIELD.sub(lambda match: fields.get(match[1], match[0]), text)


@lru_cache(maxsize=1024)
def language_name(language: str, in_language: str) -> str:
    """The name of a language in another language (CLDR), or its code where CLDR has none."""
    try:
        return str(Locale.parse(in_language).languages.get(language, language))
    except (ValueError, UnknownLocaleError):
        return language
