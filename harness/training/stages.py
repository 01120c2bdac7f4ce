"""What a cell begins with where that is not the base model, and cells that are made of others' weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from harness.models.base import load_tokenizer
from harness.recipe.stages_section import OWN, Composition, LayerRange
from harness.runs.folder import StudyFolder
from harness.runs.job import CellJob
from harness.runs.record import CellRun, read_json
from harness.runs.weights import Weights
from harness.training.adapter_sums import (
    LowRank,
    added,
    merged_by_ties,
    read_adapter,
    swapped,
    with_layers,
    write_adapter,
)
from harness.training.full import save_model
from harness.training.ties import Changes, ties

OWN_ADAPTER = "own"
"""The folder, beside that of a stack's weights, with its last adapter alone."""


def parents_of(study: Path, job: CellJob) -> dict[str, CellRun]:
    """Stage → the run of the cell that must be trained before."""
    folder = StudyFolder(study)
    runs = {stage: folder.cell(cell).path for stage, cell in job.parents.items()}
    return {stage: CellRun(path, (read_json(path / "record.json") or {}).get("identity", {}))
            for stage, path in runs.items()}  # fmt: skip


def begins_with(study: Path, job: CellJob) -> Weights | None:
    """The weights that a cell goes on with, or is stacked on; None where it begins with the base model."""
    return next((run.weights for run in parents_of(study, job).values()), None)


def model_location(study: Path, job: CellJob) -> tuple[str, str | None]:
    """The model that a cell loads, and its revision: the base model, or a fully tuned one that it goes on with."""
    before = begins_with(study, job)
    if before and before.kind == "model":
        return str(before.folder), None
    return job.location, job.revision


def own_adapter(folder: Path) -> Path:
    """Where a stack's last adapter is, beside the folder of the sum."""
    return folder.with_name(OWN_ADAPTER)


def write_stack(below: Path, folder: Path) -> None:
    """Writes the sum of what is below in a stack and its last adapter, which is written already."""
    write_adapter(added([(1.0, read_adapter(below)), (1.0, read_adapter(own_adapter(folder)))]), folder)


def compose(study: Path, job: CellJob, folder: Path, load: Any) -> dict[str, float]:
    """Makes the weights of a composed cell of those of others. `load` reads a whole model from a location.

    Returns what the record is to say of how near they come. Raises ValueError where they do not fit one another.
    """
    made, parents = job.made_of, parents_of(study, job)
    assert made is not None
    if job.training.method == "full":
        folders = {stage: run.weights.folder for stage, run in parents.items()}
        compose_models(made, folders, job, folder, load)
        return {}

    def adapter(part: str) -> LowRank:
        weights = parents[part.removesuffix(OWN)].weights.folder
        return read_adapter(own_adapter(weights) if part.endswith(OWN) else weights)

    told: dict[str, float] = {}
    if made.sum:
        whole = added([(weight, adapter(part)) for part, weight in made.sum.items()])
    elif made.ties:
        whole, error = merged_by_ties([(weight, adapter(part)) for part, weight in made.ties.items()],
                                      made.density, made.rank)  # fmt: skip
        told = {"rank_error": error}
    else:
        assert made.take and made.layers
        whole = with_layers(adapter(made.take), by_layer({part: adapter(part) for part in made.layers}, made.layers))
    write_adapter(whole, folder)
    return told


def compose_models(made: Composition, folders: Mapping[str, Path], job: CellJob, folder: Path, load: Any) -> None:
    """The same of whole models: a sum is of what they changed in the base model's weights."""

    def weights(stage: str) -> dict[str, torch.Tensor]:
        return load(str(folders[stage]), None).state_dict()

    model = load(job.location, job.revision)
    state: dict[str, torch.Tensor] = model.state_dict()
    if made.sum:
        base = {name: weight.clone() for name, weight in state.items()}
        for stage, share in made.sum.items():
            tuned = weights(stage)
            state = {name: weight + share * (tuned[name] - base[name]) for name, weight in state.items()}
    elif made.ties:
        tuned = [(share, weights(stage)) for stage, share in made.ties.items()]
        merged = ties([(share, changes_of(state, own)) for share, own in tuned], made.density)
        state = {**state, **{name: state[name] + change.to(state[name]) for name, change in merged}}
    else:
        assert made.take and made.layers
        others = by_layer({stage: weights(stage) for stage in made.layers}, made.layers)
        state = swapped(weights(made.take), others)
    tokenizer = load_tokenizer(job.location, job.revision, job.trust_remote_code)
    save_model(model, state, tokenizer, getattr(torch, job.dtype), folder, job.trust_remote_code)


def changes_of(base: Mapping[str, torch.Tensor], tuned: Mapping[str, torch.Tensor]) -> Changes:
    """What tuning changed in each weight that is a number of a kind that learns."""
    return {name: partial(lambda name: (tuned[name] - base[name]).float(), name)
            for name, weight in base.items() if weight.is_floating_point()}  # fmt: skip


def by_layer(parts: Mapping[str, Any], layers: Mapping[str, tuple[LayerRange, ...]]) -> dict[int, Any]:
    """Layer → the part that it is taken from."""
    return {layer: parts[name] for name, spans in layers.items() for first, end in spans for layer in range(first, end)}
