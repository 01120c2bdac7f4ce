"""harness schema: the JSON Schema of what the harness reads."""

from __future__ import annotations

import json

from harness.errors import Problem, UserError, suggestion
from harness.recipe.reference import recipe_schema

SCHEMAS = {"recipe": recipe_schema}


def print_schema(name: str) -> None:
    """Prints a JSON Schema. Raises UserError for a name that there is not."""
    if name not in SCHEMAS:
        raise UserError([Problem("NAME", f"no schema {name!r}; {suggestion(name, SCHEMAS)}")])
    print(json.dumps(SCHEMAS[name](), indent=1, ensure_ascii=False))
