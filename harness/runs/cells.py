"""The runs of a study's cells: found by what they are, whatever they were called before the grid changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import Problem, UserError
from harness.runs.folder import CellFolder, StudyFolder
from harness.runs.locks import locked
from harness.runs.record import CellRun, changes, fingerprint, how_begun, refusal
from harness.runs.steps import AT
from harness.runs.weights import Weights, weights_in


def open_cells(
    study: Path, identities: Mapping[str, Mapping[str, Any]], prompts: Mapping[str, str] | None = None
) -> dict[str, CellRun]:
    """The run of each cell, new or to be resumed; one begun under another name stays in the folder of that name.

    `prompts` are the hashes of their templates: a run begun on items, or with prompts, that there are no more says so.
    Raises UserError with the differences for folders that hold another experiment, which is none of these cells.
    """
    folder = StudyFolder(study)
    runs: dict[str, CellRun] = {}
    refused: dict[str, Problem] = {}
    settled: set[str] = set()
    for name, identity in identities.items():
        run = CellRun(folder.cell(name).path, identity)
        record, known = run.record, (prompts or {}).get(name)
        if changed := changes(run, record):
            run = replace(run, earlier=how_begun(changed, record.get("prompts", known) != known))
        if changed and not run.earlier:
            refused[name] = refusal(run, changed)
        elif record:
            settled.add(name)
        runs[name] = run
    elsewhere = {
        fingerprint(identity): cell.path
        for cell in folder.recorded_cells()
        if cell.path.name not in settled and (identity := CellRun(cell.path, {}).record.get("identity"))
    }
    for name in runs.keys() - settled if elsewhere else ():
        known = fingerprint(json.loads(json.dumps(identities[name])))
        if path := elsewhere.pop(known, None):
            runs[name] = CellRun(path, identities[name])
    taken = {run.folder.name for name, run in runs.items() if run.folder.name != name}
    if problems := [problem for name, problem in refused.items() if name not in taken]:
        raise UserError(problems)
    return runs


def misnamed(runs: Mapping[str, CellRun]) -> dict[str, CellRun]:
    """The runs whose folders are called like another cell, or like none, by the names that they are to have."""
    return {name: run for name, run in runs.items() if run.folder.name != name}


def rename(runs: Mapping[str, CellRun]) -> list[str]:
    """Gives folders the names of their cells; what to tell of it. Raises UserError for one that is in use."""
    moves = misnamed(runs)
    for run in moves.values():
        with locked(run.files.lock):
            pass
    aside = {name: run.folder.rename(run.folder.with_name(f".{name}.moving")) for name, run in moves.items()}
    for name, path in aside.items():
        target = path.with_name(name)
        shutil.rmtree(target, ignore_errors=True)  # a job that was never begun, as no run is there
        path.rename(target)
    return [f"{run.folder.name} is called {name} now, as the recipe names it" for name, run in moves.items()]


def orphans(study: Path, runs: Iterable[CellRun]) -> list[CellFolder]:
    """The folders with a run that is none of these."""
    known = {run.folder for run in runs}
    return [cell for cell in StudyFolder(study).recorded_cells() if cell.path not in known]


def weights_called(study: Path, name: str) -> Weights:
    """The weights that a study has under a name: those of a cell, or CELL@STEP of a step that is kept.

    Raises UserError.
    """
    cell, at, step = name.partition(AT)
    run = CellRun(StudyFolder(study).cell(cell).path, {})
    if not run.record:
        raise UserError([Problem(name, f"{study} has no cell {cell!r} that is trained")])
    weights = weights_in(run.folder, run.record["identity"])
    if not at:
        return weights
    if not step.isdecimal() or int(step) not in run.kept_steps:
        kept = ", ".join(map(str, run.kept_steps)) or "none; training.keep_checkpoints keeps some"
        raise UserError([Problem(name, f"got step {step!r}; steps kept of {cell}: {kept}")])
    return run.weights_after(int(step))
