"""Whether languages share a picture of the board: a probe of one is tested in another (arXiv 2404.12444)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy

from data_mixes.othello.games import NO_MOVE, Games
from data_mixes.othello.languages import Vocabulary, rendered

COLOURS = 3
EPOCHS, BATCH, LEARNING_RATE = 16, 1024, 1e-3
HELD_OUT = 0.2
"""The share of games on which the learning rate is decided."""
FORWARD = 512
"""Games of a forward pass."""


@dataclass(frozen=True)
class States:
    """A model's states at the last token of each move, and the board after it: one row a move.

    `vectors` of shape (rows, width), `discs` of shape (rows, squares), `game` and `move` of shape (rows,).
    """

    vectors: torch.Tensor
    discs: NDArray[np.int8]
    game: NDArray[np.int64]
    move: NDArray[np.int64]


def states_of(model: Any, words: Vocabulary, games: Games, language: int, layer: int) -> States:
    """The residual stream after a block, counted from 1; the final norm, which follows the last one, is left out."""
    tokens = rendered(words, games.moves, np.full(len(games.moves), language))
    kept: list[torch.Tensor] = []
    block = model.transformer.h[layer - 1]
    hook = block.register_forward_hook(
        lambda module, given, output: kept.append((output[0] if isinstance(output, tuple) else output).float())
    )
    inputs = torch.from_numpy(tokens.inputs[:, : model.config.n_positions])
    try:
        with torch.inference_mode():
            model.eval()
            for start in range(0, len(inputs), FORWARD):
                model(input_ids=inputs[start : start + FORWARD])
    finally:
        hook.remove()
    game, move = np.nonzero(are_read(games) & (tokens.ends < model.config.n_positions))
    vectors = torch.cat(kept)[game, tokens.ends[game, move]].clone()
    return States(vectors, games.discs()[game, move], game, move)


def are_read(games: Games) -> NDArray[np.bool_]:
    """After which moves boards are read: (games, moves). Not after the last that fits on the board.

    Nothing follows it, so that models are not given it.
    """
    played = games.moves != NO_MOVE
    played[:, -1] = False
    return played


@dataclass(frozen=True)
class Probe:
    """Reads the colour of every square from a state."""

    network: nn.Module

    def accuracies(self, states: States) -> NDArray[np.float64]:
        """The share of squares that are read right, a figure a game."""
        with torch.inference_mode():
            read = self.network(states.vectors).unflatten(1, (-1, COLOURS)).argmax(-1).numpy()
        return by_game((read == states.discs).mean(axis=1), states.game)


def trained_probe(states: States, hidden: int, seed: int) -> Probe:
    """A network of one hidden layer, trained as published, but with whole games held out for the learning rate."""
    width, squares = states.vectors.shape[1], states.discs.shape[1]
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, squares * COLOURS))
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.75, patience=0)
    discs = torch.from_numpy(states.discs).long()
    held_out = torch.from_numpy(states.game >= (1 - HELD_OUT) * (states.game.max() + 1))
    rows = torch.nonzero(~held_out)[:, 0]

    def loss(chosen: torch.Tensor) -> torch.Tensor:
        scores = network(states.vectors[chosen]).unflatten(1, (squares, COLOURS))
        return cross_entropy(scores.flatten(0, 1), discs[chosen].flatten())

    for _ in range(EPOCHS):
        for chosen in rows[torch.randperm(len(rows), generator=generator)].split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            loss(chosen).backward()
            optimizer.step()
        with torch.no_grad():
            scheduler.step(loss(torch.nonzero(held_out)[:, 0]))
    return Probe(network)


@dataclass(frozen=True)
class ChanceLines:
    """What is reached without any state, from the boards of other games: means over moves and squares.

    `square`: the commonest colour of each square; `square_and_move`: the same at each number of moves;
    `occupancy`: knowing which squares are blank, the commoner colour of those that are not.
    """

    square: float
    square_and_move: float
    occupancy: float


def chance_lines(known: Games, tested: Games) -> ChanceLines:
    """The three chance lines of a probe that is trained on some games and tested on others."""
    train, test = known.discs(), tested.discs()
    train_there, test_there = are_read(known), are_read(tested)
    counts = np.stack([(train == colour) & train_there[:, :, None] for colour in range(COLOURS)], axis=-1).sum(axis=0)
    by_square = counts.sum(axis=0).argmax(axis=-1)
    by_move = counts.argmax(axis=-1)
    discs = counts.sum(axis=0)[:, [0, 2]].argmax(axis=-1) * 2
    occupied = np.where(test == 1, 1, discs)
    return ChanceLines(*(float((guess == test)[test_there].mean()) for guess in (by_square, by_move[None], occupied)))


def relative_alignment(across: float, within: float, chance: float) -> float | None:
    """(src→tgt − chance) / (src→src − chance): 1 where a probe serves both languages alike, 0 at chance.

    None where the probe reads its own language no better than chance.
    """
    return (across - chance) / (within - chance) if within > chance else None


def by_game(values: NDArray[np.float64], game: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of each game's values."""
    return np.bincount(game, values) / np.bincount(game)
