"""Which step's weights are kept: the losses on validation rows as training goes on, and the best of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from transformers import TrainerCallback

from harness.recipe.selection_section import Selection

Losses: TypeAlias = dict[str, float]
"""Language → mean loss of a supervised token of its validation rows, or mean score of the answers to them."""
ENTRY = "validation"
"""The key of losses in the trainer's history, which its checkpoints hold: a resumed run knows them."""


class KeepBest(TrainerCallback):
    """Compares every so many steps, keeps the weights of the best one so far, and ends training out of patience."""

    def __init__(self, selection: Selection, losses: Callable[[], Losses], keep: Callable[[int], None]) -> None:
        self.selection, self.losses, self.keep = selection, losses, keep

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Compares, if it is time to."""
        step = state.global_step
        if step % self.selection.every and step != state.max_steps:
            return
        state.log_history.append({"step": step, ENTRY: self.losses()})
        curve = curve_of(state.log_history)
        best = best_step(curve, highest=self.selection.task is not None)
        if best == step:
            self.keep(step)
        since = sum(compared > best for compared in curve)
        if self.selection.patience and since >= self.selection.patience:
            control.should_training_stop = True


class KeepSteps(TrainerCallback):
    """Keeps the weights of every so many steps, besides those that the cell ends with."""

    def __init__(self, every: int, keep: Callable[[int], None]) -> None:
        self.every, self.keep = every, keep

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keeps them, if it is time to."""
        if state.global_step % self.every == 0:
            self.keep(state.global_step)


def curve_of(history: Sequence[Mapping[str, Any]]) -> dict[int, Losses]:
    """Step → losses."""
    return {entry["step"]: entry[ENTRY] for entry in history if ENTRY in entry}


def best_step(curve: Mapping[int, Losses], highest: bool = False) -> int:
    """The step of the lowest mean loss over languages, or of the highest mean score; the first of several."""
    sign = -1 if highest else 1
    return min(curve, key=lambda step: (sign * sum(curve[step].values()) / len(curve[step]), step))
