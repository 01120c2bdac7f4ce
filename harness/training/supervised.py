"""A causal model's loss, with logits made at supervised positions alone, and their gradient in the forward pass."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from transformers.utils.generic import ModelOutput

from harness.runs.job import IGNORED

LOGITS_AT_ONCE = 64 * 2**20
"""How many logits there are at a time: 256 MiB in float32."""


@dataclass
class SupervisedLoss(ModelOutput):
    """The summed negative log-likelihood of the supervised tokens of a batch."""

    loss_sum: torch.Tensor | None = None


class Shaping(NamedTuple):
    """What a model does to its logits."""

    scale: float = 1.0
    softcap: float | None = None


def with_supervised_forward(model: Any) -> None:
    """Teaches a causal model of transformers the keyword `supervised_positions_only`; see `supervised_forward`."""
    model.forward = types.MethodType(supervised_forward, model)


def supervised_forward(
    self: Any, *args: Any, labels: Any = None, supervised_positions_only: bool = False, **inputs: Any
) -> Any:
    """The forward of a causal model that projects to the vocabulary only where a label stands."""
    if not supervised_positions_only:
        return type(self).forward(self, *args, labels=labels, **inputs)
    hidden, targets = states_to_score(self, *args, labels=labels, **inputs)
    head, shaping = self.get_output_embeddings(), shaping_of(self)
    if has_its_weights_here(head):
        weight = head.weight
        learning = torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)
        return SupervisedLoss(loss_sum=SummedLoss.apply(hidden, weight, targets, shaping, learning))
    return SupervisedLoss(loss_sum=functional.cross_entropy(logits_of(self, hidden), targets, reduction="sum"))


def states_to_score(model: Any, *args: Any, labels: Any, **inputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The states from which a causal model's supervised tokens are to be told, positions × width, and these tokens."""
    hidden = model.base_model(*args, **inputs).last_hidden_state[:, :-1]
    targets = labels[:, 1:]
    supervised = targets != IGNORED
    return hidden[supervised], targets[supervised]


def logits_of(model: Any, states: torch.Tensor) -> torch.Tensor:
    """The logits of states, as the model's own forward returns them, in float32."""
    return shaped(model.get_output_embeddings()(states).float(), shaping_of(model))


def shaping_of(model: Any) -> Shaping:
    """What a causal model does to its logits."""
    config = model.config.get_text_config()
    return Shaping(logit_scale(config), getattr(config, "final_logit_softcapping", None))


def has_its_weights_here(head: Any) -> bool:
    """Whether a head is a product with a matrix that this process holds whole: DeepSpeed's stage 3 parts it."""
    return type(head) is torch.nn.Linear and getattr(head, "bias", None) is None and head.weight.numel() > 0


def shaped(logits: torch.Tensor, shaping: Shaping) -> torch.Tensor:
    """The logits as the model's own forward returns them."""
    if shaping.scale != 1:
        logits = logits * shaping.scale
    return logits if not shaping.softcap else shaping.softcap * torch.tanh(logits / shaping.softcap)


class SummedLoss(torch.autograd.Function):
    """The summed loss of a head's logits, whose gradient is made beside it, some positions at a time.

    Logits are thus made once and never kept: all positions of a batch take gigabytes where the vocabulary is large.
    Liger's fused loss for GPUs does so too (arXiv 2410.10989).
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, shaping: Shaping, learning: bool
    ) -> torch.Tensor:
        """`hidden` is positions × width, `weight` vocabulary × width; products are in the number format of autocast."""
        kind = hidden.device.type
        product = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        table, states = weight.to(product), hidden.to(product)
        of_states = torch.empty_like(hidden) if learning and hidden.requires_grad else None
        of_weight = torch.zeros_like(weight) if learning and weight.requires_grad else None
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        at_once = max(1, LOGITS_AT_ONCE // len(weight))
        with torch.autocast(kind, enabled=False):
            for start in range(0, len(states), at_once):
                chunk = slice(start, start + at_once)
                part = loss_part((states[chunk] @ table.T).float(), targets[chunk], shaping)
                loss += part.loss
                if of_states is not None:
                    everywhere = (part.everywhere.to(product) @ table).float() * part.share
                    of_states[chunk] = everywhere - table[targets[chunk]].float() * part.at_target
                if of_weight is not None:
                    given = states[chunk].float()
                    of_weight += part.everywhere.to(product).T @ (given * part.share).to(product)
                    of_weight.index_add_(0, targets[chunk], (given * -part.at_target).to(weight.dtype))
        ctx.gradients = (of_states, of_weight)
        return loss

    @staticmethod
    def backward(ctx: Any, *outer: Any) -> Any:
        """What was made in the forward pass, times the gradient of the loss."""
        scaled = [None if gradient is None else gradient * outer[0] for gradient in ctx.gradients]
        return (*scaled, None, None, None)


class LossPart(NamedTuple):
    """The summed loss of some positions, and its gradient: `everywhere` · `share`, less `at_target` at the target."""

    loss: torch.Tensor
    everywhere: torch.Tensor
    share: torch.Tensor
    at_target: torch.Tensor


def loss_part(logits: torch.Tensor, targets: torch.Tensor, shaping: Shaping) -> LossPart:
    """The loss of float32 logits as the head gives them, positions × vocabulary, whose memory the gradient takes.

    The gradient of a position is its softmax less 1 at the target. The softmax is left unnormalised: one pass over the
    logits less.
    """
    at = targets.unsqueeze(1)
    values = shaped(logits, shaping)
    slope = 1 - (values / shaping.softcap) ** 2 if shaping.softcap else None
    values -= values.amax(1, keepdim=True)
    of_targets = values.gather(1, at)
    exponents = values.exp_()
    sums = exponents.sum(1, keepdim=True)
    loss = (sums.log() - of_targets).sum()
    at_target = torch.full_like(sums, shaping.scale)
    if slope is not None:
        exponents *= slope
        at_target *= slope.gather(1, at)
    return LossPart(loss, exponents, shaping.scale / sums, at_target)


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
