"""The analyze stage: a long table of scores from anywhere to curves, gaps and plateaus."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from eval.analysis.long_tables import Columns, TableError, analyse
from eval.analysis.summary import LanguageGroups
from harness.console import say
from harness.errors import Problem, UserError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
READERS = {".csv": pl.read_csv, ".tsv": pl.read_csv, ".parquet": pl.read_parquet, ".jsonl": pl.read_ndjson}


def analyze_table(file: Path, columns: Columns, groups: LanguageGroups) -> list[dict[str, Any]]:
    """The analysis of each group of rows. Raises UserError for a file or columns that cannot be used."""
    problems = group_problems(groups) + stages_problems(columns.stages, groups)
    if problems:
        raise UserError(problems)
    table = read_table(file)
    if columns.item is None and "item" in table.columns:
        columns = replace(columns, item="item")
    try:
        found = analyse(table, columns, groups)
    except TableError as error:
        raise UserError([Problem(str(file), problem) for problem in error.problems]) from None
    left_out = set(table[columns.language].drop_nulls().cast(pl.String)) - set(groups.all)
    if left_out:
        say(f"left out, being neither seen nor unseen: {' '.join(sorted(left_out))}")
    return found


def group_problems(groups: LanguageGroups) -> list[Problem]:
    """Languages that are both seen and unseen, or none that is seen beside the pivot."""
    problems = [
        Problem("--unseen", f"{language!r} is also in --seen; keep it in one")
        for language in groups.unseen
        if language in groups.seen
    ]
    if not groups.means().get("seen"):
        problems.append(Problem("--seen", f"names no language beside {groups.pivot!r}; name those trained on"))
    return problems


def stages_problems(stages: Sequence[str], groups: LanguageGroups) -> list[Problem]:
    """Stages in languages that are not among those analysed, or in one twice."""
    problems = [Problem("--stages", f"{language!r} is neither in --seen nor in --unseen")
                for language in dict.fromkeys(stages) if language not in groups.all]  # fmt: skip
    if len(set(stages)) < len(stages):
        problems.append(Problem("--stages", "a language is there twice; each stage trains on one of its own"))
    return problems


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
