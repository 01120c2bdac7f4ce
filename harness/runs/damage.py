"""Damaged files of a study: found by their checksums, told in a line each, and set aside to be made again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_mixes.storage import DamagedError, checksum_file, checksums_of, read_sealed, set_aside, verify, verify_once
from eval.generation.generate import CANARY
from eval.generation.kept import chunk_rows
from harness.runs.checkpoints import checkpoint_problem, checkpoints_in
from harness.runs.folder import CellFolder, StudyFolder
from harness.runs.record import read_json, write_json
from harness.runs.weights import KINDS, weights_in

NO_FOLDER = "a file stands in its place"


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
    if study.exists() and not study.is_dir():
        return [Damage(study, study.name, NO_FOLDER)]
    folder = StudyFolder(study)
    problems = [(path, reason, None) for path, reason in study_damage(folder)]
    for cell in map(folder.cell, cells):
        problems += [(path, reason, cell.path.name) for path, reason in result_damage(cell)]
        problems += [(path, reason, None) for path, reason in unfinished_damage(cell)]
    return [Damage(path, str(path.relative_to(study)), reason, cell) for path, reason, cell in problems]


def mend(study: Path, cells: Sequence[str]) -> list[str]:
    """Sets damaged files aside as NAME.damaged, so that they are made again; what to tell the user of each.

    A cell whose weights are damaged goes back to being untrained.
    """
    told: list[str] = []
    damaged = damage_in(study, cells)
    for damage in damaged:
        aside = f"; set aside as {set_aside(damage.path).name}" if damage.path.exists() else ""
        told.append(f"{damage}{aside}" + (f"; {damage.cell} is to be trained again" if damage.cell else ""))
    for cell in filter(None, (damage.cell for damage in damaged)):
        record = StudyFolder(study).cell(cell).record
        if kept := read_json(record):
            write_json(record, kept | {"state": "training"})
    return told


def result_damage(cell: CellFolder) -> Iterator[tuple[Path, str]]:
    """Damage for which a cell has to be trained again. Only a trained cell needs weights."""
    if not cell.path.is_dir():
        if cell.path.exists():
            yield cell.path, NO_FOLDER
        return
    record = read_json(cell.record)
    if not isinstance(record, dict):
        if reason := json_problem(cell.record) or ("it is missing" if is_lost(cell) else None):
            yield cell.record, reason
        return
    if record.get("state") != "trained" or record.get("weights_removed"):
        return
    weights = weights_in(cell.path, record["identity"])
    problems = list(weights.damage())[:1]
    if not problems and (reason := json_problem(weights.config)):
        problems = [(weights.config, reason)]
    yield from problems


def unfinished_damage(cell: CellFolder) -> Iterator[tuple[Path, str]]:
    """Damage to what a cell's training goes on from."""
    if not cell.path.is_dir():
        return
    wrong = wrong_kinds((cell.record, *cell.written_files), (cell.checkpoints,))
    yield from ((path, reason) for path, reason in wrong if path != cell.record)
    for _, checkpoint in checkpoints_in(cell.checkpoints):
        if reason := checkpoint_problem(checkpoint):
            yield checkpoint, reason


def study_damage(folder: StudyFolder) -> Iterator[tuple[Path, str]]:
    """Damage to the files of a whole study."""
    files = dict.fromkeys((*folder.written_files, *sorted(folder.path.glob("*.csv"))))
    wrong = list(wrong_kinds(tuple(files), folder.written_folders))
    if folder.evaluation.is_dir():
        wrong += wrong_kinds(
            (folder.evaluation_lock, folder.evaluation / CANARY), (folder.generations, folder.likelihoods, folder.parts)
        )
    yield from wrong
    known = {path for path, _ in wrong}
    objects = (folder.study, folder.plan, folder.pace, folder.revisions, folder.evaluation / CANARY)
    checked = [(path, json_problem(path)) for path in objects if path not in known]
    checked += [(path, problem_of(path, verify) or table_problem(path)) for path in folder.result_tables]
    checked += [(path, problem_of(path, verify_once)) for path in sorted(folder.rows.glob("rows-*.arrow"))]
    checked += [(path, problem_of(path, verify_once)) for path in sorted(folder.generated.glob("*.parquet"))]
    yield from ((path, reason) for path, reason in checked if reason and path not in known)
    for chunk in sorted(folder.evaluation.glob("*/*.jsonl")):
        try:
            chunk_rows(chunk)
        except DamagedError as error:
            yield chunk, error.reason


def wrong_kinds(files: Sequence[Path], folders: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Folders that stand where files or their checksums should be, and the reverse."""
    for path in (beside for file in files for beside in (file, checksum_file(file))):
        if path.exists() and not path.is_file():
            yield path, "a folder stands in its place" if path.is_dir() else "it is not a regular file"
    for path in folders:
        if path.exists() and not path.is_dir():
            yield path, NO_FOLDER


def is_lost(cell: CellFolder) -> bool:
    """Whether a cell has weights and no record, which is there before any weights; one set aside is known of."""
    record, trained = cell.record, any((cell.path / kind).exists() for kind in KINDS)
    return trained and not record.exists() and not record.with_name(f"{record.name}.damaged").exists()


def problem_of(path: Path, check: Callable[[Path], None]) -> str | None:
    """Why a file is not what was written; None if it is, or if there is none."""
    try:
        check(path)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        return error.reason
    return None


def json_problem(path: Path) -> str | None:
    """The same of a file that holds a JSON object, as every file does that is what was written."""
    try:
        content = read_sealed(path)
        if checksums_of(path):
            return None
        content = json.loads(content)
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
