"""Limits of time and memory for code that comes with a model, such as a chat template."""

from __future__ import annotations

import resource
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def within_seconds(seconds: float, error: Exception) -> Generator[None]:
    """Raises the error in a block that has used so many seconds of processor time; in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():  # signals reach no other
        yield
        return

    def ring(number: int, frame: object) -> None:
        raise error

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def within_memory(more: int) -> Generator[None]:
    """Has a block that takes so many bytes more than the process has now end in a MemoryError, where Linux can tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + more
    limited = limit if soft == resource.RLIM_INFINITY else min(limit, soft)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (limited, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
