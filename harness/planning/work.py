"""What a study has to train and to generate, counted from its plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from data_mixes.mixture import batches_by_length
from harness.models.devices import gpu_count, on_cpu
from harness.results import Result
from harness.training.batches import are_joined, micro_batch_of, processes_that_share

if TYPE_CHECKING:
    from harness.planning.bases import Base
    from harness.planning.cells import CellPlan
    from harness.planning.study import Study


class TrainingWork(Result):
    """What one process trains of a cell, or of several, what padding there is counted."""

    micro_batches: int
    rows: int
    tokens: int
    supervised: int


class PromptWork(Result):
    """What one model generates."""

    prompts: int
    tokens: int
    """Of the prompts."""
    new_tokens: int
    """At most: completions may end before their `max_tokens`."""


class StudyWork(Result):
    """All that a study has to train and to generate on this machine, whatever of it is done."""

    training: dict[str, TrainingWork]
    """By cell."""
    generation: dict[str, PromptWork]
    """Of a model, by the whole model that engines load for it."""


def work_of(study: Study) -> StudyWork:
    """The work of a planned study, each cell trained by as many processes as this machine has GPUs for."""
    batches = [plan.cell.recipe.training.global_batch for plan in study.plans]
    processes = 1 if on_cpu() else processes_that_share(batches, gpu_count())
    return StudyWork(
        training={plan.name: training_work(plan, processes) for plan in study.plans},
        generation={host.name: prompt_work(study, host) for host in study.hosts},
    )


def prompt_work(study: Study, base: Base) -> PromptWork:
    """What a model generates that has this base model, or is it."""
    prompts = [
        (len(ids), tested.max_tokens)
        for tested in study.evaluation_sets
        for ids, _ in base.prompts(tested)
        for _ in range(tested.samples if tested.samples > 1 else study.recipe.evaluation.repeats)
    ]
    return PromptWork(
        prompts=len(prompts),
        tokens=sum(tokens for tokens, _ in prompts),
        new_tokens=sum(new_tokens for _, new_tokens in prompts),
    )


def training_work(plan: CellPlan, processes: int) -> TrainingWork:
    """The micro-batches of one process: rows joined without padding, or where they are long padded to the longest."""
    training = plan.cell.recipe.training
    rows = micro_batch_of(training, processes)
    order = batches_by_length(plan.lengths.tokens, training.global_batch)
    tokens = plan.lengths.tokens[order]
    starts = np.arange(0, len(tokens), rows)
    computed = sum(
        int(batch.sum()) if are_joined(batch.tolist()) else int(batch.max()) * len(batch)
        for batch in (tokens[start : start + rows] for start in starts)
    )
    return TrainingWork(
        micro_batches=-(-len(starts) // processes),
        rows=rows * len(starts),
        tokens=computed,
        supervised=int(plan.lengths.supervised_tokens.sum()),
    )


def together(work: Sequence[TrainingWork]) -> TrainingWork:
    """The work of several cells."""
    return TrainingWork(
        micro_batches=sum(cell.micro_batches for cell in work),
        rows=sum(cell.rows for cell in work),
        tokens=sum(cell.tokens for cell in work),
        supervised=sum(cell.supervised for cell in work),
    )
