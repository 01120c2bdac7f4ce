"""Sources in the user's own files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from data_mixes.example import Split
from data_mixes.reading.readers import places, read_file
from data_mixes.reading.records import plain_suffix
from data_mixes.reading.table import LANGUAGE, Columns, TableSource
from data_mixes.source import Drops, SourceError
from data_mixes.storage import sha256_of

READING = {".csv": 2, ".json": 2, ".tsv": 3}
"""How often the reading of a kind of file has changed so that its rows may be others."""


class FileSource(TableSource):
    """Files by split; a path may hold {language}, else a column says it or there is only one."""

    def __init__(
        self,
        name: str,
        task: str,
        languages: tuple[str, ...],
        files: Mapping[Split, str],
        columns: Columns,
        header: bool = True,
    ) -> None:
        self.name, self.task, self.languages = name, task, languages
        self.columns, self.header = columns, header
        self.files = dict(files)
        self.exemplars = "validation" if "validation" in files else "train"

    def has(self, split: Split) -> bool:
        """Whether there are files for a split."""
        return split in self.files

    @property
    def apart(self) -> bool:
        """Whether every path holds {language}."""
        return all(LANGUAGE in path for path in self.files.values())

    def read(self, split: Split, languages: Sequence[str], drops: Drops) -> Iterator[tuple[str | None, str, pa.Table]]:
        """The rows of a split's files."""
        for language, path in self.paths(split, languages):
            for table in read_file(self.name, path, self.reads, self.header, drops):
                yield language, places(path), table

    def paths(self, split: Split, languages: Sequence[str]) -> list[tuple[str | None, Path]]:
        """The files of a split, each with its language where the path names it."""
        if split not in self.files:
            return []
        pattern = self.files[split]
        if LANGUAGE in pattern:
            return [(language, Path(pattern.replace(LANGUAGE, language))) for language in languages]
        return [(self.languages[0] if self.columns.language is None else None, Path(pattern))]

    def origin(self) -> str:
        """A hash of the files' contents."""
        digest = hashlib.sha256(str(self.header).encode())
        if anew := {READING[kind] for path in self.files.values() if (kind := plain_suffix(Path(path))) in READING}:
            digest.update(f"reading {max(anew)}".encode())
        for split in sorted(self.files):
            for language, path in self.paths(split, self.languages):
                try:
                    if path.exists() and not path.is_file():  # a pipe or a device could last for ever
                        raise OSError("it is no regular file")
                    content = sha256_of(path)
                except (OSError, ValueError) as error:  # ValueError: a NUL in a name
                    reason = getattr(error, "strerror", None) or error
                    raise SourceError(self.name, f"cannot read {path}: {reason}") from None
                digest.update(json.dumps([split, language, path.name, content]).encode())
        return digest.hexdigest()
