"""Ctrl-C, answered at once and obeyed soon, whatever the program is doing; and SIGTERM, which gives more time.

Python runs its own handler between two steps of the interpreter, and a single product of matrices can take minutes.
The kernel's signal also writes a byte to a pipe, and a thread that waits for it answers, and ends the process if
nothing else has by then. What is on disk is whole at any moment, so that nothing is lost by it. Clusters send SIGTERM
some 30 seconds before they take a machine back: training writes a checkpoint meanwhile.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn

from harness.console import is_first_process, say
from harness.errors import INTERRUPTED, TERMINATED, TerminatedError

GRACE = 6.0
"""Seconds that a step has to end by itself after the first Ctrl-C."""
LAST_SECONDS = 25.0
"""Seconds that a program has to end by itself after SIGTERM."""
QUIET = "HARNESS_STARTED_BY_RUN"
"""Set for the training processes of `harness run`, which answers for them."""
STOPPED = "Stopped. What was finished is kept; the same command goes on from here."
ANSWERS = {
    signal.SIGINT: f"Stopping: the step under way has {GRACE:.0f} seconds to end. Ctrl-C again stops at once.",
    signal.SIGTERM: f"Stopping, as SIGTERM asks: {LAST_SECONDS:.0f} seconds to write a checkpoint and to let go.",
}
"""What is said at once."""
STATUSES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
"""The exit status that comes of a signal."""


@contextmanager
def answering_interrupts() -> Generator[None]:
    """Has the first Ctrl-C answered in words and obeyed within `GRACE` seconds, and the second at once.

    SIGTERM raises TerminatedError, and ends the program after `LAST_SECONDS`.
    """
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread alone
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    handler = signal.signal(signal.SIGTERM, raise_terminated)
    hook, sys.unraisablehook = sys.unraisablehook, leave_interrupts_unsaid
    ended = threading.Event()
    threading.Thread(target=_answer, args=(reading, ended), daemon=True, name="answers Ctrl-C").start()
    try:
        yield
    finally:
        ended.set()
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, handler)
        signal.set_wakeup_fd(before)
        os.close(writing)


def raise_terminated(number: int, frame: object) -> NoReturn:
    """Ends what the program is doing, so that it gives back what it holds."""
    raise TerminatedError


def leave_interrupts_unsaid(ignored: sys.UnraisableHookArgs) -> None:
    """Prints what Python could not raise, as where a finalizer fails, unless it is an interrupt.

    The interrupt was answered when it came, and ends the program after its grace.
    """
    if not isinstance(ignored.exc_value, KeyboardInterrupt | TerminatedError):
        sys.__unraisablehook__(ignored)


def is_quiet() -> bool:
    """Whether another process answers for this one: `harness run`, or the first process of a launch."""
    return QUIET in os.environ or not is_first_process()


def _answer(reading: int, ended: threading.Event) -> None:
    """Waits for a signal, says so, and ends the process after its time or at the next Ctrl-C."""
    with os.fdopen(reading, "rb", buffering=0) as signals:
        while (number := signals.read(1)) and number[0] not in (signal.SIGINT, signal.SIGTERM):
            pass
        if not number:
            return
        ending = signal.SIGINT if number[0] == signal.SIGINT else signal.SIGTERM
        if not is_quiet():
            say(ANSWERS[ending])
        threading.Thread(target=_end_in_time, args=(ended, ending), daemon=True).start()
        while (number := signals.read(1)) and number[0] != signal.SIGINT:
            pass
        if number:
            _end(signal.SIGINT)


def _end_in_time(ended: threading.Event, ending: signal.Signals) -> None:
    if not ended.wait(GRACE if ending == signal.SIGINT else LAST_SECONDS):
        _end(ending)


def _end(ending: signal.Signals) -> None:
    if not is_quiet():
        say(STOPPED)
    os._exit(STATUSES[ending])


def end_with_parent() -> None:
    """Has the kernel end this process when its parent is killed, where it can (Linux: PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
