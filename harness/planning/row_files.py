"""Rows on disk, as token ids with labels: what training reads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa

from data_mixes.prompts import Rendering
from data_mixes.storage import DamagedError, sealed_file, verify
from harness.runs.job import IGNORED, ROW_SCHEMA

CHUNK = 2048


def write_rows(path: Path, rows: Iterator[tuple[Rendering, bool]]) -> None:
    """Token ids with labels on the completion, as Arrow, whole or not at all."""
    with (
        sealed_file(path) as unfinished,
        pa.OSFile(str(unfinished), "wb") as sink,
        pa.ipc.new_stream(sink, ROW_SCHEMA) as writer,
    ):
        while chunk := list(islice(rows, CHUNK)):
            ids = [row.prompt_ids + row.completion_ids for row, _ in chunk]
            labels = [row.labels if supervised else [IGNORED] * row.tokens for row, supervised in chunk]
            writer.write_table(pa.table([ids, labels], schema=ROW_SCHEMA))


def is_whole(path: Path) -> bool:
    """Whether a file exists and is unchanged since it was written."""
    try:
        verify(path)
    except (FileNotFoundError, DamagedError):
        return False
    return True
