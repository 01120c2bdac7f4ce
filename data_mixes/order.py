"""The order in which rows are taken: a seeded hash of their stable id.

Taking the first n of this order makes 100 ⊂ 200 ⊂ 400 hold by construction, and rows or languages
added to a source never reshuffle the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def rank(identifier: str, seed: int) -> bytes:
    """The place of `identifier` among all ids, as a sort key."""
    return hashlib.sha256(f"{seed}\x00{identifier}".encode()).digest()


def in_seeded_order(identifiers: Iterable[str], seed: int) -> list[str]:
    """The identifiers sorted by their rank under `seed`."""
    return sorted(identifiers, key=lambda identifier: rank(identifier, seed))
