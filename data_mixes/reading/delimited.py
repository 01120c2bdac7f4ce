"""Fields between commas or tabs, read record by record, with quotes that are never closed detected."""

from __future__ import annotations

import csv
import sys
from collections import deque
from collections.abc import Iterable, Iterator

NOT_CLOSED = "a quoted field is not closed"
"""Why a line is no record."""


class Lines(Iterator[str]):
    """The lines of a file, with those of the current record at hand so that they can be given back."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._returned: deque[str] = deque()
        self.record: list[str] = []
        """The lines taken since the last record began."""
        self.number = 0
        """The number of the last line taken, from 1."""
        self.ended = False

    def __next__(self) -> str:
        try:
            line = self._returned.popleft() if self._returned else next(self._lines)
        except StopIteration:
            self.ended = True
            raise
        self.record.append(line)
        self.number += 1
        return line

    def give_back(self, lines: list[str]) -> None:
        """Makes these lines, the last ones taken, the next ones."""
        self._returned.extendleft(reversed(lines))
        self.number -= len(lines)
        self.ended = False


def records(lines: Iterable[str], delimiter: str, quoted: bool = True) -> Iterator[tuple[int, list[str] | None]]:
    """Yields the last line of each record and its fields, quoted as in RFC 4180.

    A quote that is never closed would make one field of all lines that follow. Its record is yielded as
    None with its first line, and reading goes on with the line after it.
    """
    csv.field_size_limit(sys.maxsize)
    source = Lines(lines)
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    while not source.ended:
        for fields in csv.reader(source, delimiter=delimiter, quoting=quoting):
            taken, source.record = source.record, []
            if quoted and (len(taken) > 1 or source.ended) and not is_one_record(taken, delimiter):
                source.give_back(taken[1:])
                yield source.number, None
                break  # the reader may be inside the field still
            yield source.number, fields
            if source.ended:
                break


def is_one_record(lines: list[str], delimiter: str) -> bool:
    """Whether the lines are one record whose quotes are closed, with nothing between a closing quote and the comma."""
    try:
        return len(list(csv.reader(lines, delimiter=delimiter, strict=True))) == 1
    except csv.Error:
        return False


def is_quoted(lines: Iterable[str], delimiter: str) -> bool:
    """Whether a file quotes its fields, as pandas and Python's csv module write it.

    It does if every record is well formed when read with quotes, and some need them to be: a quote is doubled, a
    field holds a line break or a delimiter, every field of the first line is in quotes, or every field of a column.
    """
    source = Lines(lines)
    needed, width = False, 0
    in_quotes: set[int] | None = None
    try:
        for number, fields in enumerate(csv.reader(source, delimiter=delimiter, strict=True)):
            taken, source.record = "".join(source.record).rstrip("\r\n"), []
            width = width or len(fields)
            as_they_are = taken.split(delimiter)
            needed |= '""' in taken or "\n" in taken
            needed |= len(fields) == width != len(as_they_are)
            quoted = {column for column, text in enumerate(as_they_are) if len(text) > 1 and text[0] == text[-1] == '"'}
            needed |= number == 0 and len(quoted) == len(fields)
            if number:
                in_quotes = quoted if in_quotes is None else in_quotes & quoted
    except csv.Error:
        return False
    return needed or bool(in_quotes)
