"""How a command ends: the status, and one line for whatever the user or the machine did."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest
import typer

from data_mixes.storage import DamagedError
from harness.errors import MachineError, Problem, UserError, not_trained
from harness.exits import is_full, is_out_of_memory, reason_in_words, reporting_mistakes


class OutOfMemoryError(RuntimeError):
    """As PyTorch names its own."""


MEMORY = [
    MemoryError(),
    OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried …"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]
FULL = [
    OSError(errno.ENOSPC, "No space left on device", "/nowhere/file"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    sqlite3.OperationalError("database or disk is full"),
    RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
    RuntimeError("basic_ios::clear: iostream error"),
    OSError("100000 requested and 8176 written"),
    Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
]
OF_THE_CODE = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    KeyError("x"),
    OSError(errno.ECHILD, "No child"),
]


@pytest.mark.parametrize("error", MEMORY, ids=repr)
def test_too_little_memory(error: Exception) -> None:
    assert is_out_of_memory(error) and not is_full(error)
    assert str(reason_in_words(error)).startswith("out of memory; lower training.micro_batch")


@pytest.mark.parametrize("error", FULL, ids=repr)
def test_a_full_disk(error: Exception) -> None:
    assert is_full(error) and not is_out_of_memory(error)
    assert str(reason_in_words(error)).startswith("no space left on the disk")


@pytest.mark.parametrize("error", OF_THE_CODE, ids=repr)
def test_mistakes_of_the_code_are_hidden_from_nobody(error: Exception) -> None:
    assert reason_in_words(error) is None
    with pytest.raises(type(error)), reporting_mistakes():
        raise error


def test_a_full_disk_is_named_with_what_is_free(tmp_path: Path) -> None:
    told = reason_in_words(OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "file")))
    assert told and f"of {tmp_path} (" in told and "MB free)" in told


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (
            UserError([Problem("a", "one"), Problem("b", "two")], "the rest"),
            2,
            "error: a: one\nerror: b: two\nNot checked",
        ),
        (MachineError("too little"), 1, "error: too little\n"),
        (not_trained({"a": "out of memory"}), 1, "error: not trained: a (out of memory). The same command tries again"),
        (DamagedError(Path("x"), "gone"), 1, "error: x is damaged: gone; harness run"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 1, "error: x: Permission denied\n"),
        (sqlite3.OperationalError("unable to open database file"), 1, "error: the cache in "),
        (KeyboardInterrupt(), 130, "Stopped. "),
        (BrokenPipeError(), 1, ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_ends_with_its_status_in_lines(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.exits.leave_closed_pipe", lambda: None)  # it would close this test's own
    with pytest.raises(typer.Exit) as ended, reporting_mistakes():
        raise error
    assert ended.value.exit_code == status
    said = capsys.readouterr().err
    assert said.startswith(line) and "Traceback" not in said
