"""Files as tables of text, with the line of every row: what sources are made of."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_mixes.arrow import TEXT, compute
from data_mixes.reading.records import BATCH, FileError, Record, place_word, plain_suffix, read_records, require
from data_mixes.source import Drops, SourceError

LINE, PLACE = "@line", "@place"
"""Columns added to every file: the number of the row, for files that are parallel by it, and the row's line."""


def read_file(source: str, path: Path, columns: Sequence[str], header: bool, drops: Drops) -> Iterator[pa.Table]:
    """The columns of a file as strings (nested values as JSON), and LINE, some thousand rows at a time.

    Lines that are not rows are counted in `drops`. Raises SourceError for a file that cannot be read, is of
    another kind, or lacks a column.
    """
    names = [column for column in columns if column != LINE]
    try:
        if plain_suffix(path) == ".parquet":
            yield from parquet_as_text(path, names)
        else:
            yield from as_tables(path, names, read_records(path, names, header), drops)
    except FileError as error:
        raise SourceError(source, str(error)) from None


def places(path: Path) -> str:
    """What a row's number is put after to name it: "train.jsonl line"."""
    return f"{path.name} {place_word(path)}"


def parquet_as_text(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """A Parquet file's columns, row group by row group, never as Python values. Raises FileError."""
    try:
        with pq.ParquetFile(path) as file:
            require(path, columns, file.schema_arrow.names)
            start = 1
            for group in range(file.num_row_groups):  # read in one go, the rows of all groups would stay in memory
                for batch in file.iter_batches(batch_size=4 * BATCH, row_groups=[group], columns=list(columns)):
                    yield as_text(pa.Table.from_batches([batch]), start)
                    start += batch.num_rows
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from None
    except pa.ArrowInvalid as error:
        raise FileError(f"{path}: not a Parquet file of text: {' '.join(str(error).split())[:200]}") from None


def as_tables(path: Path, columns: Sequence[str], rows: Iterator[Record], drops: Drops) -> Iterator[pa.Table]:
    """Rows as tables; those that are none, and those with text that is not Unicode, are dropped."""
    while chunk := list(islice(rows, BATCH)):
        kept: list[dict[str, str | None]] = []
        numbers: list[tuple[int, int]] = []
        for number, place, row in chunk:
            if isinstance(row, str):
                drops.add(row, [f"{places(path)} {place}"])
                continue
            values = {column: text_of(row.get(column)) for column in columns}
            try:
                "".join(filter(None, values.values())).encode()
            except UnicodeEncodeError:
                drops.add("not valid Unicode", [f"{places(path)} {place}"])
                continue
            kept.append(values)
            numbers.append((number, place))
        fields = {column: pa.array([row[column] for row in kept], TEXT) for column in columns}
        for name, part in ((LINE, 0), (PLACE, 1)):
            fields[name] = pa.array([pair[part] for pair in numbers], pa.int64())
        yield pa.table(fields)


def text_of(value: Any) -> str | None:
    """A JSON value as text, nested ones as JSON; None for NaN and infinity, which stand for missing values."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return json.dumps(value, ensure_ascii=False)


def as_text(table: pa.Table, start: int) -> pa.Table:
    """A table with every column as text, nested ones as JSON; rows are numbered from `start`."""
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table[name]
        nested = pa.types.is_nested(column.type)
        if pa.types.is_floating(column.type):
            column = compute.if_else(compute.is_finite(column), column, None)
        columns[name] = (
            pa.array([text_of(value) for value in column.to_pylist()], TEXT) if nested else compute.cast(column, TEXT)
        )
    numbers = pa.array(np.arange(start, start + table.num_rows))
    return pa.table({**columns, LINE: numbers, PLACE: numbers})
