"""How a command ends: 0, 2 for the user's mistakes, 1 where the engine or the machine fails, 130 after Ctrl-C, 143
after SIGTERM."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from data_mixes.storage import DamagedError, cache_folder
from eval.generation.canary import CanaryError
from harness.console import is_first_process, say
from harness.errors import INTERRUPTED, TERMINATED, MachineError, TerminatedError, UserError
from harness.interrupts import STOPPED, answering_interrupts, is_quiet

FULL = (
    "no space left on device", "database or disk is full", "disk quota exceeded",
    "file write failed", "unexpected pos ", "iostream error", " requested and ",
)  # fmt: skip
"""What libraries say when a disk is full, in errors without that number: safetensors, SQLite, torch (three), NumPy."""
NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "out of memory", "not enough memory")
"""The same of memory."""
OF_THE_MACHINE = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EIO,
    errno.ENAMETOOLONG, errno.EMFILE, errno.EFBIG, errno.ELOOP,
}  # fmt: skip
"""Errors that no change of the code can mend."""
OUT_OF_MEMORY = "out of memory; lower training.micro_batch, close other programs, or use a machine with more"


class Commands(TyperGroup):
    """The commands of a program, whose help, too, is printed on terminals that cannot show all of it."""

    def main(self, *arguments: Any, **settings: Any) -> Any:
        """Runs the command that was asked for."""
        show_what_can_be_shown()
        return super().main(*arguments, **settings)


@contextmanager
def reporting_mistakes() -> Generator[None]:
    """Prints the user's mistakes, one a line, and exits with status 2; with 1 where the engine or the machine fails."""
    show_what_can_be_shown()
    try:
        with answering_interrupts():
            yield
            sys.stdout.flush()
    except UserError as error:
        for problem in error.problems if is_first_process() else ():
            say(f"error: {problem}")
        if error.unchecked and is_first_process():
            say(f"Not checked before this is mended: {error.unchecked}")
        raise typer.Exit(2) from None
    except (CanaryError, MachineError) as error:
        if not is_quiet():
            say(f"error: {error}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        if not is_quiet():
            say(STOPPED)
        raise typer.Exit(INTERRUPTED) from None
    except TerminatedError:
        if not is_quiet():
            say(STOPPED)
        raise typer.Exit(TERMINATED) from None
    except BrokenPipeError:
        leave_closed_pipe()
        raise typer.Exit(1) from None
    except Exception as error:
        reason = reason_in_words(error)
        if reason is None:
            raise
        say(f"error: {reason}")
        raise typer.Exit(1) from None


def show_what_can_be_shown() -> None:
    """Has characters that the terminal cannot show replaced, rather than end the program."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]


def leave_closed_pipe() -> None:
    """Has what is still to be printed go nowhere, once the reader has gone, as after `| head`."""
    with suppress(OSError, ValueError):
        stream: TextIO = sys.stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def reason_in_words(error: Exception) -> str | None:
    """Damage, a full or unwritable disk, or too little memory, in a line; None for any other error."""
    if isinstance(error, DamagedError):
        return f"{error}; harness run and harness eval set it aside and make it again"
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    if is_full(error):
        return f"no space left on the disk{where_of(error)}; free some, then run the same command again"
    if isinstance(error, sqlite3.Error):
        return f"the cache in {cache_folder()} cannot be used ({error}); set HARNESS_CACHE to a folder that can"
    if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
        return f"{error.filename or 'a file'}: {error.strerror or error}"
    return None


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says, in whatever way, that there is too little memory, the machine's or a GPU's."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in NO_MEMORY)


def is_full(error: Exception) -> bool:
    """Whether an error says, in whatever way, that there is no room on a disk."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(words in str(error).lower() for words in FULL)


def where_of(error: Exception) -> str:
    """The folder that is full and what is free there, if the error names it."""
    name = getattr(error, "filename", None)
    folder = Path(str(name)).parent if name else cache_folder() if isinstance(error, sqlite3.Error) else None
    if folder is None or not folder.is_dir():
        return ""
    return f" of {folder} ({shutil.disk_usage(folder).free / 1e6:,.1f} MB free)"
