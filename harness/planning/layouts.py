"""What a study would take on GPUs that are not here: memory of a cell by its layout, GPU-hours, hours.

Estimates from data sheets and the configurations of models; nothing of them is measured. Memory of full tuning is 16
bytes a weight for weights, gradients and two moments in float32, and 2 for the weights that bfloat16 products read.
That of activations is 34 bytes a token, layer and hidden unit where attention keeps no scores (arXiv 2205.05198, 4.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import computed_field

from harness.console import size
from harness.errors import Problem, UserError, suggestion
from harness.models.accelerators import ACCELERATORS, Accelerator
from harness.planning.disk import disk_for
from harness.recipe.schema import Recipe
from harness.recipe.training_section import Adapter
from harness.results import Result

if TYPE_CHECKING:
    from harness.planning.kept_plan import PlannedStudy

ASKED = re.compile(r"(?:(\d{1,4})\s*[x×]\s*)?(.+)")
TRAINING, READING, WRITING = 0.4, 0.5, 0.6
"""Assumed: the share of peak FLOP that training and prompts reach, and of bandwidth that completions do."""
AT_ONCE = 256
"""Completions that an engine writes at once."""
TUNED, COPIED = 16, 2
"""Bytes of a weight that is tuned, and of one that products read in bfloat16."""
ROUNDED = 0.5 + 4 / 64
"""Bytes of a weight in nf4: four bits, and its share of a float32 constant for 64 of them (arXiv 2305.14314, 2)."""
ACTIVATIONS, KEPT = 34, 2
"""Bytes per token, layer and hidden unit: all that the backward pass needs, or what it starts over from."""
SPARE, OTHER = 0.9, 2e9
"""The share of a GPU's memory that is used, and bytes of its context and of the head's logits."""


class Layout(Result):
    """How a cell may lie on GPUs."""

    gpus_per_cell: int
    sharding: str
    activation_checkpointing: bool
    offload: bool
    memory: float
    """Bytes on each GPU, with rows of training.max_length one at a time."""
    fits: bool
    disk: int
    """Bytes that training takes, with the checkpoints of the cells that train at the same time."""

    @property
    def in_words(self) -> str:
        """The keys of `execution` that ask for it."""
        named = [f"gpus_per_cell: {self.gpus_per_cell}"] if self.gpus_per_cell > 1 else []
        named += [f"sharding: {self.sharding}"] if self.sharding != "none" else []
        named += [f"{key}: true" for key in ("activation_checkpointing", "offload") if getattr(self, key)]
        return ", ".join(named) or "a cell on each GPU"


class ModelOnDevices(Result):
    """The cells of one base model on such GPUs."""

    model: str
    weights: int
    cells: int
    training_gpu_hours: float
    generation_gpu_hours: float
    """At most: completions may end before their longest."""
    layouts: tuple[Layout, ...]

    @property
    def smallest(self) -> Layout | None:
        """The fewest GPUs that a cell fits on, of these the fastest layout; offloaded only where nothing else fits."""
        fitting = [layout for layout in self.layouts if layout.fits]
        return next((layout for layout in fitting if not layout.offload), fitting[0] if fitting else None)


class OnDevices(Result):
    """A whole study on GPUs of one kind, whatever of it is done here."""

    device: str
    gpus: int
    models: tuple[ModelOnDevices, ...]

    @computed_field
    @property
    def gpu_hours(self) -> float:
        """Of training and generation together."""
        return sum(model.training_gpu_hours + model.generation_gpu_hours for model in self.models)

    @computed_field
    @property
    def hours(self) -> float | None:
        """On all of the GPUs, each group of a layout taking the next cell; None where some model fits no layout."""
        total = 0.0
        for model in self.models:
            if model.smallest is None:
                return None
            beside = min(self.gpus // model.smallest.gpus_per_cell, max(1, model.cells))
            total += model.training_gpu_hours / (beside * model.smallest.gpus_per_cell)
            total += model.generation_gpu_hours / min(self.gpus, model.cells + 1)
        return total


@dataclass(frozen=True, slots=True)
class Dimensions:
    """What memory depends on."""

    weights: int
    layers: int
    hidden: int
    adapter: int
    """Weights of an adapter; 0 where the model itself is tuned."""
    rounded: int = 0
    """Weights that are in four bits."""

    @property
    def parted(self) -> bool:
        """Whether processes can each hold a part."""
        return not self.rounded


def asked_devices(text: str) -> tuple[int, str]:
    """How many GPUs of which kind "8xH100" asks for. Raises UserError for an unknown kind."""
    match = ASKED.fullmatch(text.strip())
    count, name = (int(match[1] or 1), match[2].strip()) if match else (0, text)
    known = {kind.casefold(): kind for kind in ACCELERATORS}
    if not count or name.casefold() not in known:
        message = f"got {text!r}; give a number and a GPU, as in 8xH100; {suggestion(name, ACCELERATORS)}"
        raise UserError([Problem("--on", message)])
    return count, known[name.casefold()]


def on_devices(study: PlannedStudy, gpus: int, device: str) -> OnDevices:
    """What a planned study takes on so many GPUs of a kind."""
    return OnDevices(device=device, gpus=gpus, models=tuple(models_on(study, gpus, ACCELERATORS[device])))


def models_on(study: PlannedStudy, gpus: int, device: Accelerator) -> Iterator[ModelOnDevices]:
    """Each base model with its cells."""
    from harness.training.utilization import arithmetic, weights_of

    work = study.kept.work
    planned = {cell.name: cell for cell in study.kept.overview.cells}
    for name in study.kept.hosts:
        cells = [cell for cell in study.cells if study.base_names[cell.name] == name]
        recipe = cells[0].recipe if cells else study.recipe
        model = model_on_paper(study, name).requires_grad_(recipe.trains_whole_model)
        weights, dimensions = weights_of(model), dimensions_of(model, recipe, study.kept.hosts[name].quantization)
        trained = [(weights_trained(model, cell.recipe), cell.recipe, planned[cell.name].steps) for cell in cells]
        disk = partial(disk_for, trained, study.kept.overview.precision.dtype)
        flop = sum(
            arithmetic(weights, planned[cell.name].tokens, planned[cell.name].supervised_tokens) for cell in cells
        )
        generation = work.generation[name]
        models = len(cells) + study.recipe.evaluation.base + sum(each.host == name for each in study.kept.outside)
        reading = 2 * dimensions.weights * generation.tokens / (READING * device.peak)
        writing = generation.new_tokens / AT_ONCE * COPIED * dimensions.weights / (WRITING * device.bandwidth)
        yield ModelOnDevices(
            model=name,
            weights=dimensions.weights,
            cells=len(cells),
            training_gpu_hours=flop / (TRAINING * device.peak) / 3600,
            generation_gpu_hours=models * (reading + writing) / 3600,
            layouts=tuple(layouts(dimensions, recipe.training.max_length, gpus, device, disk)) if cells else (),
        )


def layouts(
    dimensions: Dimensions, row: int, gpus: int, device: Accelerator, disk: Callable[[int], int]
) -> Iterator[Layout]:
    """Layouts from the fewest GPUs up, of these the fastest first; `disk` is what so many cells at a time take."""
    count = 1
    while count <= (gpus if dimensions.parted else 1):
        ways = [(False, False), (True, False)] + ([(True, True)] if count > 1 else [])
        for checkpointing, offload in ways if count > 1 else [(False, False)]:
            memory = memory_of(dimensions, row, count, checkpointing, offload)
            yield Layout(
                gpus_per_cell=count,
                sharding="fsdp2" if count > 1 else "none",
                activation_checkpointing=checkpointing,
                offload=offload,
                memory=memory,
                fits=memory <= SPARE * device.memory,
                disk=disk(gpus // count),
            )
        count *= 2


def memory_of(dimensions: Dimensions, row: int, gpus: int, checkpointing: bool, offload: bool) -> float:
    """Bytes on each of the GPUs that train a cell, one row of so many tokens at a time."""
    read = COPIED * (dimensions.weights - dimensions.rounded) + ROUNDED * dimensions.rounded
    states = read + TUNED * (dimensions.adapter or dimensions.weights)
    layer = dimensions.weights / dimensions.layers
    copies = COPIED if dimensions.adapter else TUNED // 4 + COPIED
    gathered = 2 * layer * copies if gpus > 1 else 0.0  # the layer under way and the next
    one_layer = ACTIVATIONS * row * dimensions.hidden
    activations = (
        KEPT * row * dimensions.hidden * dimensions.layers + one_layer
        if checkpointing
        else one_layer * dimensions.layers
    )
    return (0.0 if offload else states / gpus) + gathered + activations + OTHER


def model_on_paper(study: PlannedStudy, name: str) -> Any:
    """A base model without its weights, from its configuration alone."""
    import torch
    from transformers import AutoModelForCausalLM

    from harness.models.base import find_model, load_config

    settings = study.kept.hosts[name]
    files = find_model(settings.name, settings.revision)
    config = load_config(files.location, files.revision, settings.trust_remote_code)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def dimensions_of(model: Any, recipe: Recipe, quantization: str | None) -> Dimensions:
    """What the memory of a recipe's cells depends on."""
    text, full = model.config.get_text_config(), recipe.trains_whole_model
    rounded = sum(module.weight.numel() for module in linear_in(model).values()) if quantization == "nf4" else 0
    extra = 0 if full else adapter_weights(model, recipe.adapter)
    return Dimensions(weights_in(model), text.num_hidden_layers, text.hidden_size, extra, rounded)


def weights_trained(model: Any, recipe: Recipe) -> int:
    """How many weights of a model a recipe trains."""
    return weights_in(model) if recipe.trains_whole_model else adapter_weights(model, recipe.adapter)


def weights_in(model: Any) -> int:
    """How many weights a model has."""
    return sum(weight.numel() for weight in model.parameters())


def adapter_weights(model: Any, adapter: Adapter) -> int:
    """How many weights a model's adapter has: rank × (inputs + outputs) of each linear module that gets one."""
    from harness.training.lora import targets_in

    targets = targets_in(model, adapter)
    return sum(
        adapter.rank * (module.in_features + module.out_features)
        for name, module in linear_in(model).items()
        if isinstance(targets, str) or {name, name.rpartition(".")[2]} & {*targets}
    )


def linear_in(model: Any) -> dict[str, Any]:
    """The linear layers of a model by name, without its head: those that can have an adapter, or be of four bits."""
    from torch import nn

    head = model.get_output_embeddings()
    modules = model.named_modules()
    return {name: module for name, module in modules if isinstance(module, nn.Linear) and module is not head}


def in_words(found: OnDevices) -> list[str]:
    """What the terminal says of it."""
    named = f"{found.gpus} × {found.device}"
    lines = [
        f"On {named}, estimated from data sheets ({TRAINING:.0%} of the peak in training, {READING:.0%} in prompts, "
        f"{WRITING:.0%} of the bandwidth in completions): {found.gpu_hours:,.1f} GPU-hours"
        + (f", {found.hours:,.1f} hours" if found.hours is not None else "")
    ]
    for model in found.models:
        shown = model.smallest
        told = (
            f"{shown.in_words}, about {shown.memory / 1e9:,.0f} GB on each, and {size(shown.disk)} of disk"
            if shown
            else "fits in no layout of so many GPUs; take more of them, or larger ones"
        )
        lines.append(
            f"  {model.model} ({model.weights / 1e9:,.2f} billion weights, {model.cells} cells): training "
            f"{model.training_gpu_hours:,.1f} GPU-hours, generation {model.generation_gpu_hours:,.1f} at most; "
            + (told if model.cells else "nothing is trained")
        )
    return lines
