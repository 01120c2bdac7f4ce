"""What the harness is attacked with: damaged files, odd disks, mutated recipes; and a guard against hangs."""

from __future__ import annotations

import copy
import json
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import support


def half(path: Path) -> None:
    """Cuts a file off in the middle."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    """Leaves nothing in a file."""
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    """Turns one bit over in the middle of a file."""
    content = bytearray(path.read_bytes() or b"\0")
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def garbage(path: Path) -> None:
    """Puts bytes into a file that are neither text nor anything else."""
    path.write_bytes(bytes(range(256)) * 8)


def deleted(path: Path) -> None:
    """Removes a file."""
    path.unlink()


def folder(path: Path) -> None:
    """Puts a folder into a file's place."""
    path.unlink()
    path.mkdir()


WAYS: tuple[Callable[[Path], None], ...] = (half, empty, flipped, garbage, deleted, folder)
CELL, CHUNKS, GATE = "amount-3/", "evaluation/generations/", "evaluation/canary.json"
KINDS: dict[str, tuple[str, ...]] = {
    "amount-3/record.json": (CELL,),
    "amount-3/.record.json.sha256": (CELL,),
    "amount-3/adapter/adapter_config.json": (CELL,),
    "amount-3/adapter/adapter_model.safetensors": (CELL,),
    "amount-3/adapter/.adapter_model.safetensors.sha256": (CELL,),
    "amount-3/.lock": (),
    "evaluation/generations/*.jsonl": (CHUNKS, GATE),
    "evaluation/canary.json": (GATE,),
    "evaluation/.lock": (),
    "study.json": (),
    "plan.json": (),
    "pace.json": (),
    "prompts.parquet": (),
    "predictions.parquet": (),
    "scores.parquet": (),
    "report.html": (),
    "summary.csv": (),
    "comparisons.csv": (),
    "figures/*.svg": (),
    "tables/math-accuracy.tex": (),
}
"""Every kind of file in a study of the cells amount-0 and amount-3; and what may be made again when it is damaged, of
what takes long to make."""
FOLDERS = {"amount-3": (CELL,), "amount-3/adapter": (CELL,), "evaluation": (CHUNKS, GATE), "tables": (), "figures": ()}
"""The same of folders, in whose place a file may stand."""


def file_of(study: Path, kind: str) -> Path:
    """The file of a kind, the first if there are several."""
    return sorted(study.glob(kind))[0]


def lasting(study: Path) -> dict[str, int]:
    """What takes long to make, by its path: the number by which the file system tells a file from one made again."""
    patterns = ("*/record.json", "*/adapter/adapter_*", f"{CHUNKS}*.jsonl", GATE)
    files = [path for pattern in patterns for path in study.glob(pattern) if path.is_file()]
    return {str(path.relative_to(study)): path.stat().st_ino for path in files}


def made_again(before: dict[str, int], study: Path, allowed: Sequence[str]) -> list[str]:
    """What was made again of all that takes long, though nothing allows it."""
    after = lasting(study)
    return [
        path for path, number in before.items() if after.get(path) != number and not path.startswith(tuple(allowed))
    ]


def train_in_this_process(patched: pytest.MonkeyPatch) -> None:
    """Has `run` train here, as its child would, and draw one figure of nothing."""
    support.train_in_this_process(patched)
    patched.setattr("eval.report.files.drawn", lambda shown: {"overview.svg": b"<svg/>"})


@contextmanager
def mounted(path: Path, *options: str) -> Generator[Path]:
    """A file system mounted at a folder, and taken off again; the test is skipped where mounting is not permitted."""
    path.mkdir(parents=True, exist_ok=True)
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command")
    done = subprocess.run(["mount", *options, str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not permitted: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], capture_output=True, check=False)


def small_disk(path: Path, kilobytes: int) -> Any:
    """A disk of so many kB, in memory."""
    return mounted(path, "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs")


@contextmanager
def read_only(path: Path) -> Generator[None]:
    """A folder as on a read-only file system, which binds root as well."""
    with mounted(path, "--bind", str(path)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(path)], check=True)
        yield


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
