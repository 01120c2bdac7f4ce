"""Files as tables of text: JSON lines, JSON, CSV, TSV and Parquet, with the line of every row."""

from __future__ import annotations

import csv
import gzip
import json
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

import ijson
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_mixes.arrow import TEXT, compute
from data_mixes.source import Drops, SourceError

LINE, PLACE = "@line", "@place"
"""Columns added to every file: the number of the row, for files that are parallel by it, and the row's line."""
BATCH = 16_384


def read_file(source: str, path: Path, columns: Sequence[str], header: bool, drops: Drops) -> Iterator[pa.Table]:
    """The columns of a file as strings (nested values as JSON), and LINE, some thousand rows at a time.

    Lines that are not rows are counted in `drops`. Raises SourceError for a file that cannot be read, is of
    another kind, or lacks a column.
    """
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    reader = READERS.get(plain.suffix.lower())
    if reader is None:
        raise SourceError(source, f"{path}: got a {plain.suffix or 'nameless'} file; allowed: {', '.join(READERS)}")
    try:
        yield from reader(source, path, [column for column in columns if column != LINE], header, drops)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(source, f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    except pa.ArrowInvalid as error:
        raise SourceError(source, f"{path}: not a Parquet file of text: {' '.join(str(error).split())[:200]}") from None


def parquet(source: str, path: Path, columns: Sequence[str], header: bool, drops: Drops) -> Iterator[pa.Table]:
    """A Parquet file, read row group by row group."""
    with pq.ParquetFile(path) as file:
        require(source, path, columns, file.schema_arrow.names)
        start = 1
        for group in range(file.num_row_groups):  # read in one go, the rows of all groups would stay in memory
            for batch in file.iter_batches(batch_size=4 * BATCH, row_groups=[group], columns=list(columns)):
                yield as_text(pa.Table.from_batches([batch]), start)
                start += batch.num_rows


def json_lines(source: str, path: Path, columns: Sequence[str], header: bool, drops: Drops) -> Iterator[pa.Table]:
    """A JSON object per line; other lines are dropped."""

    def rows() -> Iterator[tuple[int, int, dict[str, Any]]]:
        with opened(path) as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    row = None
                if isinstance(row, dict):
                    yield number, number, row
                else:
                    drops.add("not a JSON object", [f"{path.name} line {number}"])

    yield from from_dicts(source, path, columns, rows(), drops)


def json_array(source: str, path: Path, columns: Sequence[str], header: bool, drops: Drops) -> Iterator[pa.Table]:
    """One JSON array of objects, as ShareGPT files are, read object by object."""

    def rows() -> Iterator[tuple[int, int, dict[str, Any]]]:
        with unpacked(path) as file:
            for number, row in enumerate(ijson.items(file, "item", use_float=True), 1):
                if isinstance(row, dict):
                    yield number, number, row
                else:
                    drops.add("not a JSON object", [f"{path.name} row {number}"])

    with unpacked(path) as file:
        if file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"[", b""):
            raise SourceError(source, f"{path}: not an array of JSON objects; name a file of JSON lines .jsonl")
    try:
        yield from from_dicts(source, path, columns, rows(), drops)
    except ijson.JSONError as error:
        raise SourceError(source, f"{path}: not an array of JSON objects: {error}") from None


def separated(
    source: str, path: Path, columns: Sequence[str], header: bool, drops: Drops, delimiter: str
) -> Iterator[pa.Table]:
    """Fields between commas (quoted as in RFC 4180) or tabs (never quoted); without a header columns are "1", "2", …"""
    csv.field_size_limit(sys.maxsize)
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    with opened(path) as file:
        fields = csv.reader(file, delimiter=delimiter, quoting=quoting)
        first = next(fields, [])
        names = first if header else [str(number) for number in range(1, len(first) + 1)]
        require(source, path, columns, names)

        def rows() -> Iterator[tuple[int, int, dict[str, Any]]]:
            if not header and first:
                yield 1, 1, dict(zip(names, first, strict=True))
            for number, row in enumerate(fields, 1 if header else 2):
                if len(row) == len(names):
                    yield number, fields.line_num, dict(zip(names, row, strict=True))
                elif row:
                    where = f"{path.name} line {fields.line_num}"
                    drops.add(f"{len(row)} fields instead of {len(names)}", [where])

        yield from from_dicts(source, path, columns, rows(), drops)


def comma_separated(source: str, path: Path, columns: Sequence[str], header: bool, drops: Drops) -> Iterator[pa.Table]:
    """A CSV file."""
    return separated(source, path, columns, header, drops, ",")


def tab_separated(source: str, path: Path, columns: Sequence[str], header: bool, drops: Drops) -> Iterator[pa.Table]:
    """A TSV file."""
    return separated(source, path, columns, header, drops, "\t")


READERS: dict[str, Callable[[str, Path, Sequence[str], bool, Drops], Iterator[pa.Table]]] = {
    ".jsonl": json_lines,
    ".json": json_array,
    ".csv": comma_separated,
    ".tsv": tab_separated,
    ".parquet": parquet,
}


def unpacked(path: Path) -> Any:
    """The bytes of a file, unpacked if it is packed."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def opened(path: Path) -> IO[str]:
    """A text file; bytes that are not UTF-8 come out as lone surrogates, and their rows are dropped later."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def from_dicts(
    source: str, path: Path, columns: Sequence[str], rows: Iterator[tuple[int, int, dict[str, Any]]], drops: Drops
) -> Iterator[pa.Table]:
    """Rows as tables; those with text that is not Unicode are dropped."""
    first = True
    while chunk := list(islice(rows, BATCH)):
        if first:
            require(source, path, columns, list(dict.fromkeys(key for *_, row in chunk for key in row)))
            first = False
        kept: list[dict[str, str | None]] = []
        numbers: list[tuple[int, int]] = []
        for number, line, row in chunk:
            values = {column: text_of(row.get(column)) for column in columns}
            try:
                "".join(filter(None, values.values())).encode()
            except UnicodeEncodeError:
                drops.add("not valid Unicode", [f"{path.name} line {line}"])
                continue
            kept.append(values)
            numbers.append((number, line))
        fields = {column: pa.array([row[column] for row in kept], TEXT) for column in columns}
        for name, part in ((LINE, 0), (PLACE, 1)):
            fields[name] = pa.array([pair[part] for pair in numbers], pa.int64())
        yield pa.table(fields)


def text_of(value: Any) -> str | None:
    """A JSON value as text; nested ones as JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def as_text(table: pa.Table, start: int) -> pa.Table:
    """A table with every column as text, nested ones as JSON; rows are numbered from `start`."""
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table[name]
        nested = pa.types.is_nested(column.type)
        columns[name] = (
            pa.array([text_of(value) for value in column.to_pylist()], TEXT) if nested else compute.cast(column, TEXT)
        )
    numbers = pa.array(np.arange(start, start + table.num_rows))
    return pa.table({**columns, LINE: numbers, PLACE: numbers})


def require(source: str, path: Path | str, columns: Sequence[str], there: Sequence[str]) -> None:
    """Raises SourceError if a column is missing, with those that are there."""
    missing = [column for column in dict.fromkeys(columns) if column not in there]
    if missing:
        names = ", ".join(map(repr, missing))
        raise SourceError(source, f"{path} has no column {names}; its columns are: {', '.join(there) or 'none'}")
