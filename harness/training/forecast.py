"""How long a study will still take on this machine: its work, paced by a probe of some seconds, which is kept."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import polars as pl
from pydantic import ValidationError

from data_mixes.storage import DamagedError, free_bytes, read_sealed, write_sealed
from eval.analysis.design import BASE
from eval.predictions_and_scores import with_weights
from harness.console import duration
from harness.errors import MachineError
from harness.models.base import find_model
from harness.models.devices import this_device
from harness.models.precision import Dtype, emulation_cost, precision_for
from harness.planning.kept_plan import PlannedCell, PlannedStudy
from harness.planning.overview import disk_in_words
from harness.planning.plan import TimeLeft
from harness.planning.work import TrainingWork, together
from harness.recipe.grid import choose
from harness.recipe.schema import Recipe
from harness.results import Result
from harness.runs.folder import StudyFolder

SEQUENCES = {"vllm": 256, "transformers": 16}
"""How many completions an engine writes at once."""
BYTES = {"float32": 4, "bfloat16": 2}
"""Of a weight on disk. Adapters, and weights and moments in checkpoints, are in float32."""
KEPT_CHECKPOINTS = 3
"""Two are kept, and a third is there while it is written."""
STARTS = 120.0
"""Seconds set aside, unmeasured, for what no probe can tell: loading programs, the engine's start, the report."""


class KeptPace(Result):
    """Seconds that this machine takes, the emulation of a number format counted."""

    key: str
    """Of the plan and the machine that it holds for."""
    micro_batch: float
    """Of a micro-batch of training that is the mean of the study; another takes as long as it has tokens."""
    reading: float
    """Of a token of a prompt."""
    writing: float
    """Of a token of a completion."""
    adapter: float
    """Weights of an adapter of rank 1."""
    model: int
    """Weights of the model."""
    emulation: float | None
    """How many times as long a product takes as in float32, where the number format is emulated."""
    device: str
    probe: float
    """Seconds that measuring took."""


def time_left(study: PlannedStudy, cells: str | None, measure_again: bool = False) -> TimeLeft:
    """The forecast of the chosen cells and the base; why there is none, if the probe fails: no study stops for it."""
    chosen = {cell.name for cell in choose(study.cells, cells)}
    plans = [plan for plan in study.plans if plan.name in chosen]
    training = [study.kept.work.training[plan.name] for plan in plans if not plan.run.finished]
    models = models_left(study, plans)
    if not training and not models:
        return TimeLeft()
    try:
        pace = (None if measure_again else kept_pace(study)) or measured_pace(study)
    except Exception as error:  # whatever torch or a model's code raises
        return TimeLeft(problem=f"{type(error).__name__}: {error}".splitlines()[0])
    precision, recipes = study.kept.overview.precision, {cell.name: cell.recipe for cell in study.cells}
    mean, generation = together(list(study.kept.work.training.values())), study.kept.work.generation
    return TimeLeft(
        training=together(training).tokens / mean.tokens * mean.micro_batches * pace.micro_batch,
        generation=models * (generation.tokens * pace.reading + generation.new_tokens * pace.writing),
        starts=STARTS,
        device=pace.device,
        emulation=pace.emulation,
        probe=pace.probe,
        disk=disk_left(pace, [recipes[plan.name] for plan in plans if not plan.run.finished], precision.dtype),
        free=free_bytes(study.folder),
        folder=str(study.folder),
    )


def check_disk(left: TimeLeft) -> None:
    """Raises MachineError where training needs more of the disk than is free."""
    if not left.fits:
        raise MachineError(disk_in_words(left))


def disk_left(pace: KeptPace, recipes: Sequence[Recipe], dtype: Dtype) -> int:
    """Bytes for the weights of cells that are to be trained, and for the checkpoints of one: weights and two moments.

    Of cells that keep nothing, the largest counts alone, as `harness run` evaluates each before it trains the next.
    """
    kept, removed, checkpoints = [0], [0], [0]
    for recipe in recipes:
        full = recipe.training.method == "full"
        weights = pace.model if full else pace.adapter * recipe.adapter.rank
        size = round(weights * (BYTES[dtype] if full else BYTES["float32"]))
        (kept if recipe.training.keep == "weights" else removed).append(size)
        checkpoints.append(round(weights * BYTES["float32"] * 3 * KEPT_CHECKPOINTS))
    return sum(kept) + max(removed) + max(checkpoints)


def training_in_words(left: TimeLeft) -> str:
    """What a forecast says of training, to be added to a sentence."""
    return "" if left.problem else f", about {duration(left.training)}"


def models_left(study: PlannedStudy, plans: list[PlannedCell]) -> float:
    """How many of these cells and the base still generate, in models: a half is a model with half of its completions.

    Completions of weights that are not the cell's present ones do not count.
    """
    prompts = study.kept.work.generation.prompts
    folder, there = StudyFolder(study.folder), Counter[tuple[str, str | None]]()
    for path, of_repeats in ((folder.predictions, False), (folder.repeats, True)):
        if path.is_file():
            with suppress(pl.exceptions.PolarsError, OSError):  # a damaged table is reported elsewhere and remade
                table = with_weights(pl.scan_parquet(path, glob=False))
                again = table.filter(pl.col("repeat") > 0) if of_repeats else table
                counts = again.group_by("cell", "weights").len().collect()
                there.update({(cell, weights): count for cell, weights, count in counts.iter_rows()})
    models: list[tuple[str, str | None]] = [(BASE, None)] if study.recipe.evaluation.base else []
    models += [(plan.name, plan.run.weights_hash) for plan in plans]
    return sum(max(0, prompts - there.get(model, 0)) for model in models) / max(1, prompts)


def kept_pace(study: PlannedStudy) -> KeptPace | None:
    """The pace measured earlier for this plan on this machine, if there is one."""
    try:
        pace = KeptPace.model_validate_json(read_sealed(StudyFolder(study.folder).pace))
    except (OSError, DamagedError, ValidationError):
        return None
    return pace if pace.key == pace_key(study) else None


def measured_pace(study: PlannedStudy) -> KeptPace:
    """The pace of this study's mean micro-batch on this machine, measured now, and kept. Raises what the probe does."""
    from transformers import AutoConfig

    from harness.training.pace import Shape, measure

    started = time.monotonic()
    device, precision = this_device(), study.kept.overview.precision
    emulated = precision.dtype == "bfloat16" and precision_for(device).dtype != "bfloat16"
    slower = emulation_cost() if emulated else 1.0
    files = find_model(study.recipe.model.name, study.recipe.model.revision)
    config: Any = AutoConfig.from_pretrained(
        files.location, revision=files.revision, trust_remote_code=study.recipe.model.trust_remote_code
    )
    shape = Shape(*mean_shape(together(list(study.kept.work.training.values()))))
    completions = study.kept.work.generation.prompts * (len(study.cells) + study.recipe.evaluation.base)
    sequences = min(SEQUENCES[study.kept.overview.engine.name], max(1, completions))
    dtype = "float32" if emulated else precision.dtype
    first = study.cells[0].recipe
    pace = measure(config, dtype, device.kind, first.adapter, shape, sequences, first.training.method == "full")
    kept = KeptPace(
        key=pace_key(study),
        micro_batch=slower * pace.training,
        reading=slower * pace.reading,
        writing=slower * pace.writing / sequences,
        adapter=pace.adapter / first.adapter.rank,
        model=pace.model,
        emulation=slower if emulated else None,
        device=device.name,
        probe=time.monotonic() - started,
    )
    with suppress(OSError):  # what cannot be kept is measured again
        write_sealed(StudyFolder(study.folder).pace, kept.model_dump_json(indent=1) + "\n")
    return kept


def pace_key(study: PlannedStudy) -> str:
    """What a pace holds for."""
    return f"{study.kept.key} {study.kept.machine}"


def mean_shape(work: TrainingWork) -> tuple[int, int, int]:
    """The mean micro-batch: rows, tokens of a row, supervised tokens of a row."""
    return (
        max(1, round(work.rows / work.micro_batches)),
        max(1, round(work.tokens / work.rows)),
        max(1, round(work.supervised / work.rows)),
    )
