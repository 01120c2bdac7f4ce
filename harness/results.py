"""What commands tell programs: `--json` is the dump of such a value, and the terminal prints from the same one."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def as_number(value: Any) -> Any:
    """A text that is written just as JSON writes a number, as that number; anything else as it is."""
    if isinstance(value, str):
        for kind in (int, float):
            with suppress(ValueError):
                if str(kind(value)) == value and math.isfinite(kind(value)):
                    return kind(value)
    return value


NumberOrText: TypeAlias = Annotated[int | float | str, BeforeValidator(as_number)]
"""What a table's cell says: CSV has text alone, and a program that reads JSON expects numbers."""


class Result(BaseModel):
    """A part of what a command tells."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, use_attribute_docstrings=True)


class Answer(Result):
    """All that a command tells. `harness schema NAME` prints its JSON Schema."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    """Raised when a key changes its meaning or goes; new keys may come without it."""

    def as_json(self) -> str:
        """The JSON that the command prints, in ASCII for any terminal; what is not a number is null."""
        return self.model_dump_json(by_alias=True, ensure_ascii=True)
