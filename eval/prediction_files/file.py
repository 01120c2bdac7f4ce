"""A file of predictions as rows with known keys, whatever its columns are called; repeated ids are noted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_mixes.reading.records import Record, place_word, plain_suffix, read_records

LINE = "@line"
"""Stands for a column with the number of each row."""
KEYS = (
    "id",
    "language",
    "prediction",
    "prompt",
    "reference",
    "opponent",
    "source",
    "constraints",
    "instruction_id_list",
    "kwargs",
)
"""What rows of predictions may hold."""
LISTS = ("reference", "constraints", "instruction_id_list", "kwargs")
TEXT_ALONE = (".csv", ".tsv")
"""Kinds of files in which lists are written as JSON."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file."""

    line: int
    """Its line, or its number among the rows of an array or a Parquet file."""
    word: str
    """What `line` counts: lines or rows."""
    known: dict[str, Any]
    """What it holds, by KEYS."""
    others: dict[str, Any]
    """Its other columns."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be scored."""

    line: int
    id: Any
    problem: str
    language: str | None = None
    others: Mapping[str, Any] = field(default_factory=dict[str, Any])
    word: str = "line"

    def __str__(self) -> str:
        name = "" if self.id is None else f" (id {self.id!r})"
        return f"{self.word} {self.line}{name}: {self.problem}"


@dataclass(frozen=True, slots=True)
class PredictionFile:
    """A file of predictions, and what its columns are."""

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    """Key → the column that holds it, where they are not called alike."""
    group: tuple[str, ...] = ()
    """Columns that tell rows with the same id and language apart, such as the model."""

    def rows(self, needed: Sequence[str], repeats: Repeats | None = None) -> Iterator[Row | BadRow]:
        """The rows in their order, without those whose id and language were there before: `repeats` takes these.

        Raises FileError for a file that cannot be read or lacks a column that is needed.
        """
        columns = [self._column(key) for key in (*needed, *self.columns)]
        word, text_alone = place_word(self.path), plain_suffix(self.path) in TEXT_ALONE
        for record in read_records(self.path, [name for name in (*columns, *self.group) if name != LINE]):
            if isinstance(record.row, str):
                yield BadRow(record.place, None, record.row, word=word)
                continue
            row = Row(record.place, word, self._known(record, record.row, text_alone), self._others(record.row))
            if repeats is None or not repeats.again(self._identity(row), row.line):
                yield row

    def _column(self, key: str) -> str:
        return self.columns.get(key, key)

    def _known(self, record: Record, values: dict[str, Any], text_alone: bool) -> dict[str, Any]:
        known = {key: values.get(self._column(key)) for key in KEYS}
        if self._column("id") == LINE:
            known["id"] = record.number
        if text_alone:
            known |= {key: as_list(known[key]) for key in LISTS}
        return known

    def _others(self, values: dict[str, Any]) -> dict[str, Any]:
        taken = {self._column(key) for key in KEYS}
        return {name: value for name, value in values.items() if name not in taken}

    def _identity(self, row: Row) -> tuple[str, ...]:
        """What no two rows may have in common: id, language and group; nothing without an id."""
        if row.known["id"] in (None, ""):
            return ()
        language = str(row.known["language"]).replace("_", "-").lower()
        return (str(row.known["id"]), language, *(str(row.others.get(name)) for name in self.group))


@dataclass
class Repeats:
    """The lines of rows that have the same id, language and group."""

    first: dict[tuple[str, ...], int] = field(default_factory=dict[tuple[str, ...], int])
    lines: dict[tuple[str, ...], list[int]] = field(default_factory=dict[tuple[str, ...], list[int]])
    """All lines of those that are there more than once."""

    def again(self, identity: tuple[str, ...], line: int) -> bool:
        """Whether a row of this identity was there before; notes its line."""
        if not identity or self.first.setdefault(identity, line) == line:
            return False
        self.lines.setdefault(identity, [self.first[identity]]).append(line)
        return True


def as_list(text: Any) -> Any:
    """A field of CSV that holds a JSON list, as one; any other as it is."""
    if not isinstance(text, str) or not text.lstrip().startswith("["):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, list) else text
