"""Tables that the user names: CSV, TSV, Parquet or JSON lines."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl

from harness.errors import Problem, UserError

SEPARATORS = {".csv": ",", ".tsv": "\t"}


READERS = {".csv": pl.read_csv, ".tsv": pl.read_csv, ".parquet": pl.read_parquet, ".jsonl": pl.read_ndjson}


def read_table(file: Path) -> pl.DataFrame:
    """A table from a .csv, .tsv, .parquet or .jsonl file; numbers stay text until they are wanted. Raises UserError."""
    if file.suffix not in READERS:
        raise UserError([Problem(str(file), f"got {file.suffix!r}; a table is one of {', '.join(READERS)}")])
    if not file.is_file():
        raise UserError([Problem(str(file), "there is no such file")])
    try:
        if file.suffix in SEPARATORS:
            return pl.read_csv(file, separator=SEPARATORS[file.suffix], infer_schema=False)
        return READERS[file.suffix](file)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = first_bad_line(file) if file.suffix in SEPARATORS else None
        raise UserError([Problem(str(file), reason or " ".join(str(error).split())[:300])]) from None


def first_bad_line(file: Path) -> str | None:
    """What is wrong with the first line that is not UTF-8, or has more fields than the header; None if none is."""
    try:
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            rows = csv.reader(lines, delimiter=SEPARATORS[file.suffix])
            header = next(rows, [])
            for row in rows:
                if any("\udc80" <= letter <= "\udcff" for field in row for letter in field):
                    return f"line {rows.line_num} is not UTF-8 text; save the file as UTF-8"
                if len(row) > len(header):
                    return f"line {rows.line_num} has {len(row)} fields, the header {len(header)}"
    except (OSError, csv.Error):
        return None
    return None if header else "the file is empty"
