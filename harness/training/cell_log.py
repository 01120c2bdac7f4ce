"""What happens to a cell in training, in its folder: a log to read, and how far it is, for `harness status`."""

from __future__ import annotations

import os
import time
import traceback
from datetime import datetime
from typing import Any

from transformers import TrainerCallback

from data_mixes.holds import this_machine
from data_mixes.storage import write_text
from harness.console import duration
from harness.runs.folder import CellFolder
from harness.runs.job import CellJob
from harness.runs.progress import Progress

SECONDS_BETWEEN_LINES = 5.0


class CellLog(TrainerCallback):
    """Writes the log of a cell; only the first process of a launch does."""

    def __init__(self, files: CellFolder, job: CellJob) -> None:
        self._files, self._job = files, job
        self._began = self._written = time.monotonic()
        self._first = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Notes who trains, and from which step on."""
        self._began, self._first = time.monotonic(), state.global_step
        if state.is_world_process_zero:
            after = f", after step {self._first}" if self._first else ""
            write_line(self._files, f"process {os.getpid()} on {this_machine()} trains{after}")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Notes the step, its loss and the pace, now and then."""
        now, done = time.monotonic(), state.global_step - self._first
        due = now - self._written >= SECONDS_BETWEEN_LINES or state.global_step == state.max_steps
        if not (state.is_world_process_zero and logs and "loss" in logs and done and due):
            return
        self._written = now
        each = (now - self._began) / done
        progress = Progress(
            step=state.global_step,
            steps=state.max_steps,
            tokens_per_second=self._job.tokens / state.max_steps / each,
            seconds_left=each * (state.max_steps - state.global_step),
        )
        write_text(self._files.progress, progress.model_dump_json() + "\n")
        write_line(
            self._files,
            f"step {progress.step}/{progress.steps}, loss {logs['loss']:.4f}, {progress.tokens_per_second:,.0f} "
            f"tokens/s, {duration(progress.seconds_left)} left",
        )

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Notes a checkpoint."""
        if state.is_world_process_zero:
            write_line(self._files, f"checkpoint after step {state.global_step}")


def write_line(files: CellFolder, text: str) -> None:
    """Adds a line, with the time, to the log of a cell."""
    with files.log.open("a", encoding="utf-8") as log:
        log.write(f"{datetime.now().isoformat(timespec='seconds')} {text}\n")


def write_error(files: CellFolder, error: Exception) -> None:
    """Adds an error with its traceback to the log of a cell."""
    write_line(files, "".join(traceback.format_exception(error)).rstrip())
