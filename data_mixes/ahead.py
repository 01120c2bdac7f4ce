"""Reading ahead: the next item is prepared while the current one is processed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yields the items in order; a thread prepares the next one while the caller uses the current one."""
    nothing: Any = object()
    iterator = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, iterator, nothing)
        while (item := coming.result()) is not nothing:
            coming = thread.submit(next, iterator, nothing)
            yield item
