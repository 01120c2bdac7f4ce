"""Tables that the user names, in any kind of file that sources are read from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl

from data_mixes.reading.records import NOT_UTF8, FileError, place_word, plain_suffix, read_records
from data_mixes.reading.streams import at_hand
from harness.errors import Problem, UserError


def read_table(path: Path) -> pl.DataFrame:
    """A table of a file's rows; in CSV and TSV all is text until numbers are wanted, and empty fields are missing.

    NaN is missing too. Raises UserError for a file that cannot be read, or has a row that is none.
    """
    try:
        with at_hand(path) as file:
            return whole_table(file)
    except FileError as error:
        raise UserError([Problem("", str(error))]) from None
    except OSError as error:
        raise UserError([Problem(str(error.filename or path), error.strerror or str(error))]) from None


def whole_table(file: Path) -> pl.DataFrame:
    """The table. Raises FileError."""
    if plain_suffix(file) == ".parquet" and file.is_file():
        return parquet(file)
    columns: dict[str, list[Any]] = {}
    for count, (_, place, row) in enumerate(read_records(file)):
        if isinstance(row, str):
            raise FileError(f"{file}: {place_word(file)} {place}: {row}")
        for name, value in row.items():
            values = columns.setdefault(name, [None] * count)
            values.append(None if is_missing(value) else checked(file, place, value))
        for values in columns.values():
            if len(values) == count:
                values.append(None)
    if not columns:
        raise FileError(f"{file}: the file is empty")
    return pl.DataFrame([column(name, values) for name, values in columns.items()])


def parquet(file: Path) -> pl.DataFrame:
    """A Parquet file's table, NaN as missing."""
    try:
        table = pl.read_parquet(file)
    except pl.exceptions.PolarsError as error:
        raise FileError(f"{file}: not a Parquet file: {' '.join(str(error).split())[:200]}") from None
    return table.with_columns(pl.selectors.float().fill_nan(None))


def is_missing(value: Any) -> bool:
    """Whether a value stands for none."""
    return value == "" or (isinstance(value, float) and math.isnan(value))


def checked(file: Path, place: int, value: Any) -> Any:
    """A value, if text valid. Raises FileError, naming its line, for bytes that are not UTF-8."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise FileError(f"{file}: {place_word(file)} {place} {NOT_UTF8}") from None
    return value


def column(name: str, values: list[Any]) -> pl.Series:
    """A column; values of several kinds, numbers aside, become text."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) > 1 and not kinds <= {int, float}:
        values = [None if value is None else str(value) for value in values]
    return pl.Series(name, values, strict=False)
