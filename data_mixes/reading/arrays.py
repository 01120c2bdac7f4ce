"""Lines and the items of a JSON array, one by one, none so long that it would fill the memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO, Any

CHARACTERS = 1 << 16
"""How much of a JSON array is read at a time."""
LONGEST_TOKEN = 16
"""Characters that may be missing at the end of a text for a token such as -Infinity or an escape to be complete."""
LONGEST_ROW = 1 << 26
"""Characters of a line, or of an item of an array: a small packed file may unpack to a line that fills the memory."""
WHITE_SPACE = re.compile(r"[ \t\r\n]*")


class TooLongError(ValueError):
    """A line or an item that no row of text comes near to."""


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
            if len(text) > LONGEST_ROW:
                raise TooLongError(f"item {items + 1} is longer than {LONGEST_ROW:,} characters")
            continue
        yield item
        items, position = items + 1, end + 1
        if follows == "]":
            return


def lines_of(file: IO[str]) -> Iterator[str]:
    """The lines of a text file. Raises TooLongError for one that is longer than any row may be."""
    number = 1
    while line := file.readline(LONGEST_ROW + 1):
        if len(line) > LONGEST_ROW:
            raise TooLongError(f"line {number} is longer than {LONGEST_ROW:,} characters")
        yield line
        number += 1


def after_space(text: str, position: int) -> int:
    """The position of the first character that is no white space."""
    space = WHITE_SPACE.match(text, position)
    return space.end() if space else position
