"""The user's mistakes, said clearly and all at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

INTERRUPTED = 130
"""The exit status after Ctrl-C."""
TERMINATED = 143
"""The exit status after SIGTERM, by which clusters take a machine back."""


class TerminatedError(BaseException):
    """SIGTERM: the program ends, but what is held is given back first."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it is (a key's path), what was found, and what would be right."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class UserError(Exception):
    """Mistakes that the user can mend; the programs print them and exit with status 2."""

    def __init__(self, problems: Sequence[Problem], unchecked: str = "") -> None:
        """`unchecked` says what could not be looked at because of these problems."""
        self.problems, self.unchecked = tuple(problems), unchecked
        super().__init__("\n".join(map(str, problems)))

    def __reduce__(self) -> tuple[type[UserError], tuple[Any, ...]]:
        """What another process makes it of."""
        return UserError, (self.problems, self.unchecked)


def suggestion(got: str, allowed: Iterable[str]) -> str:
    """What is allowed, and the nearest of it: "did you mean 'ja'? (allowed: ar, en, …)"."""
    names = sorted(allowed)
    near = difflib.get_close_matches(got, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}(allowed: {', '.join(names)})"


class MachineError(RuntimeError):
    """What this machine has too little of, memory or disk, in a line for the user."""


def not_trained(reasons: Mapping[str, str]) -> MachineError:
    """The error of a grid that is trained but for some cells; `reasons` are by cell."""
    told = "; ".join(f"{cell} ({reason})" for cell, reason in reasons.items())
    return MachineError(f"not trained: {told}. The same command tries again, and does nothing else twice")
