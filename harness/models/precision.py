"""The number format a study computes in: chosen once, by the device that begins it, and kept from then on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from harness.errors import Problem, UserError
from harness.models.devices import Device, this_device
from harness.runs.folder import StudyFolder
from harness.runs.record import read_json, write_json

Dtype: TypeAlias = Literal["bfloat16", "float32"]
PROBE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Precision:
    """A number format, and why it is this one."""

    dtype: Dtype
    reason: str


def precision_for(device: Device) -> Precision:
    """bfloat16 where the device computes in it, else float32, which training and every engine have everywhere.

    GPUs before Ampere have float16 as well, in which training overflows without loss scaling and Gemma without end.
    """
    if device.bfloat16:
        return Precision("bfloat16", f"{device.name} computes in it")
    lacks = "has no bfloat16" if device.kind == "cuda" else "has no instructions for bfloat16"
    return Precision("float32", f"{device.name} {lacks}")


def study_precision(folder: Path, wanted: Dtype | Literal["auto"]) -> Precision:
    """The number format of a study: as its recipe says; else the one it was begun with; else this device's."""
    if wanted != "auto":
        return Precision(wanted, "as the recipe says")
    return begun_precision(folder) or precision_for(this_device())


def begun_precision(folder: Path) -> Precision | None:
    """What a study was begun with, by its own file, or by the record of any of its cells."""
    kept = read_json(StudyFolder(folder).study)
    if kept:
        return Precision(kept["dtype"], kept["reason"])
    for cell in StudyFolder(folder).recorded_cells():
        identity: dict[str, Any] = (read_json(cell.record) or {}).get("identity", {})
        if dtype := identity.get("model", {}).get("dtype"):
            return Precision(dtype, f"{cell.path.name} was trained in it")
    return None


def begin_in(folder: Path, precision: Precision, device: Device) -> list[str]:
    """Notes the number format of a study that begins; what there is to say where this device would take another.

    Raises UserError for bfloat16 on a GPU without it: vLLM refuses that.
    """
    if precision.dtype == "bfloat16" and device.kind == "cuda" and not device.bfloat16:
        begun = f"{folder.name} was begun in bfloat16" if StudyFolder(folder).study.is_file() else "got bfloat16"
        message = f"{begun}, which {device.name} does not have; use a GPU that has it (Ampere or newer)"
        raise UserError([Problem("model.dtype", f"{message}, or float32 under another study's name")])
    if not StudyFolder(folder).study.is_file():
        note_in_study(folder, dtype=precision.dtype, reason=precision.reason)
    here = precision_for(device)
    if here.dtype == precision.dtype:
        return []
    if precision.dtype == "float32":
        return [f"model.dtype: float32 ({precision.reason}), though this device would take bfloat16: {here.reason}"]
    return [
        f"model.dtype: bfloat16 ({precision.reason}) is emulated here, since {here.reason}: a product takes "
        f"{emulation_cost():.0f} times as long as in float32, and the study about as many times; auto takes float32"
    ]


def note_in_study(folder: Path, **entries: Any) -> None:
    """Adds entries to what is known of the whole study."""
    path = StudyFolder(folder).study
    write_json(path, (read_json(path) or {}) | entries)


def emulation_cost() -> float:
    """How many times as long a product takes in bfloat16 as in float32 on this processor; measured in 0.1 s or so.

    Of the forward and the backward pass of a linear layer, 64 tokens by 640 × 640 weights.
    """
    import torch

    def seconds(dtype: torch.dtype) -> float:
        inputs, weights = torch.ones(64, 640, dtype=dtype), torch.ones(640, 640, dtype=dtype)
        rounds, started = 0, time.monotonic()
        while rounds < 2 or time.monotonic() - started < PROBE_SECONDS:
            _ = inputs @ weights.T @ weights
            rounds += 1
        return (time.monotonic() - started) / rounds

    return seconds(torch.bfloat16) / seconds(torch.float32)
