"""Standard input and pipes as files, their kind told from what they begin with."""

from __future__ import annotations

import gzip
import io
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

STANDARD_INPUT = Path("-")
BEGINNINGS = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}
"""How packed files begin."""
HEAD = 1 << 16


@contextmanager
def at_hand(path: Path) -> Generator[Path]:
    """A path that can be read more than once, with a suffix that says of what kind the file is.

    What comes from standard input ("-") or a pipe is kept in a temporary file until the block ends.
    """
    if path != STANDARD_INPUT and not path.is_fifo():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "input"
        with sys.stdin.buffer if path == STANDARD_INPUT else path.open("rb") as given, kept.open("wb") as file:
            shutil.copyfileobj(given, file)
        yield kept.rename(Path(folder) / f"{'stdin' if path == STANDARD_INPUT else path.name}{suffix_of(kept)}")


def suffix_of(path: Path) -> str:
    """The suffix that fits what a file begins with: .json.gz, .jsonl, .csv."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    packed = next((suffix for start, suffix in BEGINNINGS.items() if head.startswith(start)), "")
    if packed == ".gz":
        with gzip.open(path, "rb") as unpacked:
            head = unpacked.read(HEAD)
    elif packed:
        stream: Any = pa.input_stream(str(path), compression="zstd")
        with io.BufferedReader(stream) as unpacked:
            head = unpacked.read(HEAD)
    return kind_of(head) + packed


def kind_of(head: bytes) -> str:
    """The kind of a file that begins so: JSON lines begin with an object, arrays with [, tables with a header."""
    if head.startswith(b"PAR1"):
        return ".parquet"
    text = head.decode("utf-8-sig", errors="replace").lstrip()
    if text.startswith(("[", "{")):
        return ".json" if text.startswith("[") else ".jsonl"
    return ".tsv" if "\t" in text.partition("\n")[0] else ".csv"
