"""One thing to learn from, or to be tested with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Split: TypeAlias = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A prompt and what should follow it.

    `item_id` is shared by the translations of one item; `id` is its own. `prompt` is the bare
    question, text or instruction: `data_mixes.prompts` puts the task's words around it.
    """

    id: str
    item_id: str
    task: str
    language: str
    prompt: str
    target: str
    answer: str | None = None
    """The number a math problem asks for, in ASCII digits."""
    constraints: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    """What a program can check of an instruction's fulfilment; see eval.scorers.constraints."""
