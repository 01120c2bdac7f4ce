"""Training in processes of its own: from `harness run`, and as many as `accelerate launch` was asked for."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from harness.console import counted, is_first_process, say
from harness.errors import INTERRUPTED, Problem, UserError, not_trained
from harness.interrupts import GRACE, QUIET
from harness.models.devices import gpu_count, on_cpu
from harness.planning.jobs import write_jobs
from harness.runs.job import read_job
from harness.training.batches import processes_that_share

if TYPE_CHECKING:
    from harness.planning.study import Study

FORCE = "HARNESS_FORCE_PROCESSES"
"""The variable of the environment that lets more processes start than there are GPUs or cores."""


def start_missing_processes() -> None:
    """Replaces this process by a launch of several, where accelerate was asked for them and started one.

    Without GPUs, `accelerate launch --num_processes 2` (1.15) starts a single process and says nothing.
    torchrun starts the processes then; accelerate finds them by its environment, with gloo between them.
    A process that stays alone takes one GPU: TRL refuses to spread one process over several.
    Raises UserError for more processes than this machine has room for.
    """
    os.environ["ACCELERATE_MIXED_PRECISION"] = "no"  # the recipe's dtype counts, not a saved configuration
    if "WORLD_SIZE" in os.environ:
        check_processes("--num_processes", int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        return
    wanted = processes_asked_for(parent_command())
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


def processes_asked_for(command: list[str]) -> int:
    """The --num_processes of an `accelerate launch` command line; 1 if it is none, or does not say."""
    from accelerate.commands.launch import launch_command_parser

    for position, word in enumerate(command):
        if word == "accelerate.commands.launch" or (word == "launch" and command[position - 1].endswith("accelerate")):
            return launch_command_parser().parse_args(command[position + 1 :]).num_processes or 1
    return 1


def train_pending(study: Study, chosen: Collection[str], expected: str, processes: int | None) -> int:
    """Trains those of the chosen cells that are not trained; `expected` is what is known of the time.

    Returns the exit status of the training: 0 as well where it came to its end, and cells are recorded as failed.
    """
    pending = [plan for plan in study.plans if plan.name in chosen and not plan.run.finished]
    if not pending:
        say("train: every cell is already trained")
        return 0
    say(f"train: {counted(len(pending), 'cell')}{expected}")
    write_jobs(study, pending)
    status = launch_training(study.folder, [plan.name for plan in pending], processes)
    if all(plan.run.finished or plan.run.failure for plan in pending):
        return 0
    say(f"error: training ended {ending(status)}")
    return status if status > 0 else 1


def ending(status: int) -> str:
    """How training ended before its time, and where to look for the reason."""
    if status == -signal.SIGKILL:
        return "by SIGKILL, as the system does when memory runs out; the same command goes on from the last checkpoint"
    return f"with status {status}; the messages above say why"


def check_complete(study: Study, chosen: Collection[str]) -> None:
    """Raises MachineError naming the chosen cells that could not be trained."""
    plans = [plan for plan in study.plans if plan.name in chosen]
    if failed := {plan.name: plan.run.failure for plan in plans if plan.run.failure}:
        raise not_trained(failed)


def launch_training(study: Path, names: Sequence[str], processes: int | None) -> int:
    """Trains planned cells in a process of its own, so that its memory is free again for the engine.

    Returns its exit status.
    """
    batches = [read_job(study, name).training.global_batch for name in names]
    count = processes or processes_that_share(batches, gpu_count() or 1)
    command = [sys.executable]
    if count > 1:
        command += ["-m", "accelerate.commands.launch", "--quiet", "--num_processes", str(count), "--num_machines", "1"]
        command += ["--mixed_precision", "no", "--dynamo_backend", "no"]
        command += ["--multi_gpu"] if gpu_count() else ["--cpu"]
    command += [str(Path(__file__).parent.parent / "train.py"), str(study), "--cells", ",".join(names)]
    child = subprocess.Popen(command, preexec_fn=end_with_parent, env=os.environ | {QUIET: "1"})
    try:
        status = child.wait()
    except KeyboardInterrupt:
        try:
            child.wait(GRACE - 1)  # a terminal has given it the same signal; a `kill` of this process has not
        except subprocess.TimeoutExpired:
            child.terminate()
        raise
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    return status


def end_with_parent() -> None:
    """Has the kernel end this process when its parent is killed, where it can (Linux: PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
