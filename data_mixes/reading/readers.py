"""Files as tables of text: JSON lines, JSON, CSV, TSV and Parquet, with the line of every row."""

from __future__ import annotations

import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_mixes.arrow import TEXT, compute
from data_mixes.reading.delimited import NOT_CLOSED, is_quoted, records
from data_mixes.source import Drops, SourceError

LINE, PLACE = "@line", "@place"
"""Columns added to every file: the number of the row, for files that are parallel by it, and the row's line."""
BATCH = 16_384
PACKED = (".gz", ".zst")
CHARACTERS = 1 << 16
"""How much of a JSON array is read at a time."""
LONGEST_TOKEN = 16
"""Characters that may be missing at the end of a text for a token such as -Infinity or an escape to be complete."""
WHITE_SPACE = re.compile(r"[ \t\r\n]*")


def read_file(source: str, path: Path, columns: Sequence[str], header: bool, drops: Drops) -> Iterator[pa.Table]:
    """The columns of a file as strings (nested values as JSON), and LINE, some thousand rows at a time.

    Lines that are not rows are counted in `drops`. Raises SourceError for a file that cannot be read, is of
    another kind, or lacks a column.
    """
    plain = path.with_suffix("") if path.suffix in PACKED else path
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

    def rows(file: IO[str]) -> Iterator[tuple[int, int, dict[str, Any]]]:
        for number, row in enumerate(array_items(file), 1):
            if isinstance(row, dict):
                yield number, number, row
            else:
                drops.add("not a JSON object", [f"{path.name} row {number}"])

    try:
        with opened(path, errors="strict") as file:
            yield from from_dicts(source, path, columns, rows(file), drops)
    except UnicodeDecodeError:
        raise SourceError(source, f"{path} is not UTF-8 text; save it as UTF-8") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, SourceError):
            raise
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        message = f"{path}: not an array of JSON objects ({reason}); name a file of JSON lines .jsonl"
        raise SourceError(source, message) from None


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


def separated(
    source: str, path: Path, columns: Sequence[str], header: bool, drops: Drops, delimiter: str, quoted: bool
) -> Iterator[pa.Table]:
    """Fields between delimiters, quoted as in RFC 4180 or never; without a header columns are "1", "2", …"""
    with opened(path) as file:
        lines = records(file, delimiter, quoted)
        first_line, first = next(lines, (1, []))
        if first is None:
            raise SourceError(source, f"{path} line {first_line}: {NOT_CLOSED}")
        names = first if header else [str(number) for number in range(1, len(first) + 1)]
        require(source, path, columns, names)

        def rows() -> Iterator[tuple[int, int, dict[str, Any]]]:
            if not header and first:
                yield 1, first_line, dict(zip(names, first, strict=True))
            for number, (line, row) in enumerate(lines, 1 if header else 2):
                if row is None:
                    drops.add(NOT_CLOSED, [f"{path.name} line {line}"])
                elif len(row) == len(names):
                    yield number, line, dict(zip(names, row, strict=True))
                elif row:
                    drops.add(f"{len(row)} fields instead of {len(names)}", [f"{path.name} line {line}"])

        yield from from_dicts(source, path, columns, rows(), drops)


def comma_separated(source: str, path: Path, columns: Sequence[str], header: bool, drops: Drops) -> Iterator[pa.Table]:
    """A CSV file, with fields quoted as in RFC 4180."""
    return separated(source, path, columns, header, drops, ",", quoted=True)


def tab_separated(source: str, path: Path, columns: Sequence[str], header: bool, drops: Drops) -> Iterator[pa.Table]:
    """A TSV file; quotes around fields are undone where the whole file is written with them, else kept as text."""
    with opened(path) as file:
        quoted = is_quoted(file, "\t")
    return separated(source, path, columns, header, drops, "\t", quoted)


READERS: dict[str, Callable[[str, Path, Sequence[str], bool, Drops], Iterator[pa.Table]]] = {
    ".jsonl": json_lines,
    ".json": json_array,
    ".csv": comma_separated,
    ".tsv": tab_separated,
    ".parquet": parquet,
}


def opened(path: Path, errors: str = "surrogateescape") -> IO[str]:
    """A text file, unpacked if it is packed; by default bytes that are not UTF-8 become lone surrogates."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors=errors, newline="")
    if path.suffix == ".zst":
        unpacked: Any = pa.input_stream(str(path), compression="zstd")
        return io.TextIOWrapper(unpacked, encoding="utf-8-sig", errors=errors, newline="")
    return path.open(encoding="utf-8-sig", errors=errors, newline="")


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


def require(source: str, path: Path | str, columns: Sequence[str], there: Sequence[str]) -> None:
    """Raises SourceError if a column is missing, with those that are there."""
    missing = [column for column in dict.fromkeys(columns) if column not in there]
    if missing:
        names = ", ".join(map(repr, missing))
        raise SourceError(source, f"{path} has no column {names}; its columns are: {', '.join(there) or 'none'}")
