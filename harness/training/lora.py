"""LoRA adapters: put on a base model, taken off again, written to disk. The only importer of peft."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear
from safetensors.torch import load_file

from data_mixes.storage import seal, sha256_of, whole_folder
from harness.recipe.schema import Adapter
from harness.training.lora_products import join_products


@contextmanager
def adapted(model: Any, adapter: Adapter, seed: int) -> Any:
    """The model with a new adapter, initialised from the seed alone; afterwards as it was before."""
    names = {id(parameter) for parameter in model.parameters()}
    peft_model = with_adapter(model, adapter, seed)
    try:
        yield peft_model
    finally:
        peft_model.unload()
        model.__dict__.pop("forward", None)
        model.__dict__.pop("peft_config", None)
        model.__dict__.pop("_hf_peft_config_loaded", None)
    left = {id(parameter) for parameter in model.parameters()}
    assert left == names, "the base model was left changed by an adapter"


def with_adapter(model: Any, adapter: Adapter, seed: int) -> Any:
    """The model with a new adapter for good, initialised from the seed alone."""
    torch.manual_seed(seed)
    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=adapter.targets if isinstance(adapter.targets, str) else list(adapter.targets),
        task_type="CAUSAL_LM",
    )
    peft_model = get_peft_model(model, config)
    for layer in peft_model.modules():
        if type(layer) is Linear:
            join_products(layer)
    return peft_model


def with_trained(model: Any, folder: Path) -> Any:
    """The model with the adapter that a folder holds."""
    return PeftModel.from_pretrained(model, str(folder))


def save_adapter(peft_model: PeftModel, state: dict[str, torch.Tensor], folder: Path) -> None:
    """Writes the adapter in a whole model's state, whole or not at all, with a checksum beside each file."""
    with whole_folder(folder) as unfinished:
        peft_model.save_pretrained(str(unfinished), safe_serialization=True, state_dict=state)
        load_file(unfinished / "adapter_model.safetensors")
        (unfinished / "README.md").unlink(missing_ok=True)
        for file in sorted(unfinished.iterdir()):
            seal(file, sha256_of(file))
