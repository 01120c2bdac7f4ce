"""How long a study will still take on this machine, measured by a probe of some seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from data_mixes.mixture import batches_by_length
from eval.analysis.design import BASE
from harness.console import duration
from harness.models.devices import gpu_count, on_cpu, this_device
from harness.models.precision import emulation_cost, precision_for
from harness.planning.plan import TimeLeft
from harness.recipe.grid import choose
from harness.runs.folder import StudyFolder
from harness.training.batches import micro_batch_of, processes_that_share

if TYPE_CHECKING:
    from harness.planning.study import CellPlan, Study

SEQUENCES = {"vllm": 256, "transformers": 16}
"""How many completions an engine writes at once."""
STARTS = 120.0
"""Seconds set aside, unmeasured, for what no probe can tell: loading programs, the engine's start, the report."""


@dataclass(frozen=True, slots=True)
class TrainingWork:
    """What there is to train on, padding counted."""

    micro_batches: int
    rows: int
    tokens: int
    supervised: int


@dataclass(frozen=True, slots=True)
class GenerationWork:
    """What there is to generate."""

    completions: int
    prompt_tokens: int
    new_tokens: int
    """At most."""


def time_left(study: Study, cells: str | None) -> TimeLeft:
    """The forecast of the chosen cells and the base; why there is none, if the probe fails: no study stops for it."""
    chosen = {cell.name for cell in choose(study.cells, cells)}
    try:
        return forecast(study, [plan for plan in study.plans if plan.name in chosen])
    except Exception as error:  # whatever torch or a model's code raises
        return TimeLeft(problem=f"{type(error).__name__}: {error}".splitlines()[0])


def training_in_words(left: TimeLeft) -> str:
    """What a forecast says of training, to be added to a sentence."""
    return "" if left.problem else f", about {duration(left.training)}"


def forecast(study: Study, plans: Sequence[CellPlan]) -> TimeLeft:
    """What is left of these cells and the base, on this machine. Raises what the probe does."""
    pending = [plan for plan in plans if not plan.run.finished]
    processes = training_processes(pending)
    training = [training_work(plan, processes) for plan in pending]
    generation = generation_work(study, plans)
    if not pending and not generation.completions:
        return TimeLeft()
    from transformers import AutoConfig

    from harness.training.probe import Shape, measure

    started = time.monotonic()
    device = this_device()
    emulated = study.precision.dtype == "bfloat16" and precision_for(device).dtype != "bfloat16"
    slower = emulation_cost() if emulated else 1.0
    config: Any = AutoConfig.from_pretrained(
        study.model.location, revision=study.model.revision, trust_remote_code=study.recipe.model.trust_remote_code
    )
    shape = Shape(*typical_shape(training) if training else (8, max(1, mean_prompt(generation)), 1))
    sequences = min(SEQUENCES[study.engine.name], max(1, generation.completions))
    dtype = "float32" if emulated else study.precision.dtype
    pace = measure(config, dtype, device.kind, (pending or plans)[0].cell.recipe.adapter, shape, sequences)
    micro_batches = sum(each.micro_batches for each in training)
    reading, writing = generation.prompt_tokens * pace.reading, generation.new_tokens / sequences * pace.writing
    return TimeLeft(
        training=slower * micro_batches * pace.training,
        generation=slower * (reading + writing),
        starts=STARTS,
        device=device.name,
        emulation=slower if emulated else None,
        probe=time.monotonic() - started,
    )


def training_processes(pending: Sequence[CellPlan]) -> int:
    """How many processes will train, a GPU each."""
    batches = [plan.cell.recipe.training.global_batch for plan in pending]
    return 1 if on_cpu() or not batches else processes_that_share(batches, gpu_count())


def training_work(plan: CellPlan, processes: int) -> TrainingWork:
    """The micro-batches of one process, each padded to its longest row."""
    training = plan.cell.recipe.training
    rows = micro_batch_of(training, processes)
    order = np.array(batches_by_length(plan.lengths.tokens.tolist(), training.global_batch))
    tokens = plan.lengths.tokens[order]
    starts = np.arange(0, len(tokens), rows)
    padded = int(np.maximum.reduceat(tokens, starts).sum()) * rows
    supervised = int(plan.lengths.supervised_tokens.sum())
    return TrainingWork(-(-len(starts) // processes), rows * len(starts), padded, supervised)


def typical_shape(work: Sequence[TrainingWork]) -> tuple[int, int, int]:
    """The mean micro-batch: rows, tokens of a row, supervised tokens of a row."""
    micro_batches = sum(each.micro_batches for each in work)
    rows = sum(each.rows for each in work)
    tokens, supervised = sum(each.tokens for each in work), sum(each.supervised for each in work)
    return max(1, round(rows / micro_batches)), max(1, round(tokens / rows)), max(1, round(supervised / rows))


def generation_work(study: Study, plans: Sequence[CellPlan]) -> GenerationWork:
    """The completions that are still wanted of these cells and of the base."""
    path = StudyFolder(study.folder).predictions
    there: dict[tuple[str, str | None], int] = {}
    if path.is_file():
        counts = pl.read_parquet(path, columns=["cell", "adapter"]).group_by("cell", "adapter").len()
        there = {(cell, adapter): count for cell, adapter, count in counts.iter_rows()}
    models: list[tuple[str, str | None]] = [(BASE, None)] if study.recipe.evaluation.base else []
    models += [(plan.name, plan.run.record.get("adapter")) for plan in plans]
    prompts = [(len(ids), each.max_tokens) for each in study.evaluation_sets for ids, _ in study.test_prompts(each)]
    left = sum(max(0, len(prompts) - there.get(model, 0)) for model in models) / max(1, len(prompts))
    read, written = (round(left * sum(each[key] for each in prompts)) for key in (0, 1))
    return GenerationWork(round(left * len(prompts)), read, written)


def mean_prompt(work: GenerationWork) -> int:
    """Tokens of a prompt, on average."""
    return round(work.prompt_tokens / max(1, work.completions))
