"""Ctrl-C, answered at once and obeyed soon, whatever the program is doing.

Python runs its own handler between two steps of the interpreter, and a single product of matrices can take minutes.
The kernel's signal also writes a byte to a pipe, and a thread that waits for it answers, and ends the process if
nothing else has by then. What is on disk is whole at any moment, so that nothing is lost by it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager

from harness.console import is_first_process, say
from harness.errors import INTERRUPTED

GRACE = 6.0
"""Seconds that a step has to end by itself after the first Ctrl-C."""
QUIET = "HARNESS_STARTED_BY_RUN"
"""Set for the training processes of `harness run`, which answers for them."""
STOPPED = "Stopped. What was finished is kept; the same command goes on from here."


@contextmanager
def answering_interrupts() -> Generator[None]:
    """Has the first Ctrl-C answered in words and obeyed within `GRACE` seconds, and the second at once."""
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread alone
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    ended = threading.Event()
    threading.Thread(target=_answer, args=(reading, ended), daemon=True, name="answers Ctrl-C").start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        os.close(writing)


def is_quiet() -> bool:
    """Whether another process answers for this one: `harness run`, or the first process of a launch."""
    return QUIET in os.environ or not is_first_process()


def _answer(reading: int, ended: threading.Event) -> None:
    """Waits for Ctrl-C, says so, and ends the process after the grace or at the next Ctrl-C."""
    with os.fdopen(reading, "rb", buffering=0) as signals:
        while (number := signals.read(1)) and number[0] != signal.SIGINT:
            pass
        if not number:
            return
        if not is_quiet():
            say(f"Stopping: the step under way has {GRACE:.0f} seconds to end. Ctrl-C again stops at once.")
        threading.Thread(target=_end_after_grace, args=(ended,), daemon=True).start()
        while (number := signals.read(1)) and number[0] != signal.SIGINT:
            pass
        if number:
            _end()


def _end_after_grace(ended: threading.Event) -> None:
    if not ended.wait(GRACE):
        _end()


def _end() -> None:
    if not is_quiet():
        say(STOPPED)
    os._exit(INTERRUPTED)
