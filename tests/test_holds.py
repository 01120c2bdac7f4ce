"""What one process holds no other takes, and a holder that died gives back, whatever the file system carries."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from data_mixes import holds
from data_mixes.holds import Holder, holder_of, holding, kernel_locks_work, waiting_to_hold
from tests.support import REPOSITORY

HOLDS = """
import sys, time
from pathlib import Path
from data_mixes.holds import holding
with holding(Path(sys.argv[1])) as other:
    print(other, flush=True)
    time.sleep(600)
"""


def no_kernel_locks(*_: Any) -> None:
    raise OSError("No locks available")


@pytest.fixture(params=["kernel-locks", "leases-alone"])
def lock(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "leases-alone":
        monkeypatch.setattr(fcntl, "flock", no_kernel_locks)
    return tmp_path / ".lock"


def test_one_holds_and_the_next_is_told_who(lock: Path) -> None:
    assert holder_of(lock) is None
    with holding(lock) as other, holding(lock) as second:
        assert other is None
        assert second is not None and second.process == os.getpid()
        assert holder_of(lock) == second
    assert holder_of(lock) is None
    with holding(lock) as other:
        assert other is None


def test_a_holder_that_raises_gives_back(lock: Path) -> None:
    with pytest.raises(RuntimeError), holding(lock):
        raise RuntimeError
    with holding(lock) as other:
        assert other is None


def test_a_holder_that_was_killed_gives_back(lock: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDS, lock], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "None\n"
    with holding(lock) as other:
        assert other is not None and other.process == process.pid
    process.kill()
    process.wait()
    with holding(lock) as other:
        assert other is None


def lease_of_another_machine(lock: Path, monkeypatch: pytest.MonkeyPatch, seconds_ago: float) -> Path:
    """A lease as another machine leaves it, last renewed some time ago."""
    monkeypatch.setattr(holds, "this_machine", lambda: "other-machine")
    lease = lock.with_name(f"{lock.name}.lease")
    holds.take(lease, Holder(7, "other-machine", 0.0), died_here=False)
    monkeypatch.setattr(holds, "this_machine", lambda: "this-machine")
    os.utime(lease, (lease.stat().st_atime, lease.stat().st_mtime - seconds_ago))
    return lease


def test_another_machine_holds_until_its_lease_is_void(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = lease_of_another_machine(lock, monkeypatch, seconds_ago=holds.VOID / 2)
    with holding(lock) as other:  # though its lock, being held on that machine alone, is free here
        assert str(other) == "process 7 on other-machine"
    os.utime(lease, (lease.stat().st_atime, lease.stat().st_mtime - holds.VOID))
    with holding(lock) as other:
        assert other is None


def test_a_lease_is_renewed_while_it_is_held(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds, "RENEWED", 0.01)
    renewed = threading.Event()
    monkeypatch.setattr(holds.os, "utime", lambda path: renewed.set() if path.exists() else None)
    with holding(lock):
        assert renewed.wait(60)


def test_of_many_that_find_a_void_lease_one_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", no_kernel_locks)
    lock = tmp_path / ".lock"
    lease_of_another_machine(lock, monkeypatch, seconds_ago=2 * holds.VOID)
    at_once, took, done = threading.Barrier(8), [], threading.Barrier(8)

    def work() -> None:
        at_once.wait()
        with holding(lock) as other:
            if other is None:
                took.append(threading.get_ident())
            done.wait()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took) == 1


def test_a_wait_ends_when_the_holder_lets_go(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds, "POLLED", 0.01)
    waited = threading.Event()

    def wait() -> None:
        with waiting_to_hold(lock):
            waited.set()

    with holding(lock):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not waited.wait(0.05)
    thread.join()
    assert waited.is_set()


def test_what_holds_nothing_leaves_nothing(lock: Path) -> None:
    assert kernel_locks_work(lock.parent) is (fcntl.flock is not no_kernel_locks)
    with holding(lock):
        pass
    assert [path.name for path in lock.parent.iterdir()] == [".lock"]
