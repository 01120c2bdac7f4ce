"""Whether a model's next move is legal, after every beginning of every game (arXiv 2404.12444, metrics.eval_pred)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data_mixes.othello.games import NO_MOVE, Games
from data_mixes.othello.languages import LONGEST, PADDING, Rendered, Vocabulary, rendered

BATCH = 512
"""Sequences of a forward pass."""


@dataclass(frozen=True)
class Legality:
    """Per game and move from the second on: whether the likeliest move is legal, and the probability of legal ones.

    Both are NaN once a game is over: shape (games, moves − 1). Intervals resample games.
    """

    top1: NDArray[np.float64]
    mass: NDArray[np.float64]


def legality(model: Any, words: Vocabulary, games: Games, language: int, unified: bool = False) -> Legality:
    """Measures a model in one language, greedily and teacher-forced: each beginning of a game is the true one.

    A move is legal if its tokens are those of a legal square in the same language (with `unified` output, in language
    0). A move of several tokens is written greedily, and as many tokens are allowed as the longest move has.
    """
    tokens = rendered(words, games.moves, np.full(len(games.moves), language))
    written_in = 0 if unified else language
    game, move = np.nonzero(games.moves[:, 1:] != NO_MOVE)
    prefixes = Prefixes(tokens, game, tokens.ends[game, move])
    legal = games.legal_squares()[game, move + 1]
    top1, mass = (np.full((len(games.moves), games.moves.shape[1] - 1), np.nan) for _ in range(2))
    with torch.inference_mode():
        model.eval()
        if (words.lengths[written_in] <= 1).all():
            found = _of_single_tokens(model, words, prefixes, legal, written_in)
        else:
            found = _of_several_tokens(model, words, prefixes, legal, written_in)
    top1[game, move], mass[game, move] = found
    return Legality(top1, mass)


@dataclass(frozen=True)
class Prefixes:
    """Beginnings of games: the rendered games, and for each beginning its game and its last token's position."""

    tokens: Rendered
    game: NDArray[np.int64]
    end: NDArray[np.int64]


def _of_single_tokens(
    model: Any, words: Vocabulary, prefixes: Prefixes, legal: NDArray[np.bool_], language: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One forward pass a game answers for all its beginnings."""
    inputs = prefixes.tokens.inputs[:, : model.config.n_positions]
    logits = np.concatenate(
        [model(input_ids=torch.from_numpy(part)).logits.float().numpy() for part in _parts(inputs)]
    )[prefixes.game, prefixes.end]
    playable = list(words.board.playable)
    ids = words.tokens[language, playable, 0]
    allowed = np.zeros(logits.shape, dtype=bool)
    np.put_along_axis(allowed, np.broadcast_to(ids, (len(logits), len(ids))), legal[:, playable], axis=1)
    likely = np.exp(logits - logits.max(axis=1, keepdims=True))
    top1 = np.take_along_axis(allowed, logits.argmax(axis=1)[:, None], axis=1)[:, 0]
    return top1.astype(float), (likely * allowed).sum(axis=1) / likely.sum(axis=1)


def _of_several_tokens(
    model: Any, words: Vocabulary, prefixes: Prefixes, legal: NDArray[np.bool_], language: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Every beginning is continued on its own: greedily, and by each legal move for its probability."""
    top1, mass = np.zeros(len(prefixes.game)), np.zeros(len(prefixes.game))
    for number, (game, end) in enumerate(zip(prefixes.game, prefixes.end, strict=True)):
        beginning = prefixes.tokens.inputs[game, : end + 1].tolist()
        moves = [words.written(language, int(square)) for square in np.flatnonzero(legal[number])]
        mass[number] = _probabilities(model, beginning, moves).sum()
        top1[number] = _greedy(model, beginning, moves)
    return top1, mass


def _probabilities(model: Any, beginning: list[int], moves: list[tuple[int, ...]]) -> NDArray[np.float64]:
    """The probability of each move after a beginning."""
    longest = max(map(len, moves))
    rows = np.array([[*beginning, *move, *[PADDING] * (longest - len(move))][:-1] for move in moves])
    rows = rows[:, : model.config.n_positions]
    scores = model(input_ids=torch.from_numpy(rows)).logits.float().log_softmax(-1).numpy()
    start = len(beginning) - 1
    return np.exp(
        [sum(scores[row, start + place, token] for place, token in enumerate(move)) for row, move in enumerate(moves)]
    )


def _greedy(model: Any, beginning: list[int], moves: list[tuple[int, ...]]) -> bool:
    """Whether the likeliest tokens, one after another, write one of the moves."""
    written: tuple[int, ...] = ()
    for _ in range(LONGEST):
        sequence = torch.tensor([[*beginning, *written]])
        if sequence.shape[1] > model.config.n_positions:
            return False
        written = (*written, int(model(input_ids=sequence).logits[0, -1].argmax()))
        if written in moves:
            return True
    return False


def _parts(inputs: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH)]
