"""One large JSON array, read item by item."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO, Any

CHARACTERS = 1 << 16
"""How much of a JSON array is read at a time."""
LONGEST_TOKEN = 16
"""Characters that may be missing at the end of a text for a token such as -Infinity or an escape to be complete."""
WHITE_SPACE = re.compile(r"[ \t\r\n]*")


def array_items(file: IO[str]) -> Iterator[Any]:
    """The items of a JSON array, one by one; NaN and infinity, as Python writes them, are accepted. Raises ValueError.

    An item may need more text than was read: the text is then doubled, so that no item is parsed often.
    """
    decoder = json.JSONDecoder()
    text, position, items = file.read(CHARACTERS).lstrip(), 1, 0
    if text[:1] not in ("[", ""):
        raise ValueError("it does not begin with [")
    while text:
        position = after_space(text, position)
        try:
            if text[position : position + 1] == "]" and not items:
                return
            item, end = decoder.raw_decode(text, position)
            end = after_space(text, end)
            follows = text[end : end + 1]
            if follows not in (",", "]", ""):
                raise ValueError(f"got {follows!r} after item {items + 1}, where ',' or ']' should be")
        except json.JSONDecodeError as error:
            if "Unterminated" not in error.msg and error.pos < len(text) - LONGEST_TOKEN:
                raise ValueError(f"item {items + 1}: {error.msg}") from None
            follows, item, end = "", None, position
        if not follows:
            more = file.read(max(CHARACTERS, len(text) - position))
            if not more:
                raise ValueError(f"it ends within or after item {items + 1}, without ]")
            text, position = text[position:] + more, 0
            continue
        yield item
        items, position = items + 1, end + 1
        if follows == "]":
            return


def after_space(text: str, position: int) -> int:
    """The position of the first character that is no white space."""
    space = WHITE_SPACE.match(text, position)
    return space.end() if space else position
