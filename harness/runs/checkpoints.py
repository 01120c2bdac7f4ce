"""Checkpoints of a cell in training: sealed once they are whole, and passed over where they are not."""

from __future__ import annotations

from pathlib import Path

from data_mixes.storage import DamagedError, checksum_file, seal, sha256_of, verify_once

STATE = "trainer_state.json"
"""The trainer's own state. Its checksum is written last of all: a checkpoint that has it was written to its end."""


def seal_checkpoint(checkpoint: Path) -> None:
    """Notes the checksums of a checkpoint's files, beside each."""
    files = [path for path in checkpoint.rglob("*") if path.is_file() and not path.name.endswith(".sha256")]
    for file in sorted(files, key=lambda file: file.name == STATE):
        seal(file, sha256_of(file))


def checkpoints_in(folder: Path) -> list[tuple[int, Path]]:
    """The checkpoints of a cell with the steps that they were made after, the earliest first, whole or not."""
    named = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdecimal()]
    return sorted((steps_of(path), path) for path in named)


def steps_of(checkpoint: Path) -> int:
    """The steps that a checkpoint was made after."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def is_sealed(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end."""
    return checksum_file(checkpoint / STATE).is_file()


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end and has not changed since."""
    whole = (path for _, path in reversed(checkpoints_in(folder)) if is_sealed(path) and not checkpoint_problem(path))
    return next(whole, None)


def checkpoint_problem(checkpoint: Path) -> str | None:
    """What has changed in a checkpoint since it was written; None if nothing has, or if it was never finished."""
    if not checkpoint.is_dir():
        return "a file stands in its place"
    for sealed in sorted(checkpoint.rglob(".*.sha256")) if is_sealed(checkpoint) else ():
        file = sealed.with_name(sealed.name.removeprefix(".").removesuffix(".sha256"))
        try:
            verify_once(file)
        except FileNotFoundError:
            return f"{file.relative_to(checkpoint)} is missing"
        except DamagedError as error:
            return f"{file.relative_to(checkpoint)}: {error.reason}"
    return None
