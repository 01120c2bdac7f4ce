"""The order in which rows are taken: a seeded hash of their stable id.

Taking the first n of this order makes 100 ⊂ 200 ⊂ 400 hold by construction, and rows or languages
added to a source never reshuffle the rest. An id is hashed once to 64 bits, its *key*; from then on
only arrays of keys are handled, so ten million rows are ordered in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import xxhash
from numpy.typing import NDArray

Keys: TypeAlias = NDArray[np.uint64]


def key_of(identifier: str) -> int:
    """The 64-bit key of an id (XXH3)."""
    return xxhash.xxh3_64_intdigest(identifier.encode("utf-8", "surrogatepass"))


def keys_of(identifiers: Iterable[str]) -> Keys:
    """The keys of many ids."""
    return np.fromiter(map(key_of, identifiers), dtype=np.uint64)


def mixed(keys: Keys, salt: str) -> Keys:
    """New keys from keys; different salts give independent orders (the finaliser of SplitMix64, twice)."""
    mixing = keys ^ np.uint64(key_of(salt))
    for _ in range(2):
        mixing = (mixing ^ (mixing >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixing = (mixing ^ (mixing >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixing = mixing ^ (mixing >> np.uint64(31))
    return mixing


def seeded_order(keys: Keys, seed: int | str) -> NDArray[np.int64]:
    """The indices that sort `keys` under `seed`; the order of two keys depends on them alone."""
    return np.argsort(mixed(keys, f"order {seed}"), kind="stable")
