"""Languages of Othello's moves (arXiv 2404.12444): each writes a square in tokens of its own, anchors excepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data_mixes.othello.games import NO_MOVE, Board, Squares

Scheme: TypeAlias = Literal["atomic", "split", "compositional"]
Anchors: TypeAlias = Mapping[int, Sequence[Sequence[int]]]
"""For each anchored square, groups of languages (numbered from 0) that write it alike."""

PADDING = 0
IGNORED = -100
"""The label of a position where nothing is predicted."""
LONGEST = 3
"""Tokens of a move at most."""


@dataclass(frozen=True)
class Vocabulary:
    """How every language writes every square.

    `tokens` has shape (languages, squares, 3), filled up with `PADDING`; `lengths` counts the tokens of a move.
    """

    board: Board
    schemes: tuple[Scheme, ...]
    tokens: NDArray[np.int64]
    lengths: NDArray[np.int64]
    size: int
    """Token ids there are, the padding among them."""

    @property
    def longest_game(self) -> int:
        """Tokens of a game in which every square is played, in the language that needs most."""
        return int(self.lengths[:, list(self.board.playable)].sum(axis=1).max())

    def written(self, language: int, square: int) -> tuple[int, ...]:
        """The tokens of a move."""
        return tuple(map(int, self.tokens[language, square, : self.lengths[language, square]]))

    def read(self, language: int, tokens: Sequence[int]) -> list[int] | None:
        """The moves that these tokens write in a language; None where they are no whole moves of it."""
        squares = {self.written(language, square): square for square in self.board.playable}
        moves: list[int] = []
        start = 0
        while start < len(tokens):
            for end in range(start + 1, min(start + LONGEST, len(tokens)) + 1):
                if (square := squares.get(tuple(tokens[start:end]))) is not None:
                    moves.append(square)
                    start = end
                    break
            else:
                return None
        return moves


def vocabulary(board: Board, schemes: Sequence[Scheme], anchors: Anchors, seed: int) -> Vocabulary:
    """The tokens of languages, drawn from one counter, so that they share nothing where they are not anchored.

    `atomic` writes a square in one token, `split` in one to three that are drawn by `seed`, `compositional` in two, for
    its row and its column. Of languages that share an anchored square, all write it as the lowest-numbered one does.
    Raises ValueError for anchors on squares that are never played, and for languages that are not there.
    """
    check_anchors(board, schemes, anchors)
    generator = np.random.default_rng(seed)
    tokens = np.full((len(schemes), board.squares, LONGEST), PADDING, dtype=np.int64)
    lengths = np.zeros((len(schemes), board.squares), dtype=np.int64)
    unused = PADDING + 1

    def write(language: int, square: int, written: Sequence[int]) -> None:
        tokens[language, square, : len(written)] = written
        lengths[language, square] = len(written)

    for language, scheme in enumerate(schemes):
        rows, columns = range(unused, unused + board.size), range(unused + board.size, unused + 2 * board.size)
        if scheme == "compositional":
            unused += 2 * board.size
        for square in board.playable:
            if scheme == "compositional":
                write(language, square, (rows[square // board.size], columns[square % board.size]))
                continue
            count = 1 if scheme == "atomic" else int(generator.integers(1, LONGEST + 1))
            write(language, square, range(unused, unused + count))
            unused += count
    for square, groups in anchors.items():
        for group in groups:
            model, *others = sorted(group)
            for language in others:
                tokens[language, square], lengths[language, square] = tokens[model, square], lengths[model, square]
    return Vocabulary(board, tuple(schemes), tokens, lengths, unused)


def check_anchors(board: Board, schemes: Sequence[Scheme], anchors: Anchors) -> None:
    """Raises ValueError, naming every anchor that cannot be."""
    problems = [f"square {square} is never played" for square in anchors if square not in board.playable]
    for square, groups in anchors.items():
        named = [language for group in groups for language in group]
        problems += [
            f"square {square}: there is no language {language}; there are 0 to {len(schemes) - 1}"
            for language in named
            if language not in range(len(schemes))
        ]
        problems += [f"square {square}: language {one} is named twice" for one in set(named) if named.count(one) > 1]
    if problems:
        raise ValueError("anchors: " + "; ".join(problems))


def drawn_anchors(board: Board, count: int, languages: int, seed: int) -> dict[int, list[list[int]]]:
    """Anchors on squares drawn by seed, shared by all languages; fewer anchors are among more of the same seed."""
    if not 0 <= count <= len(board.playable):
        raise ValueError(f"anchors: {count} squares; use 0 to {len(board.playable)}")
    order = np.random.default_rng(seed).permutation(board.playable)
    return {int(square): [list(range(languages))] for square in order[:count]}


@dataclass(frozen=True)
class Rendered:
    """Games in tokens: `inputs` and `labels` of shape (games, tokens), filled up with `PADDING` and `IGNORED`.

    `ends` of shape (games, moves) is the position of the last token of each move, `NO_MOVE` once a game is over.
    """

    inputs: NDArray[np.int64]
    labels: NDArray[np.int64]
    ends: NDArray[np.int64]


def rendered(words: Vocabulary, moves: Squares, languages: Squares, unified: bool = False) -> Rendered:
    """Games, a row of moves each, in the language that each is to be written in.

    A label is the next token of the same language. With `unified` output it stands at the last token of a move alone,
    and is the next move's token in language 0, which must be atomic. The first move is never predicted.
    """
    if unified and words.schemes[0] != "atomic":
        raise ValueError(f"unified output wants language 0 to be atomic; it is {words.schemes[0]}")
    squares = np.maximum(moves, 0)
    lengths = np.where(moves == NO_MOVE, 0, words.lengths[languages[:, None], squares])
    ends = np.where(moves == NO_MOVE, NO_MOVE, lengths.cumsum(axis=1) - 1)
    inputs = np.full((len(moves), words.longest_game), PADDING, dtype=np.int64)
    game, move, part = np.nonzero(np.arange(LONGEST) < lengths[:, :, None])
    position = (ends - lengths + 1)[game, move] + part
    inputs[game, position] = words.tokens[languages[game], squares[game, move], part]
    labels = np.full_like(inputs, IGNORED)
    if unified:
        game, move = np.nonzero(moves[:, 1:] != NO_MOVE)
        labels[game, ends[game, move]] = words.tokens[0, moves[game, move + 1], 0]
    else:
        labels[:, :-1] = np.where(inputs[:, 1:] == PADDING, IGNORED, inputs[:, 1:])
    return Rendered(inputs, labels, ends)
