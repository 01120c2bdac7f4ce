"""SIGTERM in training, as a cluster sends it: the step ends, a checkpoint is written, and the cell is given back."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from transformers import TrainerCallback

from harness.errors import TerminatedError


class StopWhenAsked(TrainerCallback):
    """Has training end with a checkpoint after the step in which one of the processes of the launch was asked to."""

    def __init__(self) -> None:
        self.asked = self.stopped = False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Has all processes save and stop."""
        process = PartialState()
        if process.num_processes > 1:
            asked: Any = reduce(torch.tensor(float(self.asked), device=process.device), "sum")
            self.asked = bool(asked > 0)
        if self.asked and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = self.stopped = True


@contextmanager
def stopping_at_sigterm() -> Generator[StopWhenAsked]:
    """A callback that SIGTERM asks to stop while the block lasts. Raises TerminatedError at the end if it did."""
    callback = StopWhenAsked()

    def ask(number: int, frame: object) -> None:
        callback.asked = True

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield callback
    finally:
        signal.signal(signal.SIGTERM, before)
    if callback.stopped:
        raise TerminatedError
