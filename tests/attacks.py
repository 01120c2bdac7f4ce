"""What the harness is attacked with: mutated recipes, and a guard against hangs."""

from __future__ import annotations

import copy
import json
import random
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 10**12, 10**40, -0.5, 1e-320, 1e30, 1e308, float("nan"), float("inf"),
    "", " ", "no", "x" * 300, "x/" * 300, "\x00", "\ud800", "../../..", "/", "~", "~nobody-of-this-name/x", "/dev/zero",
    "/dev/null", "/proc/self/mem", "%7B{language}*?[x]", "{prompt}" * 9, "{{ 7 * 7 }}", "{% for a in b %}", "$(id)",
    "'; DROP TABLE rows; --", "-1", "1e999", "2026-11-27", "zz", "en-US-x-private", "日本語", "\u202e\u0301",
    [], {}, [None], [[]], ["en"] * 3, {"": ""}, {"a": {"b": {"c": {}}}}, [0] * 1000,
)  # fmt: skip
"""Values that no key is meant for, or hardly any."""


def mutated_recipes(recipe: dict[str, Any], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """So many mutations of a recipe, the same for the same seed: what was done, and the file's contents."""
    drawn = random.Random(seed)
    for number in range(count):
        data, told = copy.deepcopy(recipe), [f"recipe {number}"]
        for _ in range(drawn.choice((1, 1, 1, 2, 3))):
            told.append(drawn.choice(CHANGES)(data, drawn))
        text = json.dumps(data, indent=1).encode()
        if drawn.random() < 0.15:
            text, change = mutated_bytes(text, drawn)
            told.append(change)
        yield "; ".join(told), text


def paths_in(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in plain data."""
    entries: list[tuple[Any, Any]] = []
    if isinstance(data, dict):
        entries = list(data.items())
    elif isinstance(data, list):
        entries = list(enumerate(data))
    return [inner for key, value in entries for inner in [(*path, key), *paths_in(value, (*path, key))]]


def parent_of(data: Any, path: tuple[Any, ...]) -> Any:
    """What holds the last part of a path."""
    for part in path[:-1]:
        data = data[part]
    return data


def value_replaced(data: Any, drawn: random.Random) -> str:
    path = drawn.choice(paths_in(data) or [("study",)])
    value = copy.deepcopy(drawn.choice(HOSTILE))
    parent_of(data, path)[path[-1]] = value
    return f"{path} = {repr(value)[:40]}"


def entry_removed(data: Any, drawn: random.Random) -> str:
    path = drawn.choice(paths_in(data) or [("study",)])
    parent = parent_of(data, path)
    if isinstance(parent, dict):
        parent.pop(path[-1], None)
    else:
        del parent[path[-1]]
    return f"{path} removed"


def entry_added(data: Any, drawn: random.Random) -> str:
    inner = [(), *(path for path in paths_in(data) if isinstance(parent_of(data, (*path, 0)), dict))]
    path = drawn.choice(inner)
    key, value = drawn.choice(("x", "", "amount", "%s", "9", "__class__")), copy.deepcopy(drawn.choice(HOSTILE))
    parent_of(data, (*path, 0))[key] = value
    return f"{path} + {key!r}: {repr(value)[:40]}"


def entries_swapped(data: Any, drawn: random.Random) -> str:
    one, other = drawn.choice(paths_in(data)), drawn.choice(paths_in(data))
    if one[: len(other)] == other or other[: len(one)] == one:
        return "nothing swapped"
    first, second = parent_of(data, one)[one[-1]], parent_of(data, other)[other[-1]]
    parent_of(data, one)[one[-1]], parent_of(data, other)[other[-1]] = second, first
    return f"{one} ↔ {other}"


CHANGES = (value_replaced, value_replaced, value_replaced, entry_removed, entry_added, entries_swapped)


def mutated_bytes(text: bytes, drawn: random.Random) -> tuple[bytes, str]:
    """A text with a line lost, bytes overwritten, its end cut off, or another tag."""
    place = drawn.randrange(len(text) or 1)
    ways = {
        "cut off": text[:place],
        "a byte changed": text[:place] + bytes([drawn.randrange(256)]) + text[place + 1 :],
        "a tag": text[:place].rstrip(b'"') + b" !!bool maybe " + text[place:],
        "an anchor": b"&a [*a, *a]\n" + text,
        "a byte order mark": b"\xef\xbb\xbf" + text,
        "a NUL": text[:place] + b"\x00" + text[place:],
    }
    change = drawn.choice(list(ways))
    return ways[change], f"{change} at {place}"


class HangError(BaseException):
    """Something took longer than it may."""


@contextmanager
def no_hang(seconds: int) -> Generator[None]:
    """Raises HangError in this thread where the block takes so long."""

    def ring(number: int, frame: object) -> None:
        raise HangError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
