"""Models as they are trained, from safetensors alone."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import PartialState
from transformers import AutoModelForCausalLM

from eval.engines.four_bit import differentiable, rounding
from harness.exits import is_out_of_memory
from harness.models.base import cannot_load
from harness.models.devices import on_cpu
from harness.models.reinitialise import reinitialise
from harness.runs.job import CellJob
from harness.training.attention import attend_to_joined_rows
from harness.training.sharding import is_sharded
from harness.training.zero3 import whole_models


def load_base_model(job: CellJob, location: str, revision: str | None) -> Any:
    """The base model, or one that was tuned, on this process's device, frozen, from safetensors alone.

    In float32 where it is to be tuned itself. Raises UserError for weights that cannot be loaded, and for blocks to be
    re-initialised that it does not have.
    """
    dtype = torch.float32 if job.trains_whole_model else getattr(torch, job.dtype)
    rounded = rounding(job.quantization, dtype, PartialState().device)
    try:
        with whole_models():
            model: Any = AutoModelForCausalLM.from_pretrained(
                location,
                revision=revision,
                dtype=dtype,
                trust_remote_code=job.trust_remote_code,
                use_safetensors=True,
                **rounded,
            )
    except Exception as error:  # broken weights make it raise whatever
        if is_out_of_memory(error):
            raise
        raise cannot_load("weights", location, error) from None
    if new := job.reinitialise:
        assert new.layers
        reinitialise(model, new.layers, new.seed, new.elsewhere)
    model.requires_grad_(False)
    if on_cpu():
        attend_to_joined_rows(model)
    if rounded:
        return differentiable(model)
    return model if is_sharded() else model.to(PartialState().device)
