"""The rows of a mixture in training order: where each row is stored, and how to read them in that order.

In memory a row is a few numbers; its text stays on disk. To read ten million rows in order, each
pool is read once from front to back, its rows are distributed to buckets by their position in
training, and the buckets are sorted in memory one after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_mixes.ahead import ahead
from data_mixes.example import SCHEMA, Example, from_table
from data_mixes.order import Keys, mixed
from data_mixes.source import Pool

BUCKET = 65_536
MOST_BUCKETS = 256
POSITION = "position in training"


@dataclass(frozen=True, eq=False)
class Rows(Sequence[Example]):
    """Rows in training order: row i is the one at `place[i]` of `pools[pool[i]]`."""

    pools: tuple[Pool, ...]
    pool: NDArray[np.uint16]
    place: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.pool)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return list(self.take(np.arange(len(self))[index]))
        return self.pools[int(self.pool[index])].examples([int(self.place[index])])[0]

    def __iter__(self) -> Iterator[Example]:
        for table in self.tables():
            yield from from_table(table)

    @cached_property
    def keys(self) -> Keys:
        """Each row's key; only repetitions of the same row share one."""
        keys = np.empty(len(self), dtype=np.uint64)
        for index, pool in enumerate(self.pools):
            own = self.pool == index
            keys[own] = row_keys(pool, self.place[own])
        return keys

    @cached_property
    def languages(self) -> NDArray[np.str_]:
        """The language of each row's target."""
        return np.array([pool.language for pool in self.pools] or [""])[self.pool]

    def take(self, indices: NDArray[np.int64]) -> Rows:
        """The rows at these indices, which may repeat."""
        return Rows(self.pools, self.pool[indices], self.place[indices])

    def by_pool(self) -> Iterator[tuple[Pool, NDArray[np.int64], NDArray[np.int64]]]:
        """For every pool: the rows' positions in training and their places in the pool, places ascending."""
        for index, pool in enumerate(self.pools):
            positions = np.flatnonzero(self.pool == index)
            places = self.place[positions].astype(np.int64)
            order = np.argsort(places, kind="stable")
            yield pool, positions[order], places[order]

    def tables(self) -> Iterator[pa.Table]:
        """The rows as Arrow, in training order, some ten thousand at a time."""
        return ahead(self._tables())

    def _tables(self) -> Iterator[pa.Table]:
        if not len(self):
            return
        size = max(BUCKET, -(-len(self) // MOST_BUCKETS))
        if len(self) <= size:
            pieces = [piece for piece, _ in self._pieces()]
            yield in_order(pa.concat_tables(pieces))
            return
        with TemporaryDirectory(prefix="mixture-") as folder:
            files = self._write_buckets(Path(folder), size)
            for file in files:
                with pa.OSFile(str(file)) as opened, pa.ipc.open_stream(opened) as reader:
                    bucket = reader.read_all()
                file.unlink()
                yield in_order(bucket)

    def _pieces(self) -> Iterator[tuple[pa.Table, NDArray[np.int64]]]:
        """All rows in the order of their pools, each with its position in training."""
        for pool, positions, places in self.by_pool():
            start = 0
            for table in pool.tables(places):
                own = positions[start : start + table.num_rows]
                start += table.num_rows
                yield table.append_column(POSITION, pa.array(own)), own

    def _write_buckets(self, folder: Path, size: int) -> list[Path]:
        """Files of `size` rows each that follow one another in training, not ordered in themselves."""
        files = [folder / f"{number}.arrow" for number in range(-(-len(self) // size))]
        schema = SCHEMA.append(pa.field(POSITION, pa.int64()))
        sinks = [pa.OSFile(str(file), "wb") for file in files]
        writers = [pa.ipc.new_stream(sink, schema) for sink in sinks]
        for table, positions in ahead(self._pieces()):
            bucket = positions // size
            order = np.argsort(bucket, kind="stable")
            ends = np.cumsum(np.bincount(bucket, minlength=len(files)))
            sorted_table = table.take(pa.array(order)).combine_chunks()
            for writer, begin, end in zip(writers, (0, *ends), ends, strict=False):
                if end > begin:
                    writer.write_table(sorted_table.slice(begin, end - begin))
        for writer, sink in zip(writers, sinks, strict=True):
            writer.close()
            sink.close()
        return files


NO_ROWS = Rows((), np.empty(0, np.uint16), np.empty(0, np.uint32))


def places_by_pool(mixtures: Iterable[Rows]) -> list[tuple[Pool, NDArray[np.int64]]]:
    """The places that any of these mixtures takes of each pool, ascending, each once."""
    pools: dict[str, Pool] = {}
    taken: dict[str, NDArray[np.bool_]] = {}
    for rows in mixtures:
        for index, pool in enumerate(rows.pools):
            pools[pool.name] = pool
            taken.setdefault(pool.name, np.zeros(len(pool), dtype=np.bool_))[rows.place[rows.pool == index]] = True
    return [(pool, np.flatnonzero(taken[name])) for name, pool in pools.items()]


def row_keys(pool: Pool, places: NDArray[np.uint32] | NDArray[np.int64]) -> Keys:
    """The keys of rows: of their item and of the variant that makes them differ from its translations."""
    return mixed(pool.items[places], f"variant {pool.variant}")


def in_order(table: pa.Table) -> pa.Table:
    """A bucket's rows in the order of their positions."""
    order = np.argsort(table[POSITION].to_numpy(), kind="stable")
    return table.drop_columns([POSITION]).combine_chunks().take(pa.array(order))
