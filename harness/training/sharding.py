"""Models that are parted among the processes of a launch: FSDP2, by the variables that accelerate reads."""

from __future__ import annotations

import os

from harness.recipe.schema import Execution

ASKED_FOR = "ACCELERATE_USE_FSDP"


def sharding_variables(execution: Execution) -> dict[str, str]:
    """The variables that have accelerate shard as a recipe says; none where it does not, or a launch says how."""
    if execution.sharding == "none" or "ACCELERATE_USE_DEEPSPEED" in os.environ or is_sharded():
        return {}
    return {
        ASKED_FOR: "true",
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
    return os.environ.get(ASKED_FOR, "").lower() == "true"


def shard_on_cpu_too() -> None:
    """Has the next Accelerator shard on CPUs, if that was asked for: by itself (1.15) it does so on GPUs alone."""
    from accelerate import DistributedType, PartialState

    state = PartialState()
    if is_sharded() and state.distributed_type == DistributedType.MULTI_CPU:
        state.distributed_type = DistributedType.MULTI_GPU
