"""What a recipe says of training: what learns, how, and over which processes it is spread."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.recipe.objectives_section import Objectives
from harness.recipe.section import Amount, Batch, PositiveInt, Section, Seed


class Adapter(Section):
    """The LoRA adapter each cell trains, unless `training.method` is `full`."""

    rank: Annotated[int, Field(gt=0, le=512)] = 8  # vLLM serves no larger one
    """The rank of the LoRA matrices; vLLM serves up to 512."""
    alpha: PositiveInt = 16
    """The LoRA scale: updates are multiplied by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The share of inputs to the adapter that are dropped in training."""
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    """The modules that get an adapter, by name, or all linear layers."""
    layers: tuple[Amount, Amount] | None = None
    """The first decoder block with an adapter, and the one before which they end; by default all have one."""


class EverySteps(Section):
    """Steps of training at regular distances."""

    every: PositiveInt
    """Steps from one to the next."""


class Training(Section):
    """What is trained, and how.

    One of `epochs`, `steps` and `supervised_tokens` is held constant over the grid; the others follow.
    Rows of more than `max_length` tokens are refused, or dropped for the next ones; none is cut.
    """

    method: Literal["lora", "full"] = "lora"
    """What is trained: a LoRA adapter on the frozen base model, or the weights of the model itself. Full tuning keeps
    them in float32 while it trains, whatever the number format of its products, and saves them in that format."""
    freeze: tuple[str, ...] = ()
    """Full tuning leaves weights as they are whose names match one of these patterns, such as `*embed_tokens*`."""
    epochs: PositiveInt | None = None
    """How often the mixture is trained on. Give one of `epochs`, `steps` and `supervised_tokens`."""
    steps: PositiveInt | None = None
    """How many optimizer steps to train, whatever the size of the mixture."""
    supervised_tokens: PositiveInt | None = None
    """How many tokens that carry a loss to train on."""
    global_batch: Batch = 16
    """Rows per optimizer step, over all processes; at most 65,536."""
    micro_batch: PositiveInt | Literal["auto"] = 8
    """The most rows in one forward pass; `auto` is as many as the memory has room for. Out of memory, a cell goes on
    with half as many. Not part of the fingerprint."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    """The peak learning rate of AdamW."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the learning rate changes after the warm-up."""
    warmup_steps: Amount = 0
    """Steps in which the learning rate rises from 0."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """AdamW's weight decay."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """The norm to which gradients are clipped."""
    max_length: PositiveInt = 512
    """The longest row in tokens. Longer rows are refused or dropped, never cut."""
    long_rows: Literal["refuse", "drop"] = "refuse"
    """What happens to rows longer than `max_length`: an error, or the next row instead."""
    objectives: Objectives = Objectives()
    """Terms beside the likelihood of the supervised tokens."""
    seed: Seed = 0
    """The seed of the order in which rows are trained on, of the adapter's initial weights and of dropout. Which rows
    there are is drawn under `mixture.seed`."""
    checkpoint_every: PositiveInt = 50
    """Steps between checkpoints. Not part of the fingerprint."""
    keep: Literal["weights", "nothing-after-evaluation"] = "weights"
    """Whether a cell's weights stay on disk when it is evaluated. Its predictions, scores and record always do. Not
    part of the fingerprint."""
    keep_checkpoints: Literal["all"] | EverySteps | None = None
    """Steps of training that stay on disk as models of their own, named CELL@STEP: those of `all` checkpoints, or as
    `{every: 20}` says. Not part of the fingerprint."""
    report_to: tuple[Literal["tensorboard", "trackio", "wandb", "mlflow"], ...] = ()
    """Programs that losses are reported to while cells train, besides the record. Not part of the fingerprint."""

    @property
    def effective(self) -> Training:
        """The same without terms of weight 0, which are as if they were not there."""
        return self.model_copy(update={"objectives": self.objectives.active})

    @property
    def kept_every(self) -> int | None:
        """Steps from one that stays on disk to the next; None where none does but the cell's own."""
        if self.keep_checkpoints is None:
            return None
        return self.checkpoint_every if self.keep_checkpoints == "all" else self.keep_checkpoints.every


class Execution(Section):
    """How work is spread over the GPUs and processes of a machine. Nothing of it is part of the fingerprint."""

    workers: Literal["auto"] | PositiveInt = "auto"
    """How many cells are trained side by side on this machine, each by a worker that takes one after another. `auto` is
    one per group of `gpus_per_cell` GPUs, and one without a GPU."""
    gpus_per_cell: PositiveInt = 1
    """How many GPUs train a cell together. More than one is for models that one cannot hold."""
    processes_per_gpu: PositiveInt = 1
    """How many workers share a GPU, where `workers` is `auto`: short rows leave much of it idle."""
    sharding: Literal["none", "fsdp2", "zero3"] = "none"
    """Each process holds a part of weights, gradients and moments, for models too large for one GPU: by PyTorch's
    FSDP2, or by stage 3 of DeepSpeed, if that is installed. A configuration of accelerate's own with FSDP or DeepSpeed
    takes its place."""
    activation_checkpointing: bool = False
    """With sharding: whether activations are computed anew in the backward pass, which saves memory and takes time."""
    offload: bool = False
    """With fsdp2: whether weights and moments lie in the memory of the CPU."""
