"""Trains a model of Othello: every time a game is drawn, it is written in one language drawn for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import GPT2LMHeadModel

from data_mixes.othello.games import Squares
from data_mixes.othello.languages import IGNORED, Vocabulary, rendered

PUBLISHED_BETAS = (0.9, 0.95)
PUBLISHED_DECAY = 0.1
PUBLISHED_CLIP = 1.0
LEAST_SHARE = 0.1
"""The share of the learning rate at which the cosine ends."""


@dataclass(frozen=True)
class Schedule:
    """A linear warm-up of the learning rate, then a cosine down to a tenth of it at `steps`, or none.

    The published fine-tuning never ends its warm-up: it is longer than the run.
    """

    steps: int
    learning_rate: float
    warmup_steps: int = 0
    decay: bool = True

    def at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        if not self.decay:
            return self.learning_rate
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.learning_rate * max(LEAST_SHARE, 0.5 * (1 + math.cos(math.pi * done)))


@dataclass(frozen=True)
class Batch:
    """Inputs and labels of shape (games, tokens)."""

    inputs: torch.Tensor
    labels: torch.Tensor


def batches(
    words: Vocabulary,
    games: Squares,
    languages: Sequence[int],
    size: int,
    steps: int,
    seed: int,
    unified: bool,
    done: int = 0,
) -> Iterator[Batch]:
    """The batches of a training: games in an order drawn for each pass, each in a language drawn each time.

    A batch is a function of seed and step, so that a training that was stopped goes on with the same ones after the
    steps that are `done`.
    """
    passes = len(games) // size
    order, known = np.arange(len(games)), -1
    for step in range(done, steps):
        if step // passes != known:
            known = step // passes
            order = np.random.default_rng([seed, known]).permutation(len(games))
        chosen = games[order[step % passes * size :][:size]]
        drawn = np.random.default_rng([seed, step, 1]).choice(np.asarray(languages), size=len(chosen))
        tokens = rendered(words, chosen, drawn, unified)
        yield Batch(torch.from_numpy(tokens.inputs[:, :-1]), torch.from_numpy(tokens.labels[:, :-1]))


def optimizer_of(model: nn.Module) -> torch.optim.AdamW:
    """AdamW as published: weight decay on the matrices of linear layers alone, not on embeddings, norms and biases."""
    matrices = [
        module.weight
        for module in model.modules()
        if hasattr(module, "weight") and not isinstance(module, nn.Embedding | nn.LayerNorm)
    ]
    decayed = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in decayed]
    groups = [{"params": matrices, "weight_decay": PUBLISHED_DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=PUBLISHED_BETAS)


def loss_of(model: GPT2LMHeadModel, batch: Batch) -> torch.Tensor:
    """The mean negative log-likelihood of the labels, in nats a label."""
    logits = model(input_ids=batch.inputs.to(model.device)).logits
    return cross_entropy(logits.flatten(0, 1), batch.labels.to(model.device).flatten(), ignore_index=IGNORED)


def train(
    model: GPT2LMHeadModel,
    drawn: Iterator[Batch],
    schedule: Schedule,
    after_step: Callable[[int, float], None] = lambda step, loss: None,
    optimizer: torch.optim.Optimizer | None = None,
    done: int = 0,
) -> None:
    """Trains on every batch drawn; `after_step` gets the number of steps done and the loss of the last.

    A training that goes on after the steps `done` gets its optimizer, and the batches that are left.
    """
    optimizer = optimizer or optimizer_of(model)
    model.train()
    for step, batch in enumerate(drawn, done):
        for group in optimizer.param_groups:
            group["lr"] = schedule.at(step)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), PUBLISHED_CLIP)
        optimizer.step()
        after_step(step + 1, loss.item())
