"""The reference of every key of a recipe, and the JSON Schema for editors, both from the models that read recipes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from harness.recipe.mothello import Mothello
from harness.recipe.schema import Recipe
from harness.recipe.section import Section

HEAD = """# Reference of recipe keys

Made from the models that read recipes (`harness/recipe/schema.py`). Where a key has no default, it must be given.
"""


SHORTHAND = {"Recipe": ("mixture", "leakage"), "SourceSettings": ("files",), "Evaluation": ("lm_eval",),
             "Ingredient": ("as",)}  # fmt: skip
"""Keys that may also be a text alone: the name of a mixture, a policy, a path, a task, a form of rows."""


def recipe_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe."""
    schema: dict[str, Any] = Recipe.model_json_schema()
    for section, keys in SHORTHAND.items():
        properties = schema["properties"] if section == "Recipe" else schema["$defs"][section]["properties"]
        for key in keys:
            properties[key] = {"anyOf": [{"type": "string"}, properties[key]]}
    properties = schema["properties"]
    properties["languages"] = {"anyOf": [{"type": "array", "items": {"type": "string"}}, properties["languages"]]}
    models = properties["models"]
    models["additionalProperties"] = {"anyOf": [{"type": "string"}, models["additionalProperties"]]}
    whole = {"required": schema.pop("required")}  # what a recipe lacks may be in the files that it includes
    rule = {"anyOf": [whole, {"required": ["include"]}]}
    return schema | rule | {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def mothello_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe of mOthello."""
    return Mothello.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def reference() -> str:
    """The reference as Markdown: a table for each section of a recipe, in the order in which they are nested."""
    return "\n".join([HEAD, *(table(path, section) for path, section in sections())])


def table(path: str, section: type[Section]) -> str:
    """The keys of a section."""
    types = section.model_json_schema()["properties"]
    rows = [
        f"| `{name}` | {kind(types[name])} | {default(field)} | {meaning(field)} |"
        for name, field in keys_of(section).items()
    ]
    title = f"## `{path}`" if path else "## A recipe"
    purpose = " ".join((section.__doc__ or "").split())
    return "\n".join([title, "", purpose, "", "| key | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def sections(
    path: str = "", section: type[Section] = Recipe, known: set[type[Section]] | None = None
) -> Iterator[tuple[str, type[Section]]]:
    """Each section with its key's path, where it comes first; `*` stands for a name of the user's own."""
    known = set[type[Section]]() if known is None else known
    if section in known:
        return
    known.add(section)
    yield path, section
    keys = [(name, field.annotation) for name, field in keys_of(section).items()]
    if section.model_config.get("extra") == "allow":
        keys.append(("", get_type_hints(section)["__pydantic_extra__"]))
    for name, annotation in keys:
        for inner, own_name in nested(annotation):
            yield from sections(".".join(filter(None, (path, name, "*" if own_name else ""))), inner, known)


def keys_of(section: type[Section]) -> dict[str, FieldInfo]:
    """The keys of a section, as a recipe has them."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def nested(annotation: Any, own_name: bool = False) -> Iterator[tuple[type[Section], bool]]:
    """The sections in a type, and whether each is the value of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation, own_name
    for part in get_args(annotation):
        yield from nested(part, own_name or getattr(annotation, "__origin__", None) is dict)


BOUNDS = {"exclusiveMinimum": "above", "minimum": "at least", "maximum": "at most", "exclusiveMaximum": "below"}
WORDS = {"integer": "whole number", "string": "text", "boolean": "true or false", "null": "nothing"}


def kind(schema: dict[str, Any]) -> str:
    """A JSON Schema in words: "whole number above 0, or nothing"."""
    if "anyOf" in schema:
        return ", or ".join(dict.fromkeys(kind(part) for part in schema["anyOf"]))
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "const" in schema:
        return str(schema["const"])
    if "$ref" in schema:
        return "a section"
    if schema.get("type") == "array":
        return f"list of {kind(schema['items'])}" if schema.get("items") else "list"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"names with {kind(values)}" if isinstance(values, dict) else "names"
    bounds = [f"{word} {schema[name]:.12g}" for name, word in BOUNDS.items() if name in schema]
    named = str(schema.get("type", "anything"))
    return " ".join([WORDS.get(named, named), *bounds])


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
