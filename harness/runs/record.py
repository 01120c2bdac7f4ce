"""Run folders: create, resume or refuse; what is in them is written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_mixes.sources import SOURCES
from data_mixes.storage import DamagedError, read_sealed, write_sealed
from data_mixes.templates.embedded import EmbeddedSource
from harness.console import in_groups
from harness.errors import Problem, UserError
from harness.runs.folder import CellFolder
from harness.runs.weights import Weights, weights_in

FIRST_VERSION = 1
"""Of identities."""
VERSION_OF_OLD = {"version": FIRST_VERSION}
"""What is to be added to an identity that names no version."""
FINISHED = ("trained", "diverged")
"""States of cells that have nothing left to train."""
SHIPPED = {f"sources.{name}": name for name, source in SOURCES.items() if isinstance(source, EmbeddedSource)}
"""The sources that ship with the harness, by where identities name their versions."""


@dataclass(frozen=True, slots=True)
class CellRun:
    """The folder of one cell: its record, its checkpoints while it trains, then its weights."""

    folder: Path
    identity: Mapping[str, Any]
    earlier: str = ""
    """How a cell was begun that can be read but not gone on with: on items or with prompts that there are no more."""

    @property
    def record(self) -> dict[str, Any]:
        """What is recorded so far; empty for a cell never begun, or whose record is damaged."""
        record = read_json(self.files.record)
        return record if isinstance(record, dict) else {}  # pyright: ignore[reportUnknownVariableType]

    @property
    def files(self) -> CellFolder:
        """The cell's files by name."""
        return CellFolder(self.folder)

    @property
    def weights(self) -> Weights:
        """Where what it trains is, or is going to be."""
        return weights_in(self.folder, self.identity)

    def weights_after(self, step: int) -> Weights:
        """Where what it had learned after a step is, if that step is kept."""
        return weights_in(self.files.steps / str(step), self.identity or self.record["identity"])

    @property
    def kept_steps(self) -> list[int]:
        """The steps that are kept as models."""
        return sorted(int(folder.name) for folder in self.files.steps.glob("*") if folder.name.isdecimal())

    @property
    def weights_hash(self) -> str | None:
        """What the record names its trained weights by; None before it is trained."""
        record = self.record
        return record.get("weights") or record.get("adapter")  # its name in 0.1.0

    @property
    def weights_removed(self) -> bool:
        """Whether its weights were evaluated and then removed, as its recipe says."""
        return bool(self.record.get("weights_removed"))

    @property
    def checkpoints(self) -> Path:
        """The trainer's own folder, gone when the cell is trained."""
        return self.files.checkpoints

    @property
    def trained(self) -> bool:
        """Whether this cell, as this recipe describes it, is trained."""
        return self.record.get("state") == "trained"

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train: the cell is trained, or its loss diverged."""
        return self.record.get("state") in FINISHED

    @property
    def failure(self) -> str | None:
        """Why the last try at training this cell failed, if it did."""
        record = self.record
        return str(record.get("reason")) if record.get("state") == "failed" else None

    def begin(self) -> None:
        """Writes the record of a cell that starts; leaves that of others."""
        if not self.record:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.update(state="training", identity=self.identity, fingerprint=fingerprint(self.identity))

    def forget_failure(self) -> None:
        """Has a cell that failed be tried again."""
        if self.failure:
            self.update(state="training", reason=None)

    def update(self, **entries: Any) -> None:
        """Adds entries to the record."""
        write_json(self.files.record, self.record | entries)

    def remove_weights(self) -> None:
        """Removes what was trained; the record goes on naming it."""
        self.update(weights_removed=True)  # first: a process that is killed now leaves no damage
        for folder in (self.weights.folder, self.files.steps):
            shutil.rmtree(folder, ignore_errors=True)


def changes(run: CellRun, record: Mapping[str, Any]) -> list[str]:
    """In what the experiment in a run's record differs from the run; nothing where none was begun."""
    before, after = (VERSION_OF_OLD | dict(stated) for stated in (record.get("identity", {}), run.identity))
    if not record or before == after:
        return []
    return differences(before, json.loads(json.dumps(after)))


def refusal(run: CellRun, changed: Sequence[str]) -> Problem:
    """Why a run cannot go on in its folder: that holds another experiment, with the difference."""
    return Problem(
        str(run.folder),
        f"holds another experiment of this name. Changed: {'; '.join(changed)}. {cause_of(changed)}"
        "Give the study another name, choose another --runs folder, or delete this one",
    )


def how_begun(changed: Sequence[str], other_prompts: bool) -> str:
    """Where all that differs comes of items that ship with the harness, or of prompts: of which; else empty."""
    keys = {change.partition(" was ")[0] for change in changed}
    sources = sorted(SHIPPED[key] for key in keys & {*SHIPPED})
    if not keys <= {"rows", *SHIPPED} or not (sources or other_prompts):
        return ""
    items = f"on other items of {' and '.join(sources)} than this release has" if sources else ""
    return items or "with prompts in other words"


def earlier_runs(runs: Mapping[str, CellRun]) -> list[str]:
    """What there is to say of cells that can be read but not gone on with."""
    told = ((name, f"begun {run.earlier}; what is stored of it is read") for name, run in runs.items() if run.earlier)
    return [*in_groups(told)]


def cause_of(changed: Sequence[str]) -> str:
    """What lies behind differences that do not say it themselves; empty for others."""
    if any(change.startswith("mixture.seed was None") for change in changed):
        return (
            "It was begun before there was a mixture.seed, when training.seed drew the rows as well; "
            "without mixture.seed in the recipe it goes on as it began. "
        )
    if all(change.startswith("rows ") for change in changed):
        return (
            "As many rows are taken from the same sources, but other ones: prompts, leakage, max_length or items "
            "changed, or the grid has another language of a source whose languages share items. "
        )
    return ""


def fingerprint(identity: Mapping[str, Any]) -> str:
    """A hash of an identity. Raises TypeError for a value without a stable form.

    The first version is not named in what is hashed: its fingerprints are those of runs that do not say a version.
    """
    named = {key: value for key, value in identity.items() if (key, value) != ("version", FIRST_VERSION)}
    text = json.dumps(named, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """Where two identities differ: ["training.learning_rate was 0.001, is 0.0005"]."""
    if isinstance(before, dict) and isinstance(after, dict):
        changed: list[str] = []
        for key in sorted({*before, *after}):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            inner = f"{path}.{key}" if path else str(key)  # pyright: ignore[reportUnknownArgumentType]
            changed += differences(before.get(key), after.get(key), inner)  # pyright: ignore[reportUnknownMemberType]
        return changed
    return [] if before == after else [f"{path} was {before!r}, is {after!r}"]


def prepare_runs_folder(runs: Path) -> None:
    """Makes the folder and tries to write into it. Raises UserError where that fails."""
    try:
        runs.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=runs):
            pass
    except OSError as error:
        raise UserError(
            [Problem("--runs", f"cannot write to {runs}: {error.strerror}; choose another folder with --runs DIR")]
        ) from None


def write_json(path: Path, data: Any) -> None:
    """Writes JSON whole or not at all, with a checksum beside it."""
    write_sealed(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The contents of a JSON file; None if there is none, or a damaged one, which `harness.runs.damage` reports."""
    try:
        return json.loads(read_sealed(path))
    except (FileNotFoundError, DamagedError, ValueError, RecursionError):
        return None
