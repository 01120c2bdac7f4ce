"""Cells that another study has trained: their weights and records are taken from there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_mixes.storage import whole_folder
from harness.runs.folder import StudyFolder
from harness.runs.record import CellRun, fingerprint

LEFT = ("checkpoints", ".lock*", "job.json", "order.npy", "progress.json")
"""What is of the process that trained, not of the cell."""


def take_shared(runs: Mapping[str, CellRun], studies: Sequence[Path]) -> list[str]:
    """Gives cells that are not begun what cells of the same fingerprint in these studies have; what to tell of it."""
    told: list[str] = []
    wanted = {fingerprint(run.identity): name for name, run in runs.items() if not run.record}
    for study in studies:
        for cell in StudyFolder(study).recorded_cells():
            there = CellRun(cell.path, {})
            name = wanted.get(there.record.get("fingerprint", ""))
            if name is None or not there.trained or there.weights_removed:
                continue
            with whole_folder(runs[name].folder) as unfinished:
                ignored = shutil.ignore_patterns(*LEFT)
                shutil.copytree(cell.path, unfinished, copy_function=link, ignore=ignored, dirs_exist_ok=True)
            source = f"{study.name}/{cell.path.name}"
            runs[name].update(shared_from=source)
            del wanted[fingerprint(runs[name].identity)]
            told.append(f"{name}: trained already as {source}")
    return told


def link(source: str, target: str) -> None:
    """Another name for a file of weights, which nobody changes in place; a copy of any other file."""
    if source.endswith(".safetensors"):
        try:
            os.link(source, target)
        except OSError:
            pass
        else:
            return
    shutil.copy2(source, target)
