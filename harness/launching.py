"""As many training processes as `accelerate launch` was asked for."""

from __future__ import annotations

import os
import sys

import psutil


def start_missing_processes() -> None:
    """Replaces this process by a launch of several, where accelerate was asked for them and started one.

    Without GPUs, `accelerate launch --num_processes 2` (1.15) starts a single process and says nothing.
    torchrun starts the processes then; accelerate finds them by its environment, with gloo between them.
    A process that stays alone takes one GPU: TRL refuses to spread one process over several.
    """
    os.environ["ACCELERATE_MIXED_PRECISION"] = "no"  # the recipe's dtype counts, not a saved configuration
    if "WORLD_SIZE" in os.environ:
        return
    wanted = processes_asked_for(parent_command())
    if wanted > 1 and on_cpu():
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(wanted)]
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // wanted)))
        os.execv(sys.executable, [*torchrun, *sys.argv])
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def parent_command() -> list[str]:
    """The command line of the process that started this one; empty where there is none to be seen."""
    try:
        return psutil.Process(os.getppid()).cmdline()
    except psutil.Error:
        return []


def processes_asked_for(command: list[str]) -> int:
    """The --num_processes of an `accelerate launch` command line; 1 if it is none, or does not say."""
    from accelerate.commands.launch import launch_command_parser

    for place, word in enumerate(command):
        if word == "accelerate.commands.launch" or (word == "launch" and command[place - 1].endswith("accelerate")):
            return launch_command_parser().parse_args(command[place + 1 :]).num_processes or 1
    return 1


def on_cpu() -> bool:
    """Whether to train on the CPU: without a GPU, or where `accelerate launch --cpu` asks for it."""
    import torch

    return os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true") or not torch.cuda.is_available()
