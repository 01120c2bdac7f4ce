"""One process at a time, or the user's mistake: see `data_mixes.holds` for how something is held."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from data_mixes.holds import holding, waiting_to_hold
from harness.errors import Problem, UserError


@contextmanager
def locked(path: Path, wait: bool = False) -> Generator[None]:
    """Holds the lock file; waits for it, or raises UserError naming the process that holds it."""
    if wait:
        with waiting_to_hold(path):
            yield
        return
    with holding(path) as other:
        if other is not None:
            message = f"in use by {other}; wait until it is done, or stop it"
            raise UserError([Problem(str(path.parent), message)])
        yield
