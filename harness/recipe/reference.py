"""The reference of every key of a recipe, and the JSON Schema for editors, both from the models that read recipes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from harness.recipe.schema import Recipe
from harness.recipe.section import Section

HEAD = """# Reference of recipe keys

Made from the models that read recipes (`harness/recipe/schema.py`). Where a key has no default, it must be given.
"""


def recipe_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe."""
    return Recipe.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def reference() -> str:
    """The reference as Markdown: a table for each section of a recipe, in the order in which they are nested."""
    return "\n".join([HEAD, *(table(path, section) for path, section in sections())])


def table(path: str, section: type[Section]) -> str:
    """The keys of a section."""
    rows = [
        f"| `{name}` | {kind(field)} | {default(field)} | {meaning(field)} |"
        for name, field in section.model_fields.items()
    ]
    title = f"## `{path}`" if path else "## A recipe"
    purpose = " ".join((section.__doc__ or "").split())
    return "\n".join([title, "", purpose, "", "| key | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def sections(path: str = "", section: type[Section] = Recipe) -> Iterator[tuple[str, type[Section]]]:
    """Each section with its key's path; `*` stands for a name of the user's own."""
    yield path, section
    for name, field in section.model_fields.items():
        for inner, own_name in nested(field.annotation):
            yield from sections(".".join(filter(None, (path, name, "*" if own_name else ""))), inner)


def nested(annotation: Any, own_name: bool = False) -> Iterator[tuple[type[Section], bool]]:
    """The sections in a type, and whether each is the value of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation, own_name
    for part in get_args(annotation):
        yield from nested(part, own_name or getattr(annotation, "__origin__", None) is dict)


def kind(field: FieldInfo) -> str:
    """A type in the words of a recipe."""
    text = getattr(field.annotation, "__name__", None) if not get_args(field.annotation) else str(field.annotation)
    return f"`{plain(text or str(field.annotation))}`"


def plain(text: str) -> str:
    """A type's text without modules, and in words that are not Python's."""
    text = re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)
    words = {"|": "or", "tuple[str, ...]": "list of text", "NoneType": "nothing", "None": "nothing", "Any": "anything"}
    for python, word in words.items():
        text = text.replace(python, word)
    return text


def default(field: FieldInfo) -> str:
    """A default as JSON; nothing for a key that must be given."""
    if field.is_required() or field.default is PydanticUndefined:
        return ""
    if isinstance(field.default, Section):
        return "see below"
    return f"`{json.dumps(field.default, default=list)}`".replace("`null`", "none")


def meaning(field: FieldInfo) -> str:
    """What a key is for."""
    return " ".join((field.description or "").split()).replace("|", "\\|")
