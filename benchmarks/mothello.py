"""Steps per second of training a model of mOthello beside a bare loop of the same model on the same batches.

    python benchmarks/mothello.py [RECIPE] [STEPS]

The bare loop has its batches as tensors before it starts: no games, no rendering, no schedule, no checkpoints; forward,
loss, backward, clipping and AdamW alone. Ours is all of `harness.othello.stages`. They take turns, five times.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from data_mixes.othello.games import SIZES, Board, random_games
from harness.othello.model import random_model
from harness.othello.stages import shape_of, train_cell
from harness.othello.training import batches
from harness.othello.world import CellWorld
from harness.recipe.mothello import load_mothello
from harness.runs.folder import CellFolder

TURNS = 5
GAMES = 20_480
clock = time.perf_counter if torch.cuda.is_available() else time.process_time
"""On a processor its own time, as other work on the machine costs the wall clock unevenly."""


def bare(world: CellWorld, steps: int) -> float:
    """Seconds of the bare loop."""
    recipe, stage = world.recipe, world.recipe.pretrain
    drawn = batches(
        world.words, world.games("pretrain").moves, [*world.languages.values()], stage.batch, steps, 0, world.unified
    )
    ready = [(batch.inputs, batch.labels) for batch in drawn]
    model = random_model(shape_of(recipe), world.words, 0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=stage.learning_rate)
    model.train()
    started = clock()
    for inputs, labels in ready:
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(model(input_ids=inputs).logits.flatten(0, 1), labels.flatten())
        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return clock() - started


def ours(world: CellWorld, steps: int) -> float:
    """Seconds of the first so many steps of a cell, from drawing its games on."""
    times: list[float] = []

    def note(_: int) -> None:
        times.append(clock())
        if len(times) == steps:
            raise StopIteration

    with tempfile.TemporaryDirectory() as folder:
        started = clock()
        try:
            train_cell(world, CellFolder(Path(folder)), note)
        except StopIteration:
            return times[-1] - started
    return times[steps - 1] - started


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("recipes/mothello-tiny.yaml")
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    torch.set_num_threads(1)
    _, cells = load_mothello(path)
    first = CellWorld(cells[0].recipe)
    rates = [(wanted / bare(first, wanted), wanted / ours(first, wanted)) for _ in range(TURNS)]
    best_bare, best_ours = (max(rate) for rate in zip(*rates, strict=True))
    print(
        f"{path.name}: {wanted} steps, {TURNS} turns each; bare {best_bare:.1f} steps/s, ours {best_ours:.1f} at best"
    )
    ratios = sorted(one / other for one, other in rates)
    for size in SIZES:
        started = time.process_time()
        random_games(Board(size), GAMES, seed=0)
        print(f"random games on {size}×{size}: {GAMES / (time.process_time() - started):,.0f} a second of a core")
    print(f"bare / ours: median {ratios[len(ratios) // 2]:.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f}")
