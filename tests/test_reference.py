"""The reference of keys and the JSON Schema, both from the models that read recipes."""

from __future__ import annotations

import json

import pytest

from harness.errors import UserError
from harness.recipe.reference import keys_of, recipe_schema, reference, sections
from harness.recipe.yaml_files import read_yaml
from tests.support import REPOSITORY


def test_every_key_says_what_it_is_for() -> None:
    keys = [(path, name, field) for path, section in sections() for name, field in section.model_fields.items()]
    assert len(keys) > 80
    assert not [f"{path}.{name}" for path, name, field in keys if not field.description]


def test_the_reference_has_every_key() -> None:
    page = reference()
    for path, section in sections():
        assert not path or f"## `{path}`" in page
        assert all(f"| `{name}` |" in page for name in keys_of(section))
    assert "| `rank` |" in page and "| `8` |" in page
    for words in ("harness.recipe", "pydantic", "Undefined", "Annotated"):
        assert words not in page.partition("## A recipe")[2], words


@pytest.mark.parametrize("path", sorted((REPOSITORY / "recipes").glob("[!m]*.yaml")), ids=lambda path: path.name)
def test_the_schema_holds_for_the_recipes_that_ship(path: object) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(json.loads(json.dumps(read_yaml(path))), recipe_schema())  # pyright: ignore[reportArgumentType]


def test_every_answer_of_a_command_has_a_schema() -> None:
    from harness.commands.schema import ANSWERS, schema_of

    without = {"__init__", "options", "run", "eval", "export", "schema", "init", "train", "fetch", "work", "submit"}
    commands = {path.stem for path in (REPOSITORY / "harness" / "commands").glob("*.py")}
    assert set(ANSWERS) == commands - without, "those with --json"
    for name in ANSWERS:
        schema = schema_of(name)
        assert schema["properties"]["schema"]["const"] == 1 and len(schema["properties"]) > 2
    with pytest.raises(UserError, match="did you mean 'plan'"):
        schema_of("plam")
