"""Damaged files of a study: found by their checksums, told in a line each, and set aside to be made again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_mixes.storage import DamagedError, read_sealed, set_aside, verify
from eval.generation.generate import CANARY
from eval.generation.kept import chunk_rows
from harness.runs.folder import CellFolder, StudyFolder
from harness.runs.record import read_json, write_json


@dataclass(frozen=True, slots=True)
class Damage:
    """A file or folder that is not what was written."""

    path: Path
    name: str
    """The path within the study's folder."""
    reason: str
    cell: str | None = None
    """The cell that has to be trained again."""

    def __str__(self) -> str:
        return f"{self.name} is damaged: {self.reason}"


def damage_in(study: Path, cells: Sequence[str]) -> list[Damage]:
    """All damage to a study's folder."""
    folder = StudyFolder(study)
    problems = [(path, reason, None) for path, reason in study_damage(folder)]
    problems += [(path, reason, cell) for cell in cells for path, reason in cell_damage(folder.cell(cell))]
    return [Damage(path, str(path.relative_to(study)), reason, cell) for path, reason, cell in problems]


def mend(study: Path, cells: Sequence[str]) -> list[str]:
    """Sets damaged files aside as NAME.damaged, so that they are made again; what to tell the user of each.

    A cell whose adapter is damaged goes back to being untrained.
    """
    told: list[str] = []
    for damage in damage_in(study, cells):
        aside = f"; set aside as {set_aside(damage.path).name}" if damage.path.exists() else ""
        record = StudyFolder(study).cell(damage.cell).record if damage.cell else None
        if record and (kept := read_json(record)):
            write_json(record, kept | {"state": "training"})
        told.append(f"{damage}{aside}" + (f"; {damage.cell} is to be trained again" if damage.cell else ""))
    return told


def cell_damage(cell: CellFolder) -> Iterator[tuple[Path, str]]:
    """Damage to a cell's files. Only a trained cell needs an adapter."""
    folders = list(wrong_kinds((), (cell.path, cell.checkpoints)))
    yield from folders
    if any(path == cell.path for path, _ in folders):
        return
    if reason := json_problem(cell.record):
        yield cell.record, reason
        return
    if (read_json(cell.record) or {}).get("state") != "trained":
        return
    if not cell.adapter.is_dir():
        yield cell.adapter, "a file stands in its place" if cell.adapter.exists() else "it is missing"
        return
    for path in (cell.adapter_config, cell.adapter_weights):
        if reason := "it is missing" if not path.exists() else problem_of(path):
            yield path, reason
            return
    if reason := json_problem(cell.adapter_config):
        yield cell.adapter_config, reason


def study_damage(folder: StudyFolder) -> Iterator[tuple[Path, str]]:
    """Damage to the files of a whole study."""
    wrong = list(wrong_kinds(folder.written_files, folder.written_folders))
    yield from wrong
    if any(path == folder.evaluation for path, _ in wrong):
        return
    known = {path for path, _ in wrong}
    for path in (folder.study, folder.plan, folder.evaluation / CANARY):
        if path not in known and (reason := json_problem(path)):
            yield path, reason
    for path in (folder.predictions, folder.scores, folder.repeats, folder.judgements):
        if path not in known and (reason := problem_of(path) or table_problem(path)):
            yield path, reason
    for chunk in sorted(folder.evaluation.glob("*/*.jsonl")):
        try:
            chunk_rows(chunk)
        except DamagedError as error:
            yield chunk, error.reason


def wrong_kinds(files: Sequence[Path], folders: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Folders that stand where files should be, and the reverse."""
    for path in files:
        if path.exists() and not path.is_file():
            yield path, "a folder stands in its place" if path.is_dir() else "it is not a regular file"
    for path in folders:
        if path.exists() and not path.is_dir():
            yield path, "a file stands in its place"


def problem_of(path: Path) -> str | None:
    """Why a file is not what was written; None if it is, or if there is none."""
    try:
        verify(path)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        return error.reason
    return None


def json_problem(path: Path) -> str | None:
    """The same of a file that holds a JSON object."""
    try:
        content = json.loads(read_sealed(path))
    except FileNotFoundError:
        return None
    except DamagedError as error:
        return error.reason
    except (ValueError, RecursionError):
        return "it is not JSON"
    return None if isinstance(content, dict) else "it is not a JSON object"


def table_problem(path: Path) -> str | None:
    """Why a table cannot be read, told from its end, where Parquet keeps its schema."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            pl.read_parquet_schema(file)
    except (OSError, pl.exceptions.PolarsError):
        return "it is not Parquet"
    return None
