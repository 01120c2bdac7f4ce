"""ShareGPT-style conversations: the last answer is what is learned, all before it is what it answers."""

from __future__ import annotations

import json
from typing import Any

USERS = {"human", "user", "prompter"}
ASSISTANTS = {"gpt", "assistant", "chatgpt", "bing", "bard", "model"}
NOTHING: dict[str, str | None] = {"prompt": None, "target": None, "history": None, "problem": None}


def exchanges(text: str | None) -> dict[str, str | None]:
    """Prompt, target and history (JSON) of a conversation, or under "problem" why it is none.

    Turns are {from, value} or {role, content}. What a system says is put before the first prompt; a
    prompt at the end that nothing answers is left out.
    """
    try:
        turns = [turn_of(turn) for turn in json.loads(text or "")]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return NOTHING | {"problem": "not a conversation"}
    system = [said for speaker, said in turns if speaker == "system"]
    spoken = [(speaker, said) for speaker, said in turns if speaker != "system"]
    if spoken and spoken[-1][0] == "user":
        spoken.pop()
    expected = ["user", "assistant"] * (len(spoken) // 2)
    if not spoken or [speaker for speaker, _ in spoken] != expected:
        return NOTHING | {"problem": "turns do not alternate between user and assistant"}
    said = [said for _, said in spoken]
    said[0] = "\n\n".join([*system, said[0]])
    history = [list(pair) for pair in zip(said[:-2:2], said[1:-2:2], strict=True)]
    kept = json.dumps(history, ensure_ascii=False) if history else None
    return NOTHING | {"prompt": said[-2], "target": said[-1], "history": kept}


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
