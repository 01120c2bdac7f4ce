"""Sentences of treebanks in CoNLL-U, as Universal Dependencies has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data_mixes.reading.arrays import lines_of
from data_mixes.reading.records import FileError, opened

FIELDS = 10
ROOT = 0
"""The head of a word that depends on no other."""


@dataclass(frozen=True, slots=True)
class Word:
    """A syntactic word."""

    start: int
    """Where its text begins in the sentence's, in characters."""
    end: int
    part_of_speech: str
    """One of the 17 universal ones (UPOS)."""
    head: int
    """The number of the word that it depends on, from 1, or `ROOT`."""
    relation: str
    """The dependency relation without its subtype: nsubj, not nsubj:pass."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence with its analysis."""

    id: str
    """Equal for translations of a sentence in parallel treebanks."""
    text: str
    words: tuple[Word, ...]


def read_treebank(path: Path) -> Iterator[Sentence]:
    """The sentences of a file in CoNLL-U, packed with gzip or not. Raises FileError.

    The words of a contraction (French "du" as "de" and "le") share its characters. Empty nodes are left out.
    """
    try:
        with opened(path) as file:
            block: list[str] = []
            number = 0
            for number, line in enumerate(lines_of(file), 1):
                if line.strip():
                    block.append(line.rstrip("\r\n"))
                elif block:
                    yield sentence_of(block, path, number)
                    block = []
            if block:
                yield sentence_of(block, path, number)
    except (OSError, EOFError) as error:
        raise FileError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def sentence_of(block: list[str], path: Path, number: int) -> Sentence:
    """A sentence from its lines; what follows them is line `number` of the file. Raises FileError."""
    comments = [line[1:].strip().partition(" = ") for line in block if line.startswith("#")]
    names = [value for key, _, value in comments if key == "sent_id"]
    text = ""
    words: list[Word] = []
    inside, until = (0, 0), 0
    """The characters of the contraction that is open, and the number of its last word."""
    for line in (line for line in block if not line.startswith("#")):
        fields = line.split("\t")
        if len(fields) != FIELDS:
            raise FileError(f"{path}: the sentence before line {number} has {len(fields)} fields instead of {FIELDS}")
        name, form, _, part_of_speech, _, _, head, relation, _, miscellaneous = fields
        if "." in name:
            continue
        first, _, last = name.partition("-")
        within = not last and int(first) <= until
        if not within:
            inside = (len(text), len(text) + len(form))
            text += form + ("" if "SpaceAfter=No" in miscellaneous else " ")
        if last:
            until = int(last)
            continue
        try:
            words.append(Word(*inside, part_of_speech, int(head), relation.partition(":")[0]))
        except ValueError:
            raise FileError(f"{path}: the sentence before line {number} has {head!r} where a head should be") from None
    return Sentence(names[0] if names else "", text.rstrip(), tuple(words))
