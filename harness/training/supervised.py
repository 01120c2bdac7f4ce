"""A causal model's loss, with logits made at supervised positions alone."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers.utils.generic import ModelOutput

from harness.runs.job import IGNORED


@dataclass
class SupervisedLoss(ModelOutput):
    """The summed negative log-likelihood of the supervised tokens of a batch."""

    loss_sum: torch.Tensor | None = None


def with_supervised_forward(model: Any) -> None:
    """Teaches a causal model of transformers the keyword `supervised_positions_only`; see `supervised_forward`."""
    model.forward = types.MethodType(supervised_forward, model)


def supervised_forward(
    self: Any, *args: Any, labels: Any = None, supervised_positions_only: bool = False, **inputs: Any
) -> Any:
    """The forward of a causal model that projects to the vocabulary only where a label stands."""
    if not supervised_positions_only:
        return type(self).forward(self, *args, labels=labels, **inputs)
    hidden = self.base_model(*args, **inputs).last_hidden_state[:, :-1]
    targets = labels[:, 1:]
    supervised = targets != IGNORED
    config = self.config.get_text_config()
    logits = self.get_output_embeddings()(hidden[supervised])
    scale = logit_scale(config)
    if scale != 1:
        logits = logits * scale
    softcap = getattr(config, "final_logit_softcapping", None)
    if softcap:
        logits = softcap * torch.tanh(logits / softcap)
    logits, targets = logits.float(), targets[supervised]
    return SupervisedLoss(loss_sum=functional.cross_entropy(logits, targets, reduction="sum"))


def logit_scale(config: Any) -> float:
    """What a model multiplies its logits by, under the names its family has for it.

    Cohere: logit_scale; Muse: output_multiplier; Falcon-H1: lm_head_multiplier. Granite and MiniCPM3 divide
    by logits_scaling, HyperCLOVA X multiplies by it.
    """
    for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):
        scale = getattr(config, name, None)
        if scale is not None:
            return float(scale)
    scaling = getattr(config, "logits_scaling", None)
    if scaling is None:
        return 1.0
    return float(scaling) if config.model_type == "hyperclovax" else 1 / float(scaling)
