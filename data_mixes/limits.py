"""Limits of time and memory for code that comes with a model, such as a chat template."""

from __future__ import annotations

import resource
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from jinja2 import Environment, TemplateError

SECONDS, MEMORY = 10.0, 1 << 30
"""Processor time that a chat template may take for a prompt, and bytes of memory."""


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


def template_problem(texts: Sequence[str], render: Callable[[], str]) -> str | None:
    """What is wrong with Jinja templates that are not to be used, found by rendering a word with little memory."""
    if any(has_powers(text) for text in texts):
        return "computes powers (**), which could take for ever; remove them"
    with suppress(TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError, TemplateError):
        try:  # what it raises is told of when a real conversation is put into it
            with within_memory(MEMORY):
                render()
        except MemoryError:
            return f"wants more than {MEMORY / 2**30:.0f} GiB of memory for a prompt"
    return None


def has_powers(template: str) -> bool:
    """Whether a Jinja template computes powers: one such step can last for ever, and nothing can end it."""
    try:
        tokens = list(Environment(autoescape=False).lex(template))  # of text for a model, no page
    except TemplateError:
        return False
    return any(kind == "operator" and text == "**" for _, kind, text in tokens)
