"""What commands tell programs: `--json` is the dump of such a value, and the terminal prints from the same one."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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
