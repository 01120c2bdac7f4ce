"""Files as records, one by one: JSON lines, JSON arrays, CSV, TSV and Parquet, packed or not."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from data_mixes.reading.arrays import TooLongError, array_items, lines_of
from data_mixes.reading.delimited import NOT_CLOSED, is_quoted, records

BATCH = 16_384
PACKED = (".gz", ".zst")
NO_OBJECT = "not a JSON object"
NOT_UTF8 = "is not UTF-8 text; save it as UTF-8"
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""How files begin that some programs for Windows write."""


class FileError(ValueError):
    """A file that cannot be read, is of another kind, or lacks a column; the message names it."""


class Record(NamedTuple):
    """A row of a file, or what is there in its stead."""

    number: int
    """Of the row: its line in JSON lines; in other files rows are counted from 1, without the header."""
    place: int
    """What the user finds it by: a line, or in an array or a Parquet file a row."""
    row: dict[str, Any] | str
    """Its values by column, or why there is no row."""


def place_word(path: Path) -> str:
    """What `place` counts in a file of this name."""
    return "row" if plain_suffix(path) in (".json", ".parquet") else "line"


def plain_suffix(path: Path) -> str:
    """The end of a file's name that says of what kind it is, whether it is packed or not."""
    plain = path.with_suffix("") if path.suffix.lower() in PACKED else path
    return plain.suffix.lower()


def read_records(path: Path, needed: Sequence[str] = (), header: bool = True) -> Iterator[Record]:
    """The rows of a file in their order.

    `needed` names the columns that it must have; without it, no two columns may be called alike.
    Values are as JSON and Parquet have them; in CSV and TSV all are text. Without a header, the columns of those are
    "1", "2" and so on. Raises FileError.
    """
    reader = READERS.get(plain_suffix(path))
    if reader is None:
        got = f"a {plain_suffix(path)} file" if plain_suffix(path) else "a file without a suffix"
        raise FileError(f"{path}: got {got}; allowed: {', '.join(READERS)}")
    if path.exists() and not path.is_file():  # to open a pipe or a device could last for ever
        raise FileError(f"cannot read {path}: it is no regular file")
    try:
        yield from reader(path, needed, header)
    except UnicodeDecodeError:
        raise FileError(f"{path} {NOT_UTF8}") from None
    except TooLongError as error:
        raise FileError(f"{path}: {error}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    except pa.ArrowInvalid as error:
        raise FileError(f"{path}: not a Parquet file: {' '.join(str(error).split())[:200]}") from None


def json_lines(path: Path, needed: Sequence[str], header: bool) -> Iterator[Record]:
    """A JSON object per line; blank lines are passed over."""

    def rows() -> Iterator[Record]:
        with opened(path) as file:
            for number, line in enumerate(lines_of(file), 1):
                if line.strip():
                    yield Record(number, number, as_row(parsed(line)))

    return with_columns(path, needed, rows())


def parsed(line: str) -> Any:
    """A line's JSON; None if it holds none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def as_row(value: Any) -> dict[str, Any] | str:
    """A JSON value if it is an object, or that it is none."""
    return value if isinstance(value, dict) else NO_OBJECT


def json_array(path: Path, needed: Sequence[str], header: bool) -> Iterator[Record]:
    """One JSON array of objects, as ShareGPT files are, read object by object."""

    def rows() -> Iterator[Record]:
        with opened(path, errors="strict") as file:
            for number, value in enumerate(array_items(file), 1):
                yield Record(number, number, as_row(value))

    try:
        yield from with_columns(path, needed, rows())
    except (FileError, TooLongError, UnicodeDecodeError):
        raise
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        message = f"{path}: not an array of JSON objects ({reason}); name a file of JSON lines .jsonl"
        raise FileError(message) from None


def comma_separated(path: Path, needed: Sequence[str], header: bool) -> Iterator[Record]:
    """A CSV file, with fields quoted as in RFC 4180."""
    return separated(path, needed, header, ",", quoted=True)


def tab_separated(path: Path, needed: Sequence[str], header: bool) -> Iterator[Record]:
    """A TSV file; quotes around fields are undone where the whole file is written with them, else kept as text."""
    with opened(path) as file:
        quoted = is_quoted(lines_of(file), "\t")
    return separated(path, needed, header, "\t", quoted)


def separated(path: Path, needed: Sequence[str], header: bool, delimiter: str, quoted: bool) -> Iterator[Record]:
    """Fields between delimiters."""
    with opened(path) as file:
        lines = records(lines_of(file), delimiter, quoted)
        first_line, first = next(lines, (1, []))
        if first is None:
            raise FileError(f"{path} line {first_line}: {NOT_CLOSED}")
        names = first if header else [str(number) for number in range(1, len(first) + 1)]
        require(path, needed or filter(None, names), names)
        if not header and first:
            yield Record(1, first_line, dict(zip(names, first, strict=True)))
        for number, (line, fields) in enumerate(lines, 1 if header else 2):
            if fields is None:
                yield Record(number, line, NOT_CLOSED)
            elif len(fields) == len(names):
                yield Record(number, line, dict(zip(names, fields, strict=True)))
            elif fields:
                yield Record(number, line, f"{len(fields)} fields instead of {len(names)}")


def parquet(path: Path, needed: Sequence[str], header: bool) -> Iterator[Record]:
    """A Parquet file, row group by row group."""
    with pq.ParquetFile(path) as file:
        require(path, needed, file.schema_arrow.names)
        groups = range(file.num_row_groups)  # read in one go, the rows of all groups would stay in memory
        batches = (batch for group in groups for batch in file.iter_batches(batch_size=BATCH, row_groups=[group]))
        rows = (row for batch in batches for row in batch.to_pylist())
        for number, row in enumerate(rows, 1):
            yield Record(number, number, row)


READERS: dict[str, Callable[[Path, Sequence[str], bool], Iterator[Record]]] = {
    ".jsonl": json_lines,
    ".json": json_array,
    ".csv": comma_separated,
    ".tsv": tab_separated,
    ".parquet": parquet,
}


def opened(path: Path, errors: str = "surrogateescape") -> IO[str]:
    """A text file, unpacked if it is packed; by default bytes that are not UTF-8 become lone surrogates."""
    file = unpacked(path)
    encoding = "utf-16" if file.peek(2)[:2] in UTF16 else "utf-8-sig"
    return io.TextIOWrapper(file, encoding=encoding, errors=errors, newline="")


def unpacked(path: Path) -> Any:
    """A file's bytes, buffered, unpacked if its name says that it is packed."""
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rb")
    if path.suffix.lower() == ".zst":
        stream: Any = pa.input_stream(str(path), compression="zstd")
        return io.BufferedReader(stream)
    return path.open("rb")


def with_columns(path: Path, needed: Sequence[str], rows: Iterator[Record]) -> Iterator[Record]:
    """The rows of a file that has no header, once its first ones have shown that the needed columns are there."""
    first = list(islice(rows, BATCH)) if needed else []
    names = list(dict.fromkeys(name for record in first if isinstance(record.row, dict) for name in record.row))
    if any(isinstance(record.row, dict) for record in first):
        require(path, needed, names)
    yield from first
    yield from rows


def require(path: Path | str, columns: Iterable[str], there: Sequence[str]) -> None:
    """Raises FileError if a column is missing, with those that are there, or is there twice."""
    wanted = list(dict.fromkeys(columns))
    missing = [column for column in wanted if column not in there]
    if missing and len(there) == 1 and ";" in there[0]:
        raise FileError(f"{path}: its columns seem to be separated by ';'; save it with commas")
    if missing:
        names = ", ".join(map(repr, missing))
        raise FileError(f"{path} has no column {names}; its columns are: {', '.join(there) or 'none'}")
    if twice := [column for column in wanted if there.count(column) > 1]:
        raise FileError(f"{path} has two columns called {twice[0]!r}; rename one")
