"""Where each of very many answers is, in some twenty bytes an answer."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

MERGED = 1 << 18
"""Keys that are held in a dictionary, at several times the memory, before they are sorted into the others."""


class Places:
    """A number for each key, that of the chunk with its answer; a key that is put again has the later number.

    Keys are told apart by 128 bits of a hash. All but the latest are in sorted arrays, which are never changed.
    """

    def __init__(self) -> None:
        self._high = self._low = np.empty(0, np.uint64)
        self._numbers = np.empty(0, np.uint32)
        self._latest: dict[tuple[int, int], int] = {}

    def put(self, keys: Iterable[str], number: int) -> None:
        """Notes where the answers to some keys are."""
        self._latest |= dict.fromkeys(map(halves, keys), number)
        if len(self._latest) >= MERGED:
            self._merge()

    def get(self, key: str) -> int | None:
        """Where the answer to a key is; None if it is not known of."""
        high, low = halves(key)
        if (number := self._latest.get((high, low))) is not None:
            return number
        place = int(self._high.searchsorted(np.uint64(high)))
        while place < len(self._high) and int(self._high[place]) == high:
            if int(self._low[place]) == low:
                return int(self._numbers[place])
            place += 1
        return None

    def copy(self) -> Places:
        """The same, to which nothing is added."""
        same = Places()
        same._high, same._low, same._numbers = self._high, self._low, self._numbers
        same._latest = dict(self._latest)
        return same

    def __len__(self) -> int:
        self._merge()
        return len(self._high)

    def _merge(self) -> None:
        latest = np.array(list(self._latest), np.uint64).reshape(-1, 2)
        high, low = (np.concatenate(pair) for pair in ((self._high, latest[:, 0]), (self._low, latest[:, 1])))
        numbers = np.concatenate((self._numbers, np.fromiter(self._latest.values(), np.uint32, len(latest))))
        order = np.lexsort((low, high))  # which keeps equals in their order
        high, low, numbers = high[order], low[order], numbers[order]
        last = last_of_equals(high, low)
        self._high, self._low, self._numbers = high[last], low[last], numbers[last]
        self._latest = {}


def last_of_equals(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of sorted keys are followed by another."""
    last = np.ones(len(high), np.bool_)
    last[:-1] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return last


def halves(key: str) -> tuple[int, int]:
    """128 bits of a key's hash, as two numbers."""
    high, low = struct.unpack("<QQ", hashlib.blake2b(key.encode(), digest_size=16).digest())
    return high, low
