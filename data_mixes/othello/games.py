"""Random legal games of Othello on boards of 4×4, 6×6 and 8×8, thousands at a time.

A position is two bitboards: bit `row · size + column` of an unsigned 64-bit integer is set where a colour has a disc.
Nothing needs to be stored, since game `i` under a seed is always the same game.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Bitboards: TypeAlias = NDArray[np.uint64]
Squares: TypeAlias = NDArray[np.int64]

SIZES = (4, 6, 8)
BLOCK = 4096
"""Games that are drawn from one random generator, so that a longer list of games begins with the shorter one."""
NO_MOVE = -1
"""Fills up the moves of a game that is over."""
WHITE, BLANK, BLACK = 0, 1, 2
"""What is on a square."""


class IllegalMoveError(ValueError):
    """A game that is replayed breaks the rules."""


@dataclass(frozen=True)
class Board:
    """A square board of an even number of squares a side."""

    size: int

    def __post_init__(self) -> None:
        """Raises ValueError for a size that no game here is played on."""
        if self.size not in SIZES:
            raise ValueError(f"the board's size is {self.size}; use one of {', '.join(map(str, SIZES))}")

    @property
    def squares(self) -> int:
        """How many squares there are."""
        return self.size * self.size

    @property
    def start(self) -> tuple[int, int]:
        """The discs of black, who moves first, and of white: two each, crosswise in the middle."""
        low, high = self.size // 2 - 1, self.size // 2
        black = 1 << self.square(low, high) | 1 << self.square(high, low)
        white = 1 << self.square(low, low) | 1 << self.square(high, high)
        return black, white

    @property
    def playable(self) -> tuple[int, ...]:
        """The squares that can be moved to: all but the four in the middle."""
        black, white = self.start
        return tuple(square for square in range(self.squares) if not (black | white) >> square & 1)

    def square(self, row: int, column: int) -> int:
        """The number of a square, row by row from 0."""
        return row * self.size + column

    @cached_property
    def shifts(self) -> list[tuple[int, np.uint64]]:
        """The eight directions: by how many bits a step shifts, and the squares that a step can lead to."""
        directions: list[tuple[int, np.uint64]] = []
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                if down or right:
                    reached = sum(
                        1 << self.square(row, column)
                        for row in range(self.size)
                        for column in range(self.size)
                        if 0 <= row - down < self.size and 0 <= column - right < self.size
                    )
                    directions.append((down * self.size + right, np.uint64(reached)))
        return directions

    def legal_moves(self, own: Bitboards, other: Bitboards) -> Bitboards:
        """The squares that the player with the discs `own` may move to, as bitboards."""
        empty, legal = ~(own | other), np.zeros_like(own)
        for bits, reached in self.shifts:
            line = _shifted(own, bits) & reached & other
            for _ in range(self.size - 3):
                line |= _shifted(line, bits) & reached & other
            legal |= _shifted(line, bits) & reached & empty
        return legal

    def flipped(self, move: Bitboards, own: Bitboards, other: Bitboards) -> Bitboards:
        """The discs of the other player that a move turns over."""
        turned = np.zeros_like(own)
        for bits, reached in self.shifts:
            line = _shifted(move, bits) & reached & other
            for _ in range(self.size - 3):
                line |= _shifted(line, bits) & reached & other
            enclosed = (_shifted(line, bits) & reached & own) != 0
            turned |= np.where(enclosed, line, np.uint64(0))
        return turned


@dataclass(frozen=True)
class Games:
    """Games with all that can be known of them, as arrays of shape (games, moves).

    `moves` are squares, `NO_MOVE` once a game is over. `legal` are the squares that could be moved to instead, before
    each move; `black` and `white` the discs after it, as bitboards; 0 once a game is over.
    """

    board: Board
    moves: Squares
    legal: Bitboards
    black: Bitboards
    white: Bitboards

    @property
    def lengths(self) -> Squares:
        """The number of moves of each game."""
        return (self.moves != NO_MOVE).sum(axis=1)

    def legal_squares(self) -> NDArray[np.bool_]:
        """Whether each square could be moved to before each move: shape (games, moves, squares)."""
        return on_squares(self.legal, self.board)

    def discs(self) -> NDArray[np.int8]:
        """What is on each square after each move, `WHITE`, `BLANK` or `BLACK`: shape (games, moves, squares)."""
        black, white = on_squares(self.black, self.board), on_squares(self.white, self.board)
        return np.where(black, BLACK, np.where(white, WHITE, BLANK)).astype(np.int8)


def random_games(board: Board, count: int, seed: int, opening: Sequence[int] = ()) -> Games:
    """Games in which every move is drawn from the legal ones with equal chances, after an opening if one is given.

    Games after an opening are distributed as those of all random games that begin so. Raises IllegalMoveError where
    the opening breaks the rules.
    """
    blocks = [_random_block(board, seed, number, opening) for number in range(-(-count // BLOCK))]
    if not blocks:
        blocks = [_random_block(board, seed, 0, opening)]
    joined = (
        np.concatenate([getattr(block, name) for block in blocks])[:count]
        for name in ("moves", "legal", "black", "white")
    )
    return Games(board, *joined)


def replayed(board: Board, moves: Squares) -> Games:
    """The games with these moves, of shape (games, moves). Raises IllegalMoveError for one that breaks the rules."""

    def next_move(number: int, legal: Bitboards) -> Squares:
        if number >= moves.shape[1]:
            return np.full(len(moves), NO_MOVE)
        squares = moves[:, number]
        played = squares != NO_MOVE
        allowed = _bit(np.maximum(squares, 0)) & legal != 0
        if (wrong := np.flatnonzero(played & ~allowed)).size:
            game = int(wrong[0])
            raise IllegalMoveError(f"game {game}, move {number + 1}: square {squares[game]} is no legal move")
        return squares

    return _played(board, len(moves), next_move)


def share_with_opening(board: Board, opening: Sequence[int]) -> float:
    """The share of random games that begin with these moves."""
    if not opening:
        return 1.0
    legal = replayed(board, np.array([opening], dtype=np.int64)).legal[0, : len(opening)]
    return float(np.prod(1 / np.bitwise_count(legal)))


def on_squares(bitboards: Bitboards, board: Board) -> NDArray[np.bool_]:
    """The bits of bitboards, in a last axis of one entry a square."""
    octets = bitboards.astype("<u8")[..., None].view(np.uint8)
    return np.unpackbits(octets, axis=-1, bitorder="little", count=board.squares).astype(bool)


def _random_block(board: Board, seed: int, number: int, opening: Sequence[int]) -> Games:
    generator = np.random.default_rng([seed, number])

    def next_move(done: int, legal: Bitboards) -> Squares:
        if done < len(opening):
            square = opening[done]
            if not int(legal[0]) >> square & 1:
                raise IllegalMoveError(f"opening, move {done + 1}: square {square} is no legal move")
            return np.full(BLOCK, square)
        counts = np.bitwise_count(legal).astype(np.int64)
        wanted = (generator.random(BLOCK) * counts).astype(np.int64) + 1
        passed = np.cumsum(on_squares(legal, board), axis=1, dtype=np.int8)
        return np.where(counts > 0, (passed >= wanted[:, None]).argmax(axis=1), NO_MOVE)

    return _played(board, BLOCK, next_move)


def _played(board: Board, count: int, next_move: Callable[[int, Bitboards], Squares]) -> Games:
    """Plays games in step; `next_move` gets the number of moves made and the legal ones, and returns squares.

    A player without a legal move passes in silence; the game is over when neither has one.
    """
    most = len(board.playable)
    moves = np.full((count, most), NO_MOVE, dtype=np.int64)
    legal_before, black_after, white_after = (np.zeros((count, most), dtype=np.uint64) for _ in range(3))
    own, other = (np.full(count, discs, dtype=np.uint64) for discs in board.start)
    black_moves = np.ones(count, dtype=bool)
    legal = board.legal_moves(own, other)
    for number in range(most):
        squares = np.where(legal != 0, next_move(number, legal), NO_MOVE)
        playing = squares != NO_MOVE
        if not playing.any():
            break
        move = np.where(playing, _bit(np.maximum(squares, 0)), np.uint64(0))
        turned = board.flipped(move, own, other)
        own, other = own | move | turned, other & ~turned
        moves[:, number] = squares
        legal_before[:, number] = np.where(playing, legal, 0)
        black_after[:, number] = np.where(playing, np.where(black_moves, own, other), 0)
        white_after[:, number] = np.where(playing, np.where(black_moves, other, own), 0)
        own, other, black_moves = other, own, ~black_moves
        legal = board.legal_moves(own, other)
        passing = np.flatnonzero(legal == 0)
        own[passing], other[passing] = other[passing], own[passing]
        black_moves[passing] ^= True
        legal[passing] = board.legal_moves(own[passing], other[passing])
    return Games(board, moves, legal_before, black_after, white_after)


def _bit(squares: Squares) -> Bitboards:
    return np.uint64(1) << squares.astype(np.uint64)


def _shifted(bitboards: Bitboards, bits: int) -> Bitboards:
    return bitboards << np.uint64(bits) if bits > 0 else bitboards >> np.uint64(-bits)
