"""One process at a time: locks that the kernel lets go of when their holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import Problem, UserError


@contextmanager
def locked(path: Path, wait: bool = False) -> Generator[None]:
    """Holds the lock file; waits for it, or raises UserError naming the process that holds it."""
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            message = f"in use by process {holder}; wait until it is done, or stop it"
            raise UserError([Problem(str(path.parent), message)]) from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
