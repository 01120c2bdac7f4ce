"""What a model writes for itself and what it answers: thoughts and code fences are set apart before scoring."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

Markers: TypeAlias = Sequence[tuple[str, str]]
"""Texts that open and close thoughts."""

THOUGHTS: Markers = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel|>analysis", "<|channel|>final<|message|>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
)
"""Markers of models in use; compared without regard to case."""
FENCE = re.compile(
    r"^[ \t]*(?P<fence>```+|~~~+)[^\n`]*\n(?P<inside>.*?)(?:^[ \t]*(?P=fence)[ \t]*$\n?|\Z)", re.M | re.S
)
ONE_BLOCK = re.compile(r"\s*(?P<fence>```+|~~~+)[^\n`]*\n(?P<inside>.*?)\n?[ \t]*(?P=fence)\s*\Z", re.S)


def without_thoughts(text: str, markers: Markers = THOUGHTS) -> str:
    """The text after its thoughts; empty where they never end.

    A closing marker without an opening one ends thoughts too: chat templates put the opening one into the prompt.
    """
    return _parted(text, markers)[1]


def thoughts_of(text: str, markers: Markers = THOUGHTS) -> str:
    """What stands between the markers, and after an opening one that is never closed; empty without thoughts."""
    return "\n".join(filter(None, map(str.strip, _parted(text, markers)[0])))


def _parted(text: str, markers: Markers) -> tuple[list[str], str]:
    """The thoughts of a text, and the text without them."""
    thoughts: list[str] = []
    for opening, closing in markers:
        folded = text.lower()
        if closing.lower() in folded:
            more, text = _closed(text, opening.lower(), closing.lower())
            thoughts += more
            folded = text.lower()
        if opening.lower() in folded:
            start = folded.index(opening.lower())
            thoughts.append(text[start + len(opening) :])
            text = text[:start]
    return thoughts, text


def _closed(text: str, opening: str, closing: str) -> tuple[list[str], str]:
    """What stands between the markers, or precedes a closing one with no opening, and the text without it."""
    thoughts: list[str] = []
    kept, folded = "", text.lower()
    while (end := folded.find(closing)) >= 0:
        start = folded.find(opening)
        opened = 0 <= start < end
        thoughts.append(text[start + len(opening) : end] if opened else kept + text[:end])
        kept = kept + text[:start] if opened else ""
        text = text[end + len(closing) :]
        folded = text.lower()
    return thoughts, (kept + text).strip()


def without_code(text: str) -> str:
    """The text without fenced blocks of code; the inside of a block that is the whole text."""
    if "```" not in text and "~~~" not in text:
        return text
    if (block := ONE_BLOCK.match(text)) and not FENCE.search(block["inside"]):
        return block["inside"]
    return FENCE.sub("", text)


def answer_text(text: str, markers: Markers = THOUGHTS) -> str:
    """What a model answers: the text without thoughts and code; the inside of its code where nothing else is there."""
    answer = without_thoughts(text, markers)
    prose = without_code(answer)
    return prose if any(map(str.isalnum, prose)) else FENCE.sub(lambda block: block["inside"], answer)
