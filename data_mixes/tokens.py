"""Rows as token ids: a row is tokenized once, however many cells, studies or runs use it.

Token ids are cached in SQLite under a hash of the example's content, in one file per tokenizer and prompt words.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from data_mixes.example import Example
from data_mixes.makers.maker import RESTORE
from data_mixes.mixture import Unit
from data_mixes.order import Keys, key_of
from data_mixes.prompt_words import RESTORE_TEXT
from data_mixes.prompts import Renderer, Rendering
from data_mixes.rows import Rows
from data_mixes.source import Pool

BATCH = 2048
TABLE = "CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, prompt BLOB, completion BLOB, cut INT)"
BETWEEN = "CREATE TABLE IF NOT EXISTS between_turns (key BLOB PRIMARY KEY, spans BLOB)"
"""Of rows with several supervised turns: the starts and ends of what lies between them."""
INSTEAD = "CREATE TABLE IF NOT EXISTS instead (key BLOB PRIMARY KEY, labels BLOB)"
"""Of rows in which other tokens are learned than are read: their places and these tokens."""
PATIENCE = 120.0
"""Seconds to wait while another process writes."""


@dataclass
class TokenStore:
    """A cache of renderings that makes the missing ones."""

    path: Path
    renderer: Renderer
    made: int = 0
    """How many rows this process has tokenized."""

    def render(self, examples: Sequence[Example]) -> list[Rendering]:
        """The examples as token ids, in their order. Raises PromptError."""
        return [
            rendering
            for start in range(0, len(examples), BATCH)
            for rendering in self._batch(examples[start : start + BATCH])
        ]

    def _batch(self, examples: Sequence[Example]) -> list[Rendering]:
        try:
            return self._stored_batch(examples)
        except sqlite3.OperationalError:  # it is locked, or there is no room
            raise
        except sqlite3.DatabaseError:  # damaged, or not a database: its contents are made again
            self.path.unlink(missing_ok=True)
            return self._stored_batch(examples)

    def _stored_batch(self, examples: Sequence[Example]) -> list[Rendering]:
        keys = [content_key(example) for example in examples]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=PATIENCE)) as store:
            store.execute(TABLE)
            store.execute(BETWEEN)
            store.execute(INSTEAD)
            store.execute("PRAGMA synchronous = OFF")
            known = dict(stored(store, keys))
            missing = {key: example for key, example in zip(keys, examples, strict=True) if key not in known}
            if missing:
                made = dict(zip(missing, self.renderer.render_all(list(missing.values())), strict=True))
                with store:
                    store.executemany("INSERT OR IGNORE INTO rows VALUES (?, ?, ?, ?)", map(packed, made.items()))
                    for table, name in (("between_turns", "between"), ("instead", "instead")):
                        pairs = [(key, array("i", chain(*getattr(row, name))).tobytes())
                                 for key, row in made.items() if getattr(row, name)]  # fmt: skip
                        store.executemany(f"INSERT OR IGNORE INTO {table} VALUES (?, ?)", pairs)
                self.made += len(made)
                known |= made
        return [known[key] for key in keys]


def content_key(example: Example) -> bytes:
    """A hash of everything in an example that its rendering depends on."""
    content: tuple[Any, ...] = (
        example.task, example.language, example.prompt_language, example.prompt, example.target, example.history
    )  # fmt: skip
    if example.conversation or example.system:
        content = (*content, "conversation", example.system)
    if example.spans:
        content = (*content, "spans", example.spans)
    if example.task == RESTORE:
        content = (*content, RESTORE_TEXT)
    return xxhash.xxh3_128_digest(json.dumps(content).encode())


def stored(store: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[bytes, Rendering]]:
    """The renderings there are."""
    marks = ",".join("?" * len(keys))
    between, instead = (
        {key: in_twos(array("i", held)) for key, held in
         store.execute(f"SELECT * FROM {table} WHERE key IN ({marks})", keys)}
        for table in ("between_turns", "instead")
    )  # fmt: skip
    for key, prompt, completion, cut in store.execute(f"SELECT * FROM rows WHERE key IN ({marks})", keys):
        ids = array("i", prompt).tolist(), array("i", completion).tolist()
        yield key, Rendering(*ids, cut, between.get(key, ()), instead.get(key, ()))


def in_twos(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Numbers that follow one another, in pairs."""
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def packed(entry: tuple[bytes, Rendering]) -> tuple[bytes, bytes, bytes, int]:
    """A rendering as the store keeps it."""
    key, rendering = entry
    return (
        key,
        array("i", rendering.prompt_ids).tobytes(),
        array("i", rendering.completion_ids).tobytes(),
        rendering.cut,
    )


@dataclass
class Lengths:
    """Lengths of the rows of one pool, filled in on demand; 0 supervised tokens means not measured yet."""

    tokens: NDArray[np.int64]
    supervised_tokens: NDArray[np.int64]
    cut: NDArray[np.int64]
    content: Keys
    """A hash of each row's token ids."""

    @classmethod
    def unknown(cls, rows: int) -> Lengths:
        """Lengths with no row measured yet."""
        tokens, supervised, cut = (np.zeros(rows, dtype=np.int64) for _ in range(3))
        return cls(tokens, supervised, cut, np.zeros(rows, dtype=np.uint64))

    def take(self, indices: NDArray[np.int64]) -> Lengths:
        """The lengths of some of the rows."""
        return Lengths(self.tokens[indices], self.supervised_tokens[indices], self.cut[indices], self.content[indices])


@dataclass
class Measures:
    """The lengths in tokens of pools' rows, each rendered when first asked for."""

    store: TokenStore
    _pools: dict[str, Lengths] = field(default_factory=dict[str, Lengths])

    def of(self, pool: Pool, places: NDArray[np.int64]) -> Lengths:
        """The lengths of the rows of a pool, measured at least at these places. Raises PromptError."""
        if pool.name not in self._pools:
            self._pools[pool.name] = Lengths.unknown(len(pool))
        known = self._pools[pool.name]
        missing = np.unique(places[known.supervised_tokens[places] == 0])
        for start in range(0, len(missing), BATCH):
            chosen = missing[start : start + BATCH]
            for place, row in zip(chosen, self.store.render(pool.examples(chosen)), strict=True):
                known.tokens[place] = row.tokens
                known.supervised_tokens[place] = row.supervised_tokens
                known.cut[place] = row.cut
                known.content[place] = key_of(repr((row.prompt_ids, row.completion_ids, *row.between, *row.instead)))
        return known

    def costs(self, pool: Pool, places: NDArray[np.int64], unit: Unit) -> NDArray[np.int64]:
        """The cost of the rows at the places, in tokens or supervised tokens."""
        lengths = self.of(pool, places)
        return (lengths.tokens if unit == "tokens" else lengths.supervised_tokens)[places]

    def rows(self, rows: Rows) -> Lengths:
        """The lengths of the rows of a mixture, in training order."""
        gathered = Lengths.unknown(len(rows))
        for pool, positions, places in rows.by_pool():
            lengths = self.of(pool, places)
            gathered.tokens[positions] = lengths.tokens[places]
            gathered.supervised_tokens[positions] = lengths.supervised_tokens[places]
            gathered.cut[positions] = lengths.cut[places]
            gathered.content[positions] = lengths.content[places]
        return gathered
