"""Steps of trained cells that are evaluated as models of their own."""

from __future__ import annotations

from harness.runs.record import CellRun

AT = "@"
"""What stands between a cell's name and the step."""


def step_name(cell: str, step: int) -> str:
    """What the weights that a cell had after a step are called among the models of a study."""
    return f"{cell}{AT}{step}"


def cell_of(model: str) -> str:
    """The cell that a model is a step of; of another model its own name."""
    return model.partition(AT)[0]


def own_step(run: CellRun) -> int:
    """The step whose weights are a trained cell's own: the last one, or the one that validation rows chose."""
    record = run.record
    return int(record.get("selection", {}).get("step", record["steps"]))


def evaluated_steps(run: CellRun, every: int | None) -> dict[int, str]:
    """Step → what names its weights, of the steps of a trained cell that are evaluated besides its own weights."""
    if every is None or not run.trained:
        return {}
    kept = {int(step): name for step, name in run.record.get("kept_steps", {}).items()}
    return {step: kept[step] for step in sorted(kept) if step % every == 0 and step != own_step(run)}
