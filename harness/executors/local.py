"""Training on this machine, in processes of its own: workers side by side, each of which takes one cell after another.

A small LoRA step keeps no GPU busy, so that cells side by side, a GPU each, are done sooner than one cell on all GPUs.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from data_mixes.holds import holder_of
from harness.console import counted, in_groups, say
from harness.errors import INTERRUPTED, TERMINATED, TerminatedError, not_trained
from harness.interrupts import GRACE, LAST_SECONDS, QUIET, end_with_parent
from harness.models.devices import gpu_count
from harness.planning.jobs import write_jobs
from harness.recipe.schema import Execution
from harness.runs.job import read_job
from harness.training.batches import processes_that_share
from harness.training.sharding import sharding_variables

if TYPE_CHECKING:
    from harness.executors.begun import Begun
    from harness.planning.cells import CellPlan
    from harness.planning.study import Study

CONFIGURATIONS = {
    int(file.name.partition("-")[0]): file for file in (Path(__file__).parent.parent / "launch").glob("*-gpus.yaml")
}
"""Number of GPUs of one machine → the configuration with which accelerate starts as many processes."""
POLLED = 5.0
"""Seconds between two looks at cells that processes elsewhere train."""


def train_pending(begun: Begun, expected: str = "", processes: int | None = None) -> int:
    """Trains the chosen cells that are not trained; `expected` is what is known of the time.

    Waits for cells that processes elsewhere train, and trains those that they give back. Returns the exit status of the
    training: 0 as well where it came to its end, and cells are recorded as failed.
    """
    study, pending = begun.study, begun.pending
    if not pending:
        say(f"train: {why_nothing(begun)}")
        return 0
    say(f"train: {counted(len(pending), 'cell')}{expected}")
    write_jobs(study, pending)
    while free := wait_for_others(pending):
        status = launch_training(study.folder, [plan.name for plan in free], processes, begun.execution)
        left = [plan for plan in unsettled(free) if holder_of(plan.run.files.lock) is None]
        if left and (status or len(left) == len(free)):
            say(f"error: training ended {ending(status)}")
            return status if status > 0 else 1
    return 0


def why_nothing(begun: Begun) -> str:
    """Why there is nothing to train."""
    if not begun.study.recipe.trains:
        return "the recipe is evaluation alone"
    if not begun.chosen:
        return "no cell is chosen"
    return "no other cell can be trained" if begun.failed or begun.waiting else "every cell is already trained"


def unsettled(plans: Sequence[CellPlan]) -> list[CellPlan]:
    """The cells that are neither finished nor failed."""
    return [plan for plan in plans if not plan.run.finished and plan.run.failure is None]


def wait_for_others(plans: Sequence[CellPlan]) -> list[CellPlan]:
    """The unsettled cells that nobody holds, once there are some; none when all are settled."""
    told = False
    while left := unsettled(plans):
        holders = {plan.name: holder_of(plan.run.files.lock) for plan in left}
        if free := [plan for plan in left if holders[plan.name] is None]:
            return free
        if not told:
            for line in in_groups((name, f"being trained by {holder}; waiting") for name, holder in holders.items()):
                say(line)
            told = True
        time.sleep(POLLED)
    return []


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


def launch_training(study: Path, names: Sequence[str], processes: int | None, execution: Execution) -> int:
    """Trains planned cells by workers in processes of their own, so that memory is free again for the engine.

    `processes` of each cell, if given. Returns 0, or the exit status of a worker that did not end well.
    """
    batches = [read_job(study, name).training.global_batch for name in names]
    count = processes or processes_that_share(batches, execution.gpus_per_cell if gpu_count() else 1)
    command = [*launcher(count), str(Path(__file__).parent.parent / "train.py"), str(study), "--cells", ",".join(names)]
    shards = sharding_variables(execution) if count > 1 else {}
    return wait_for([
        subprocess.Popen(command, preexec_fn=end_with_parent, env=os.environ | {QUIET: "1"} | shards | environment)
        for environment in worker_environments(execution, len(names), processes)
    ])  # fmt: skip


@contextmanager
def helpers_generating(begun: Begun, recipe: Path, cells: str | None) -> Generator[None]:
    """Has a worker for each further GPU, or each further one of `execution.workers`, generate beside this process.

    An engine wants a GPU for itself.
    """
    command = [sys.executable, "-m", "harness.cli", "work", str(recipe), "--runs", str(begun.study.runs)]
    command += ["--phase", "evaluate", *(["--cells", cells] if cells else [])]
    execution, models = begun.execution.model_copy(update={"processes_per_gpu": 1}), len(begun.chosen) + 1
    environments = worker_environments(execution, models, None)[1:] if begun.left.total else []
    helpers = [
        subprocess.Popen(command, preexec_fn=end_with_parent, env=os.environ | {QUIET: "1"} | environment)
        for environment in environments
    ]
    try:
        yield
    finally:
        end_all(helpers, LAST_SECONDS)  # all is generated: they are about to end


def launcher(processes: int) -> list[str]:
    """The command that starts a Python script in so many processes that train together.

    By the configuration that ships for so many GPUs; for another number the nearest below it with the number changed,
    as they differ in nothing else.
    """
    if processes == 1:
        return [sys.executable]
    fitting = max(number for number in CONFIGURATIONS if number <= processes)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--quiet"]
    command += ["--config_file", str(CONFIGURATIONS[fitting]), "--main_process_port", "0"]
    command += ["--num_processes", str(processes)] if fitting != processes else []
    return [*command, *([] if gpu_count() else ["--cpu"])]


def worker_environments(execution: Execution, cells: int, processes: int | None) -> list[dict[str, str]]:
    """Variables for each worker: its GPUs, or its share of the cores. One worker where a cell's processes are given."""
    if processes:
        return [{}]
    groups = list(gpu_groups(execution.gpus_per_cell)) * execution.processes_per_gpu
    number = len(groups) or 1 if execution.workers == "auto" else execution.workers
    number = max(1, min(number, cells))
    if number == 1:
        return [{"CUDA_VISIBLE_DEVICES": groups[0]} if groups else {}]
    lines = {"TTY_COMPATIBLE": "0"}  # several bars would be drawn over one another
    if groups:
        return [lines | {"CUDA_VISIBLE_DEVICES": groups[worker % len(groups)]} for worker in range(number)]
    return [lines | {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // number))}] * number


def gpu_groups(size: int) -> Iterator[str]:
    """The GPUs that this process may use, so many at a time, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = named.split(",") if named else [str(number) for number in range(gpu_count())]
    for start in range(0, len(gpus) - size + 1, size):
        yield ",".join(gpus[start : start + size])


def wait_for(workers: Sequence[subprocess.Popen[bytes]]) -> int:
    """Waits for all workers; 0, or the exit status of one that did not end well. Passes Ctrl-C and SIGTERM on."""
    try:
        # a timeout makes it short waits: polars has system calls restarted after SIGINT, so a long one is deaf to it
        statuses = [worker.wait(math.inf) for worker in workers]
    except KeyboardInterrupt:
        end_all(workers, GRACE - 1)  # a terminal has given them the same signal; a `kill` of this process has not
        raise
    except TerminatedError:
        for worker in workers:
            worker.terminate()
        end_all(workers, LAST_SECONDS - 1)
        raise
    if INTERRUPTED in statuses:
        raise KeyboardInterrupt
    if TERMINATED in statuses:
        raise TerminatedError
    return next((status for status in statuses if status), 0)


def end_all(workers: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
    """Gives workers time to end, all together, then ends them."""
    until = time.monotonic() + seconds
    for worker in workers:
        with suppress(subprocess.TimeoutExpired):
            worker.wait(max(0.0, until - time.monotonic()))
            continue
        worker.kill()
        worker.wait()
