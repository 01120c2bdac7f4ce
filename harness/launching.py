"""As many training processes as `accelerate launch` was asked for."""

from __future__ import annotations

import os
import sys

import psutil


def start_missing_processes() -> None:
    """Replaces this process by a launch of several, where accelerate was asked for them and started one.

    Without GPUs, `accelerate launch --num_processes 2` (1.15) starts a single process and says nothing.
    torchrun starts the processes then; accelerate finds them by its environment, with gloo between them.
    """
    if "WORLD_SIZE" in os.environ:
        return
    wanted = processes_asked_for(psutil.Process(os.getppid()).cmdline())
    if wanted > 1 and not _has_gpu():
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(wanted)]
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // wanted)))
        os.execv(sys.executable, [*torchrun, *sys.argv])


def processes_asked_for(command: list[str]) -> int:
    """The --num_processes of an `accelerate launch` command line; 1 if it is none, or does not say."""
    from accelerate.commands.launch import launch_command_parser

    for place, word in enumerate(command):
        if word == "accelerate.commands.launch" or (word == "launch" and command[place - 1].endswith("accelerate")):
            return launch_command_parser().parse_args(command[place + 1 :]).num_processes or 1
    return 1


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
