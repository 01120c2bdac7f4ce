"""DeepSpeed's stage 3, which parts a model among processes: asked of accelerate by its variables, and checked."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.errors import Problem, UserError

ASKED_FOR = "ACCELERATE_USE_DEEPSPEED"
STAGE, SETTINGS = "ACCELERATE_DEEPSPEED_ZERO_STAGE", "ACCELERATE_DEEPSPEED_CONFIG_FILE"
GATHERS = "ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL"
GATHERS_BY_FILE = "stage3_gather_16bit_weights_on_model_save"
OFFLOADED = {
    "optimizer": "its optimizer for that is not the recipe's AdamW",
    "param": "that is not tested",
}
"""What DeepSpeed can keep in the memory of the CPU → why it must not."""


def by_deepspeed() -> bool:
    """Whether DeepSpeed parts the model."""
    return os.environ.get(ASKED_FOR, "").lower() == "true"


def zero3_variables() -> dict[str, str]:
    """The variables that have accelerate shard by stage 3. Raises UserError where DeepSpeed is not installed."""
    if find_spec("deepspeed") is None:
        message = "zero3 needs DeepSpeed: pip install deepspeed, or use fsdp2, which comes with PyTorch"
        raise UserError([Problem("execution.sharding", message)])
    return {ASKED_FOR: "true", STAGE: "3", GATHERS: "true"}


def check_deepspeed() -> None:
    """Raises UserError where a launch's settings of DeepSpeed would train unlike the recipe says, or save nothing."""
    if not by_deepspeed():
        return
    settings = _settings_file()
    parted = settings.get("zero_optimization") or {}
    stage = parted.get("stage", os.environ.get(STAGE, "2"))
    problems = [
        Problem(f"deepspeed_config_file: {section}", "is the recipe's, under `training`; leave the section out")
        for section in ("optimizer", "scheduler")
        if section in settings
    ]
    if str(stage) != "3":
        message = f"got {stage}, and cells are trained with 3, as 1 and 2 part no weights; or use FSDP"
        problems.append(Problem("zero_stage", message))
    if not parted.get(GATHERS_BY_FILE, os.environ.get(GATHERS, "").lower() == "true"):
        problems.append(Problem("zero3_save_16bit_model", "set it to true: without it no weights can be saved"))
    for part, reason in OFFLOADED.items():
        by_launch = os.environ.get(f"ACCELERATE_DEEPSPEED_OFFLOAD_{part.upper()}_DEVICE", "none")
        by_file = (parted.get(f"offload_{part}") or {}).get("device", "none")
        if (by_launch, by_file) != ("none", "none"):
            problems.append(
                Problem(f"offload_{part}_device", f"DeepSpeed offloads no {part}: {reason}; use FSDP for it")
            )
    if problems:
        raise UserError(problems)


def _settings_file() -> dict[str, Any]:
    """The file of DeepSpeed's own settings that a launch names; empty if it names none. Raises UserError."""
    file = os.environ.get(SETTINGS, "none")
    try:
        settings: Any = {} if file == "none" else json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        settings = None
    if not isinstance(settings, dict):
        raise UserError([Problem("deepspeed_config_file", f"{file} is no file with a JSON object")])
    return settings


@contextmanager
def whole_models() -> Generator[None]:
    """Has transformers make whole models in the block, where for stage 3 it would part each in its making."""
    from transformers.integrations import deepspeed

    settings = deepspeed._hf_deepspeed_config_weak_ref  # pyright: ignore[reportPrivateUsage]
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = settings  # pyright: ignore[reportPrivateUsage]
