"""How a command ends: 0, 2 for the user's mistakes, 1 for a failing engine, 130 after Ctrl-C."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import typer

from eval.generation.canary import CanaryError
from harness.console import is_first_process, say
from harness.errors import INTERRUPTED, UserError
from harness.interrupts import STOPPED, answering_interrupts, is_quiet


@contextmanager
def reporting_mistakes() -> Generator[None]:
    """Prints the user's mistakes, one a line, and exits with status 2; with 1 if the engine fails, 130 after Ctrl-C."""
    try:
        with answering_interrupts():
            yield
    except UserError as error:
        for problem in error.problems if is_first_process() else ():
            say(f"error: {problem}")
        raise typer.Exit(2) from None
    except CanaryError as error:
        say(f"error: {error}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        if not is_quiet():
            say(STOPPED)
        raise typer.Exit(INTERRUPTED) from None
