"""How many processes train: as many as `accelerate launch` was asked for, and no more than the machine has room for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import psutil

from harness.console import is_first_process
from harness.errors import Problem, UserError
from harness.models.devices import gpu_count, on_cpu
from harness.training.sharding import ASKED_PRECISION

FORCE = "HARNESS_FORCE_PROCESSES"
"""The variable of the environment that lets more processes start than there are GPUs or cores."""


def start_missing_processes() -> None:
    """Replaces this process by a launch of several, where accelerate was asked for them and started one.

    Without GPUs, `accelerate launch --num_processes 2` (1.15) starts a single process and says nothing.
    torchrun starts the processes then; accelerate finds them by its environment, with gloo between them.
    A process that stays alone takes one GPU: TRL refuses to spread one process over several.
    Raises UserError for more processes than this machine has room for.
    """
    asked = launch_options(parent_command())
    if asked and (asked.config_file or asked.mixed_precision):
        os.environ[ASKED_PRECISION] = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    os.environ["ACCELERATE_MIXED_PRECISION"] = "no"  # the recipe's dtype counts, not a saved configuration
    if "WORLD_SIZE" in os.environ:
        check_processes("--num_processes", int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        return
    wanted = processes_asked_for(asked)
    check_processes("--num_processes", wanted)
    if wanted > 1 and on_cpu():
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(wanted)]
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // wanted)))
        os.execv(sys.executable, [*torchrun, *sys.argv])
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def check_processes(option: str, wanted: int) -> None:
    """Raises UserError for more processes than this machine has GPUs, or cores where it has none.

    Each holds a model of its own: too many leave a machine without memory, and it stands still before anything fails.
    """
    if wanted <= 1 or os.environ.get(FORCE):
        return
    if wanted > (os.cpu_count() or 1) and not is_first_process():
        raise UserError([])  # the first process says it; the others need not even load PyTorch
    there = (os.cpu_count() or 1) if on_cpu() else gpu_count()
    if wanted > there:
        kind = ("core" if on_cpu() else "GPU") + ("s" if there != 1 else "")
        message = f"got {wanted}, but this machine has {there} {kind}; ask for {there} or fewer, or set {FORCE}=1"
        raise UserError([Problem(option, message)])


def parent_command() -> list[str]:
    """The command line of the process that started this one; empty where there is none to be seen."""
    try:
        return psutil.Process(os.getppid()).cmdline()
    except psutil.Error:
        return []


def launch_options(command: list[str]) -> Any:
    """What the command line of an `accelerate launch` asks for; None if it is none."""
    from accelerate.commands.launch import launch_command_parser

    for position, word in enumerate(command):
        if word == "accelerate.commands.launch" or (word == "launch" and command[position - 1].endswith("accelerate")):
            return launch_command_parser().parse_args(command[position + 1 :])
    return None


def processes_asked_for(asked: Any) -> int:
    """The processes of a launch, by its --num_processes or its configuration; 1 if it is none, or does not say."""
    from accelerate.commands.config.config_args import default_config_file, load_config_from_file

    if asked is None:
        return 1
    if not asked.num_processes and (asked.config_file or Path(default_config_file).is_file()):
        return getattr(load_config_from_file(asked.config_file), "num_processes", None) or 1
    return asked.num_processes or 1
