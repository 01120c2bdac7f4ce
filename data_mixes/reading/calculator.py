"""The marks for a calculator in GSM8K's rationales and what was made of them: "48/2 = <<48/2=24>>24"."""

from __future__ import annotations

import pyarrow as pa

from data_mixes.arrow import compute


def without_calculator_marks(table: pa.Table, column: str) -> pa.Table:
    """The table with the marks left out of a column."""
    cleaned = compute.replace_substring_regex(table[column], r"<<[^<>]*>>", "")
    return table.set_column(table.column_names.index(column), column, cleaned)
