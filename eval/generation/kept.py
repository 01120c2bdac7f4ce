"""Answers on disk: chunks that are written whole or not at all."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from data_mixes.storage import DamagedError, checksums_of, read_sealed, write_sealed
from eval.engines.engine import Completion, Likelihood
from eval.generation.places import Places
from eval.generation.requests import Keyed

AnyAnswer = TypeVar("AnyAnswer", Completion, Likelihood)
MOST_OPENED = 4
"""Chunks that are held at a time."""


class Chunks(Protocol):
    """Where finished chunks of answers are kept."""

    @property
    def generations(self) -> Path:
        """The folder of completions."""
        ...

    @property
    def likelihoods(self) -> Path:
        """The folder of log-probabilities."""
        ...


class Kept(Mapping[str, AnyAnswer]):
    """The answers in a folder of chunks, by the keys of their questions.

    What is held of an answer is where it is, so that there may be more of them than memory holds; a few chunks are held
    whole, as those who read go from one to the next.
    """

    def __init__(self, folder: Path, read: Callable[[Mapping[str, Any]], AnyAnswer]) -> None:
        """Those on disk; a damaged chunk has none, and so is answered again."""
        self.folder, self._read = folder, read
        self._files: list[Path] = []
        self._checksums: list[str] = []
        self._places = Places()
        self._opened: dict[int, dict[str, dict[str, Any]]] = {}
        for file in sorted(folder.glob("*.jsonl")):
            self.add(file)

    def add(self, file: Path) -> int | None:
        """Takes the answers of one more chunk, and returns how many; None for one that is not there, or damaged."""
        rows = rows_of(file)
        if rows is None:
            return None
        self._places.put((key for key, _ in rows), len(self._files))
        self._files.append(file)
        self._checksums.append(next(iter(checksums_of(file)), ""))
        return len(rows)

    def keep(self, answers: Mapping[str, Completion | Likelihood]) -> None:
        """Writes a chunk of answers, and takes them."""
        store_chunk(self.folder, answers)
        self.add(chunk_file(self.folder, answers))

    def before_now(self) -> Kept[AnyAnswer]:
        """The answers that there are now, whatever is added."""
        same = copy.copy(self)
        same._places = self._places.copy()
        return same

    def checksum(self, key: str) -> str | None:
        """That of the chunk with an answer; None where there is no answer, or no checksum of it."""
        number = self._places.get(key)
        return None if number is None else self._checksums[number]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._places.get(key) is not None

    def __getitem__(self, key: str) -> AnyAnswer:
        number = self._places.get(key)
        if number is None:
            raise KeyError(key)
        return self._read(self._rows(number)[key])

    def __iter__(self) -> Iterator[str]:
        for number in range(len(self._files)):
            yield from (key for key in self._rows(number) if self._places.get(key) == number)

    def __len__(self) -> int:
        return len(self._places)

    def _rows(self, number: int) -> dict[str, dict[str, Any]]:
        if number not in self._opened:
            if len(self._opened) == MOST_OPENED:
                del self._opened[next(iter(self._opened))]
            self._opened[number] = dict(chunk_rows(self._files[number]))
        return self._opened[number]


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers that a study has, by the keys of its questions, and those that come."""

    completions: Kept[Completion]
    likelihoods: Kept[Likelihood]

    @classmethod
    def read(cls, chunks: Chunks) -> Answers:
        """Those on disk."""
        return cls(Kept(chunks.generations, Completion.of), Kept(chunks.likelihoods, Likelihood.of))

    def missing(self, asked: Iterable[Keyed]) -> int:
        """How many of the questions have no answer yet."""
        return sum(question.key not in self.completions and question.key not in self.likelihoods for question in asked)


def store_chunk(folder: Path, answers: Mapping[str, Completion | Likelihood]) -> None:
    """Writes a chunk's answers as one file, named by its content, whole or not at all."""
    text = "".join(
        json.dumps({"key": key} | asdict(answer), ensure_ascii=False) + "\n" for key, answer in answers.items()
    )
    write_sealed(chunk_file(folder, answers), text)


def chunk_file(folder: Path, keys: Iterable[str]) -> Path:
    """The file of a chunk with the answers to these questions."""
    return folder / f"{hashlib.sha256(''.join(keys).encode()).hexdigest()[:16]}.jsonl"


def rows_of(file: Path) -> list[tuple[str, dict[str, Any]]] | None:
    """As `chunk_rows`; None for a chunk that is not there, or damaged."""
    try:
        return chunk_rows(file)
    except (DamagedError, FileNotFoundError):
        return None


def chunk_rows(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """Key and answer of every line of a chunk. Raises DamagedError, FileNotFoundError."""
    try:
        lines = read_sealed(file).decode("utf-8").split("\n")
        if not lines or lines.pop():
            raise DamagedError(file, "its last line is cut off")
        rows = [json.loads(line) for line in lines]
        return [(str(row.pop("key")), row) for row in rows]
    except (UnicodeDecodeError, json.JSONDecodeError, AttributeError, KeyError, RecursionError):
        raise DamagedError(file, "it is not JSON lines with keys") from None
