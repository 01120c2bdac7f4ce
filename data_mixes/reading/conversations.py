"""Conversations as data sets have them: ShareGPT's {from, value}, or {role, content}."""

from __future__ import annotations

import json
from typing import Any

USERS = {"human", "user", "prompter"}
ASSISTANTS = {"gpt", "assistant", "chatgpt", "bing", "bard", "model"}
NOTHING: dict[str, str | None] = {"prompt": None, "target": None, "history": None, "problem": None}


def exchanges(text: str | None) -> dict[str, str | None]:
    """Prompt, target and history of a conversation, or under "problem" why it is none.

    `history` is JSON: what the system says first (or null), and the turns before the last prompt, two by two. A
    prompt at the end that nothing answers is left out.
    """
    try:
        turns = [turn_of(turn) for turn in json.loads(text or "")]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return NOTHING | {"problem": "not a conversation"}
    system = None
    if turns and turns[0][0] == "system":
        _, system = turns.pop(0)
    if any(speaker == "system" for speaker, _ in turns):
        return NOTHING | {"problem": "a system message that is not the first"}
    if turns and turns[-1][0] == "user":
        turns.pop()
    expected = ["user", "assistant"] * (len(turns) // 2)
    if not turns or [speaker for speaker, _ in turns] != expected:
        return NOTHING | {"problem": "turns do not alternate between user and assistant"}
    said = [said for _, said in turns]
    earlier = [list(pair) for pair in zip(said[:-2:2], said[1:-2:2], strict=True)]
    history = json.dumps({"system": system, "turns": earlier}, ensure_ascii=False)
    return NOTHING | {"prompt": said[-2], "target": said[-1], "history": history}


def turn_of(turn: dict[str, Any]) -> tuple[str, str]:
    """Who speaks (user, assistant or system) and what is said."""
    speaker = str(turn["from"] if "from" in turn else turn["role"]).lower()
    said = turn["value"] if "value" in turn else turn["content"]
    if not isinstance(said, str):
        raise ValueError("not text")
    if speaker in USERS:
        return "user", said
    if speaker in ASSISTANTS:
        return "assistant", said
    if speaker == "system":
        return "system", said
    raise ValueError(speaker)
