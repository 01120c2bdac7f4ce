"""One training or test example, and its form as Arrow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import pyarrow as pa

from data_mixes.arrow import TEXT

Split: TypeAlias = Literal["train", "validation", "test"]


class Exchange(NamedTuple):
    """An earlier prompt and its answer: a turn of a conversation, or an exemplar."""

    prompt: str
    target: str


class Span(NamedTuple):
    """A stretch of a row that is no prompt and answer."""

    text: str
    learned: bool = True
    """Whether its tokens carry a loss."""
    instead: str | None = None
    """What is learned where it begins, in its place: the first token of this text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A prompt and the target that should follow it.

    `item_id` is shared by the translations of one item; `id` is unique to the row. `prompt` is the bare
    question, text or instruction: `data_mixes.prompts` puts the task's words around it, unless it is of a conversation.
    """

    id: str
    item_id: str
    task: str
    language: str
    """Language of the target."""
    prompt: str
    target: str
    answer: str | None = None
    """The number a math problem asks for, in ASCII digits."""
    constraints: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    """Constraints that a program can check in a completion; see eval.scorers.constraints."""
    prompt_language: str | None = None
    """Language of the prompt, where it differs from the target's."""
    history: tuple[Exchange, ...] = ()
    """Earlier turns of the conversation, or exemplars, in the same task and languages."""
    conversation: bool = False
    """Whether prompt, target and history are the turns of a conversation, which a chat model is given verbatim."""
    system: str | None = None
    """What the system says before a conversation."""
    cluster: str | None = None
    """What items have in common: a template, an article, a conversation. They are no independent evidence."""
    spans: tuple[Span, ...] = ()
    """The row as it is learned, where that is not a prompt and its answer: neither words nor a template are put in."""


SCHEMA = pa.schema(
    [
        ("id", TEXT),
        ("item_id", TEXT),
        ("task", TEXT),
        ("language", TEXT),
        ("prompt_language", TEXT),
        ("prompt", TEXT),
        ("target", TEXT),
        ("answer", TEXT),
        ("constraints", TEXT),
        ("history", TEXT),
        ("cluster", TEXT),
    ]
)
"""Examples on disk; constraints and history (see `history_text`) are JSON, null where there are none."""


def to_table(examples: Iterable[Example]) -> pa.Table:
    """Examples as Arrow."""
    rows = [
        {
            "id": example.id,
            "item_id": example.item_id,
            "task": example.task,
            "language": example.language,
            "prompt_language": example.prompt_language,
            "prompt": example.prompt,
            "target": example.target,
            "answer": example.answer,
            "constraints": json.dumps(example.constraints, ensure_ascii=False) if example.constraints else None,
            "history": history_text(example),
            "cluster": example.cluster,
        }
        for example in examples
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def from_table(table: pa.Table) -> Iterator[Example]:
    """Arrow as examples."""
    for row in table.to_pylist():
        constraints, history = row["constraints"], row.pop("history")
        row["constraints"] = tuple(json.loads(constraints)) if constraints else ()
        yield Example(**row | history_of(history))


def history_text(example: Example) -> str | None:
    """What was said before the prompt, as JSON: a list of turns two by two; of a conversation, or spans, an object."""
    if example.spans:
        return json.dumps({"spans": example.spans}, ensure_ascii=False)
    if example.conversation:
        return json.dumps({"system": example.system, "turns": example.history}, ensure_ascii=False)
    return json.dumps(example.history, ensure_ascii=False) if example.history else None


def history_of(text: str | None) -> dict[str, Any]:
    """The fields of an example that `history_text` writes."""
    held = json.loads(text) if text else []
    if isinstance(held, dict) and "spans" in held:
        return {"spans": tuple(Span(*span) for span in held["spans"])}
    if isinstance(held, dict):
        turns = tuple(Exchange(*turn) for turn in held["turns"])
        return {"history": turns, "conversation": True, "system": held["system"]}
    return {"history": tuple(Exchange(*turn) for turn in held)}
