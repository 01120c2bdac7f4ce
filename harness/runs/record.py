"""Run folders: create, resume or refuse; what is in them is written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_mixes.sources import SOURCES
from data_mixes.storage import DamagedError, read_sealed, sha256_once, write_sealed
from data_mixes.templates.embedded import EmbeddedSource
from harness.console import in_groups
from harness.errors import Problem, UserError
from harness.runs.folder import CellFolder, StudyFolder

FIRST_VERSION = 1
"""Of identities."""
VERSION_OF_OLD = {"version": FIRST_VERSION}
"""What is to be added to an identity that names no version."""
SHIPPED = {f"sources.{name}": name for name, source in SOURCES.items() if isinstance(source, EmbeddedSource)}
"""The sources that ship with the harness, by where identities name their versions."""


@dataclass(frozen=True, slots=True)
class CellRun:
    """The folder of one cell: its record, its checkpoints while it trains, then its adapter."""

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
    def adapter(self) -> Path:
        """The trained adapter in PEFT's format."""
        return self.files.adapter

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
        return self.record.get("state") in ("trained", "diverged")

    @property
    def failure(self) -> str | None:
        """Why the last try at training this cell failed, if it did."""
        record = self.record
        return str(record.get("reason")) if record.get("state") == "failed" else None

    def begin(self) -> None:
        """Writes the record of a cell that starts, or of a failed one that is tried again; leaves that of others."""
        if not self.record:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.update(state="training", identity=self.identity, fingerprint=fingerprint(self.identity))
        elif self.failure:
            self.update(state="training", reason=None)

    def update(self, **entries: Any) -> None:
        """Adds entries to the record."""
        write_json(self.files.record, self.record | entries)


def open_cell(study: Path, name: str, identity: Mapping[str, Any], prompts: str | None = None) -> CellRun:
    """The run of a cell: new, to be resumed, or begun on items or with prompts that there are no more.

    `prompts` is the hash of their template. Raises UserError with the difference if the folder holds a cell of this
    name from another recipe.
    """
    run = CellRun(StudyFolder(study).cell(name).path, identity)
    record = run.record
    before, after = (VERSION_OF_OLD | dict(stated) for stated in (record.get("identity", {}), identity))
    if record and (changed := differences(before, json.loads(json.dumps(after)))):
        if earlier := how_begun(changed, record.get("prompts", prompts) != prompts):
            return replace(run, earlier=earlier)
        difference = "; ".join(changed)
        raise UserError(
            [
                Problem(
                    str(run.folder),
                    f"holds another experiment of this name. Changed: {difference}. {cause_of(changed)}"
                    "Give the study another name, choose another --runs folder, or delete this one",
                )
            ]
        )
    return run


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


def adapter_hash(cell: CellFolder) -> str:
    """Names an adapter by its weights and the scale they are applied with: what engines key their caches by.

    Raises DamagedError or FileNotFoundError where its files cannot be read.
    """
    config = json.loads(read_sealed(cell.adapter_config))
    scale = json.dumps([config["r"], config["lora_alpha"], config["use_rslora"]])
    return sha256_once(cell.adapter_weights, scale)[:16]


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
