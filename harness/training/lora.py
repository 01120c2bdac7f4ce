"""LoRA adapters: put on a base model, taken off again, written to disk. The only importer of peft."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import Linear
from safetensors.torch import load_file

from data_mixes.storage import seal, sha256_of, whole_folder
from harness.models.reinitialise import modules_of_blocks
from harness.recipe.schema import Adapter
from harness.training.lora_products import join_products

BELOW = "below"
"""What PEFT calls an adapter that another one is stacked on."""


@contextmanager
def adapted(model: Any, adapter: Adapter, seed: int, before: Path | None = None, stacked: bool = False) -> Any:
    """The model with an adapter that learns, as `with_adapter` puts it on; afterwards as it was before."""
    names = {id(parameter) for parameter in model.parameters()}
    peft_model = with_adapter(model, adapter, seed, before=before, stacked=stacked)
    try:
        yield peft_model
    finally:
        peft_model.unload()
        model.__dict__.pop("forward", None)
        model.__dict__.pop("peft_config", None)
        model.__dict__.pop("_hf_peft_config_loaded", None)
    left = {id(parameter) for parameter in model.parameters()}
    assert left == names, "the base model was left changed by an adapter"


def with_adapter(
    model: Any,
    adapter: Adapter,
    seed: int,
    whole: Sequence[str] = (),
    before: Path | None = None,
    stacked: bool = False,
) -> Any:
    """The model with an adapter for good: a new one, initialised from the seed alone, or one that goes on.

    `before` is the folder of an adapter that it goes on with, or, `stacked`, that stays below it as it is. The modules
    in `whole` learn fully.
    """
    torch.manual_seed(seed)
    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=targets_in(model, adapter),
        task_type="CAUSAL_LM",
        modules_to_save=[*whole] or None,
    )
    peft_model = get_peft_model(model, config)
    if before and stacked:
        put_below(peft_model, before)
    elif before:
        go_on_with(peft_model, before)
    for layer in peft_model.modules():
        if type(layer) is Linear:
            join_products(layer)
    return peft_model


def targets_in(model: Any, adapter: Adapter) -> str | list[str]:
    """The modules that get an adapter as PEFT is told: by their last names, or of some blocks by their whole ones."""
    if adapter.layers is None:
        return adapter.targets if isinstance(adapter.targets, str) else list(adapter.targets)
    return [
        name
        for name in modules_of_blocks(model, adapter.layers)
        if isinstance(model.get_submodule(name), torch.nn.Linear)
        and (isinstance(adapter.targets, str) or name.rpartition(".")[2] in adapter.targets)
    ]


def go_on_with(peft_model: Any, folder: Path) -> None:
    """Gives the adapter the weights of another one: all of them, where PEFT would load what fits without a word."""
    there, wanted = load_file(folder / "adapter_model.safetensors"), get_peft_model_state_dict(peft_model)
    shapes = [{name: weight.shape for name, weight in weights.items()} for weights in (there, wanted)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"the adapter in {folder} is of other modules or another rank than the one to be trained")
    set_peft_model_state_dict(peft_model, there)


def put_below(peft_model: Any, folder: Path) -> None:
    """Puts an adapter beside the one that learns: what both change is added up, and this one stays as it is."""
    peft_model.load_adapter(str(folder), adapter_name=BELOW, is_trainable=False)
    stack(peft_model)


def stack_again(peft_model: Any, checkpoint: Path) -> None:
    """Completes what transformers loads of a stack's checkpoint; leaves any other model as it is.

    It loads the lower adapter, which has a folder of its own there, not the upper one, and lets one alone take part.
    """
    if BELOW in getattr(peft_model, "peft_config", {}):
        go_on_with(peft_model, checkpoint)
        stack(peft_model)


def stack(peft_model: Any) -> None:
    """Has both adapters of a stack take part, and the upper one learn."""
    peft_model.base_model.set_adapter(["default", BELOW])
    for name, weight in peft_model.named_parameters():
        weight.requires_grad_(".default." in name)


def with_trained(model: Any, folder: Path) -> Any:
    """The model with the adapter that a folder holds."""
    return PeftModel.from_pretrained(model, str(folder))


def merged_state(peft_model: Any, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A model's state with an adapter's products added, and the modules that learn fully, by the base model's names."""
    merged: dict[str, torch.Tensor] = {}
    for name, weight in state.items():
        if ".lora_" not in name and ".original_module." not in name:
            plain = name.removeprefix("base_model.model.").replace(".modules_to_save.default", "")
            merged[plain.replace(".base_layer", "")] = weight
    for name, layer in peft_model.get_base_model().named_modules():
        if isinstance(layer, Linear):
            weight = merged[f"{name}.weight"]
            merged[f"{name}.weight"] = weight + layer.get_delta_weight("default").to(weight)
    return merged


def save_adapter(peft_model: PeftModel, state: dict[str, torch.Tensor], folder: Path) -> None:
    """Writes the adapter in a whole model's state, whole or not at all, with a checksum beside each file."""
    with whole_folder(folder) as unfinished:
        peft_model.save_pretrained(
            str(unfinished), safe_serialization=True, state_dict=state, selected_adapters=["default"]
        )
        load_file(unfinished / "adapter_model.safetensors")
        (unfinished / "README.md").unlink(missing_ok=True)
        for file in sorted(unfinished.iterdir()):
            seal(file, sha256_of(file))
