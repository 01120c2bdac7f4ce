"""Answers on disk: chunks that are written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from data_mixes.storage import DamagedError, read_sealed, write_sealed
from eval.engines.engine import Completion, Likelihood
from eval.generation.requests import Keyed


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


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers that a study has, by the keys of its questions: read once, and added to as they come."""

    completions: dict[str, Completion]
    likelihoods: dict[str, Likelihood]

    @classmethod
    def read(cls, chunks: Chunks) -> Answers:
        """Those on disk."""
        return cls(dict(stored_completions(chunks.generations)), dict(stored_likelihoods(chunks.likelihoods)))

    def missing(self, asked: Sequence[Keyed]) -> int:
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


def stored_completions(folder: Path) -> Iterator[tuple[str, Completion]]:
    """Key and completion of every chunk in the folder."""
    for key, row in stored_rows(folder):
        yield key, Completion.of(row)


def stored_likelihoods(folder: Path) -> Iterator[tuple[str, Likelihood]]:
    """Key and log-probabilities of every chunk in the folder."""
    for key, row in stored_rows(folder):
        yield key, Likelihood.of(row)


def stored_rows(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Key and answer of every chunk in the folder; a damaged chunk has none, and so is generated again."""
    for file in sorted(folder.glob("*.jsonl")):
        yield from rows_of(file) or ()


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
