"""Models that are parted among the processes of a launch: FSDP2, or DeepSpeed, by variables that accelerate reads."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from harness.errors import Problem, UserError
from harness.recipe.schema import Execution
from harness.training.zero3 import by_deepspeed, zero3_variables

CPU = "ACCELERATE_USE_CPU"
ASKED_PRECISION = "HARNESS_ASKED_PRECISION"
"""The variable that keeps what a launch says of the number format, for the processes that it starts in turn."""
FSDP = "ACCELERATE_USE_FSDP"


def sharding_variables(execution: Execution) -> dict[str, str]:
    """The variables that have accelerate shard as a recipe says; none where it does not, or a launch says how.

    Raises UserError where DeepSpeed is asked for and not installed.
    """
    if execution.sharding == "none" or is_sharded():
        return {}
    return zero3_variables() if execution.sharding == "zero3" else _of_fsdp(execution)


def _of_fsdp(execution: Execution) -> dict[str, str]:
    return {
        FSDP: "true",
        "FSDP_VERSION": "2",
        "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
        "FSDP_RESHARD_AFTER_FORWARD": "true",
        "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
        "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
        "FSDP_ACTIVATION_CHECKPOINTING": str(execution.activation_checkpointing).lower(),
        "FSDP_OFFLOAD_PARAMS": str(execution.offload).lower(),
    }


def is_sharded() -> bool:
    """Whether each process of this launch holds a part of the model."""
    return os.environ.get(FSDP, "").lower() == "true" or by_deepspeed()


def leave_losses_as_they_are(accelerator: Any) -> None:
    """Has FSDP2 with mixed precision return float32 losses: accelerate (1.15) has it round whatever a model returns."""
    plugin = getattr(accelerator.state, "fsdp_plugin", None)
    if plugin is not None and getattr(plugin.mixed_precision_policy, "output_dtype", None) is not None:
        plugin.mixed_precision_policy = replace(plugin.mixed_precision_policy, output_dtype=None)


@contextmanager
def sharding_on_cpu_too() -> Generator[None]:
    """Has an Accelerator made in the block shard on CPUs, if that was asked for: by itself (1.15) only on GPUs."""
    from accelerate import DistributedType, PartialState

    state, asked = PartialState(), os.environ.get(CPU)
    if is_sharded() and state.distributed_type == DistributedType.MULTI_CPU:
        state.distributed_type = DistributedType.DEEPSPEED if by_deepspeed() else DistributedType.MULTI_GPU
        os.environ.pop(CPU, None)
    yield
    if asked is not None:
        os.environ[CPU] = asked


def check_precision(dtypes: Iterable[str]) -> None:
    """Raises UserError where a launch asks for another number format than that of cells to be trained."""
    asked = os.environ.get(ASKED_PRECISION, "no")
    for dtype in sorted(set(dtypes)):
        if asked not in ("no", {"bfloat16": "bf16"}.get(dtype)):
            message = (
                f"got {asked}, but the study computes in {dtype}, which is part of what its cells are; say "
                f"`no`{' or bf16' if dtype == 'bfloat16' else ', or model.dtype: bfloat16 in the recipe for bf16'}"
            )
            raise UserError([Problem("mixed_precision", message)])
