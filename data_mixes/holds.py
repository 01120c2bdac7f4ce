"""Who works on what: a cell, or a chunk of requests, is held by one process at a time, on whatever machine.

The kernel's lock says so where the file system carries it, and lets go when its holder dies. On some file systems of
clusters such locks fail, or hold on their own machine alone. A holder therefore has a lease as well: a file with its
name, whose time it renews. A lease is void when its holder died on this machine, or did not renew it for `VOID` seconds
on another.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

RENEWED = 15.0
"""Seconds between renewals of a lease."""
VOID = 90.0
"""Seconds after which a lease of another machine that was not renewed is void."""
POLLED = 0.5
"""Seconds between two looks at what another process holds."""


def this_machine() -> str:
    """The name that other machines know this one by."""
    return platform.node()


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds something; `started` tells it from a later one of the same number."""

    process: int
    machine: str
    started: float
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __str__(self) -> str:
        elsewhere = self.machine not in ("", this_machine())
        return f"process {self.process or 'unknown'}{f' on {self.machine}' if elsewhere else ''}"

    @property
    def lives_here(self) -> bool:
        """Whether it is a process of this machine that still runs."""
        try:
            here = self.machine == this_machine()
            return here and abs(psutil.Process(self.process).create_time() - self.started) < 1
        except psutil.Error:
            return False


UNKNOWN = Holder(0, "", 0)
"""The holder of a lease that cannot be read, as it is being written."""


@contextmanager
def holding(path: Path) -> Generator[Holder | None]:
    """Tries to hold a lock file while the block lasts; yields who else holds it, or None if this process does now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        carried = kernel_lock(file)
        lease = path.with_name(f"{path.name}.lease")
        if carried is False:
            yield read_holder(lease) or UNKNOWN
            return
        mine = Holder(os.getpid(), this_machine(), psutil.Process().create_time())
        if other := take(lease, mine, died_here=carried is True):
            yield other
            return
        ended = threading.Event()
        renewing = threading.Thread(target=renew, args=(lease, ended), daemon=True, name=f"renews {lease.name}")
        renewing.start()
        try:
            yield None
        finally:
            ended.set()
            renewing.join()
            if read_holder(lease) == mine:
                lease.unlink(missing_ok=True)


@contextmanager
def waiting_to_hold(path: Path) -> Generator[None]:
    """Holds a lock file while the block lasts, once nobody else does."""
    while True:
        with holding(path) as other:
            if other is None:
                yield
                return
        time.sleep(POLLED)


def holder_of(path: Path) -> Holder | None:
    """Who holds a lock file, for those who only look; None where nobody does."""
    lease = path.with_name(f"{path.name}.lease")
    holder = read_holder(lease)
    return None if holder is None or is_void(lease, holder, died_here=False) else holder


def kernel_lock(file: IO[Any]) -> bool | None:
    """Tries to lock an open file; whether it did, or None where the file system carries no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def kernel_locks_work(folder: Path) -> bool:
    """Whether the file system of a folder that can be written carries the kernel's locks."""
    probe = folder / f".lock.{uuid.uuid4().hex}"
    try:
        with probe.open("w") as file:
            return kernel_lock(file) is not None
    finally:
        probe.unlink(missing_ok=True)


def take(lease: Path, mine: Holder, died_here: bool) -> Holder | None:
    """Writes a lease where there is none, or a void one; returns the holder of one that holds.

    `died_here`: the kernel's lock was free, so that a holder on this machine has let go or died.
    """
    while True:
        try:
            with lease.open("x", encoding="utf-8") as file:
                file.write(json.dumps(asdict(mine)))
        except FileExistsError:
            holder = read_holder(lease)
            if holder is None:  # given back meanwhile
                continue
            if not is_void(lease, holder, died_here):
                return holder
            remove_void(lease, holder)
        else:
            return None


def is_void(lease: Path, holder: Holder, died_here: bool) -> bool:
    """Whether the holder of a lease can be taken for dead."""
    if holder.machine == this_machine():
        return died_here or not holder.lives_here
    return age(lease) > VOID


def remove_void(lease: Path, holder: Holder) -> None:
    """Removes a void lease, unless it is another one by now; of several processes that try, one does so at a time."""
    breaking = lease.with_name(f"{lease.name}.breaking")
    try:
        breaking.open("x").close()
    except FileExistsError:
        if age(breaking) > VOID:  # who made it died over it
            breaking.unlink(missing_ok=True)
        time.sleep(POLLED / 50)
        return
    try:
        if read_holder(lease) == holder:
            lease.unlink(missing_ok=True)
    finally:
        breaking.unlink(missing_ok=True)


def read_holder(lease: Path) -> Holder | None:
    """Whose lease it is; None where there is none."""
    try:
        return Holder(**json.loads(lease.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return UNKNOWN


def renew(lease: Path, ended: threading.Event) -> None:
    """Renews a lease until the event is set."""
    while not ended.wait(RENEWED):
        with suppress(OSError):  # the next time is soon enough
            os.utime(lease)


def age(lease: Path) -> float:
    """Seconds since a lease was renewed, by the clock of the file system that it is on."""
    probe = lease.with_name(f"{lease.name}.{uuid.uuid4().hex}")
    try:
        with probe.open("w"), lease.open() as file:
            return probe.stat().st_mtime - os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return 0.0
    except OSError:  # a folder that cannot be written: for those who only look
        return time.time() - lease.stat().st_mtime
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
