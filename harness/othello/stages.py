"""A cell's two trainings, pretraining and fine-tuning, each gone on with where it was left."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel

from data_mixes.storage import is_whole_or_set_aside, sealed_file
from harness.othello.model import Shape, random_model
from harness.othello.training import Schedule, batches, optimizer_of, train
from harness.othello.world import CellWorld
from harness.recipe.mothello import Mothello, Stage
from harness.runs.folder import CellFolder

STAGES = ("pretrain", "finetune")


@dataclass
class State:
    """How far a cell is, and what the next step needs."""

    stage: int = 0
    step: int = 0
    losses: list[list[float]] = field(default_factory=lambda: [[], []])
    """Of each stage, a figure a step."""


def measured_steps(recipe: Mothello) -> list[int]:
    """The steps of fine-tuning after which a model is kept and measured; 0 is the pretrained one."""
    steps, count = recipe.finetune.steps, recipe.finetune.checkpoints
    return sorted({round(steps * place / count) for place in range(count + 1)})


def weights_file(cell: CellFolder, step: int) -> Path:
    """The weights after a step of fine-tuning."""
    return cell.path / "weights" / f"step-{step:05}.safetensors"


def state_file(cell: CellFolder) -> Path:
    """What a training that was stopped goes on from."""
    return cell.checkpoints / "state.pt"


def train_cell(world: CellWorld, cell: CellFolder, advance: Callable[[int], None] = lambda steps: None) -> State:
    """Trains a cell from where it is to its end, and keeps the models that are to be measured.

    `advance` gets the number of steps that were done. What comes out is the same however often it was stopped.
    """
    recipe = world.recipe
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(recipe.seed)
    model = random_model(shape_of(recipe), world.words, recipe.seed).to(device)  # pyright: ignore[reportArgumentType]
    state, optimizer = State(), optimizer_of(model)
    if (kept := read_state(cell)) is not None:
        restore(kept, state, model, optimizer)
    for number in range(state.stage, len(STAGES)):
        if number > state.stage:
            state.stage, state.step, optimizer = number, 0, optimizer_of(model)
        if number and state.step == 0:
            save_weights(model, weights_file(cell, 0))
        run_stage(world, cell, model, optimizer, state, advance)
    return state


def run_stage(
    world: CellWorld,
    cell: CellFolder,
    model: GPT2LMHeadModel,
    optimizer: torch.optim.Optimizer,
    state: State,
    advance: Callable[[int], None],
) -> None:
    """The rest of a stage."""
    recipe, name = world.recipe, STAGES[state.stage]
    stage: Stage = getattr(recipe, name)
    languages = [world.languages[world.source]] if name == "finetune" else [*world.languages.values()]
    kept = {*measured_steps(recipe)} if name == "finetune" else set[int]()
    drawn = batches(
        world.words, world.games(name).moves, languages, stage.batch, stage.steps,
        len(STAGES) * recipe.seed + state.stage, world.unified, state.step,
    )  # fmt: skip

    def after_step(step: int, loss: float) -> None:
        state.step = step
        state.losses[state.stage].append(loss)
        if step in kept:
            save_weights(model, weights_file(cell, step))
        if step % recipe.checkpoint_every == 0 or step == stage.steps:
            write_state(cell, state, model, optimizer)
        advance(1)

    train(model, drawn, schedule_of(stage), after_step, optimizer, state.step)


def shape_of(recipe: Mothello) -> Shape:
    """The shape of a recipe's models."""
    return Shape(**recipe.model.model_dump())


def schedule_of(stage: Stage) -> Schedule:
    """The learning rates of a stage."""
    return Schedule(stage.steps, stage.learning_rate, stage.warmup_steps, stage.schedule == "cosine")


def save_weights(model: GPT2LMHeadModel, path: Path) -> None:
    """Keeps a model, in full precision."""
    with sealed_file(path) as unfinished:
        save_file({name: weight.detach().cpu().contiguous() for name, weight in model.state_dict().items()}, unfinished)


def loaded(world: CellWorld, cell: CellFolder, step: int) -> GPT2LMHeadModel:
    """The model after a step of fine-tuning, on the processor."""
    model = random_model(shape_of(world.recipe), world.words, 0)
    model.load_state_dict(load_file(weights_file(cell, step)))
    return model


def write_state(cell: CellFolder, state: State, model: GPT2LMHeadModel, optimizer: torch.optim.Optimizer) -> None:
    """Keeps all that the next step needs."""
    kept = {
        "stage": state.stage, "step": state.step, "losses": state.losses, "model": model.state_dict(),
        "optimizer": optimizer.state_dict(), "random": torch.get_rng_state(),
        "random_of_gpu": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }  # fmt: skip
    with sealed_file(state_file(cell)) as unfinished, unfinished.open("wb") as file:
        torch.save(kept, file)
        file.flush()
        os.fsync(file.fileno())


def read_state(cell: CellFolder) -> dict[str, Any] | None:
    """What a training that was stopped goes on from; None to begin anew. A damaged file is set aside."""
    path = state_file(cell)
    return torch.load(path, map_location="cpu", weights_only=True) if is_whole_or_set_aside(path) else None


def restore(kept: dict[str, Any], state: State, model: GPT2LMHeadModel, optimizer: torch.optim.Optimizer) -> None:
    """Puts everything back as it was."""
    state.stage, state.step, state.losses = kept["stage"], kept["step"], kept["losses"]
    model.load_state_dict(kept["model"])
    optimizer.load_state_dict(kept["optimizer"])
    torch.set_rng_state(kept["random"])
    if kept["random_of_gpu"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(kept["random_of_gpu"])
