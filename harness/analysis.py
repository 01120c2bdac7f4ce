"""The analyze stage: a long table of scores from anywhere to curves, gaps and plateaus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from eval.tables import Columns, TableError, analyse
from eval.transfer import LanguageGroups
from harness.errors import Problem, UserError

READERS = {".csv": pl.read_csv, ".tsv": pl.read_csv, ".parquet": pl.read_parquet, ".jsonl": pl.read_ndjson}


def analyze_table(file: Path, columns: Columns, groups: LanguageGroups) -> list[dict[str, Any]]:
    """The analysis of each group of rows. Raises UserError for a file or columns that cannot be used."""
    table = read_table(file)
    if columns.item is None and "item" in table.columns:
        columns = Columns(columns.x, columns.group, columns.language, columns.score, "item")
    try:
        return analyse(table, columns, groups)
    except TableError as error:
        raise UserError([Problem(str(file), problem) for problem in error.problems]) from None


def read_table(file: Path) -> pl.DataFrame:
    """A table from a .csv, .tsv, .parquet or .jsonl file; numbers stay text until they are wanted. Raises UserError."""
    if file.suffix not in READERS:
        raise UserError([Problem(str(file), f"got {file.suffix!r}; a table is one of {', '.join(READERS)}")])
    try:
        if file.suffix in (".csv", ".tsv"):
            return pl.read_csv(file, separator="\t" if file.suffix == ".tsv" else ",", infer_schema=False)
        return READERS[file.suffix](file)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError([Problem(str(file), " ".join(str(error).split())[:300])]) from None
