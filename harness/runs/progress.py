"""How far a cell in training is, as the process that trains it writes now and then."""

from __future__ import annotations

from pydantic import ValidationError

from harness.results import Result
from harness.runs.folder import CellFolder


class Progress(Result):
    """The last step that was noted, and the pace since the process took the cell."""

    step: int
    steps: int
    tokens_per_second: float
    seconds_left: float


def progress_of(files: CellFolder) -> Progress | None:
    """What is known of a cell in training; None where nothing is."""
    try:
        return Progress.model_validate_json(files.progress.read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError):
        return None
