"""The synthetic world: random legal games, and languages that write their moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_mixes.othello.games import (
    BLANK,
    NO_MOVE,
    SIZES,
    Board,
    IllegalMoveError,
    random_games,
    replayed,
    share_with_opening,
)
from data_mixes.othello.languages import IGNORED, PADDING, drawn_anchors, rendered, vocabulary

SCHEMES: Any = ("atomic", "split", "compositional")


def slow_legal_moves(discs: dict[tuple[int, int], str], size: int, player: str) -> dict[tuple[int, int], list[Any]]:
    """The rules read square by square: where a player may move, and the discs that each move turns over."""
    moves: dict[tuple[int, int], list[Any]] = {}
    for row in range(size):
        for column in range(size):
            if (row, column) in discs:
                continue
            for down, right in [(d, r) for d in (-1, 0, 1) for r in (-1, 0, 1) if d or r]:
                line, place = [], (row + down, column + right)
                while place in discs and discs[place] != player:
                    line.append(place)
                    place = (place[0] + down, place[1] + right)
                if line and place in discs:
                    moves.setdefault((row, column), []).extend(line)
    return moves


@pytest.mark.parametrize("size", SIZES)
def test_games_follow_the_rules_read_square_by_square(size: int) -> None:
    board = Board(size)
    games = random_games(board, 30, seed=1)
    legal, discs = games.legal_squares(), games.discs()
    half = size // 2
    for game in range(30):
        state = {(half - 1, half): "b", (half, half - 1): "b", (half - 1, half - 1): "w", (half, half): "w"}
        player, length = "b", int(games.lengths[game])
        for number in range(length):
            allowed = slow_legal_moves(state, size, player)
            if not allowed:  # a player who cannot move passes
                player = "w" if player == "b" else "b"
                allowed = slow_legal_moves(state, size, player)
            assert {divmod(int(square), size) for square in np.flatnonzero(legal[game, number])} == set(allowed)
            move = divmod(int(games.moves[game, number]), size)
            state |= dict.fromkeys([move, *allowed[move]], player)
            player = "w" if player == "b" else "b"
            for square, disc in enumerate(discs[game, number]):
                assert (
                    "wb"[disc // 2] == state[divmod(square, size)]
                    if disc != BLANK
                    else divmod(square, size) not in state
                )
        assert not slow_legal_moves(state, size, "b") and not slow_legal_moves(state, size, "w"), "the game is over"


def test_a_random_game_is_a_function_of_seed_and_number() -> None:
    board = Board(4)
    few, many = random_games(board, 100, seed=3), random_games(board, 5000, seed=3)
    assert (few.moves == many.moves[:100]).all()
    assert (random_games(board, 100, seed=4).moves != few.moves).any()
    assert (replayed(board, few.moves).black == few.black).all()


def test_moves_are_drawn_with_equal_chances() -> None:
    firsts = np.bincount(random_games(Board(4), 40_000, seed=0).moves[:, 0], minlength=16)
    assert (firsts > 0).sum() == 4
    assert np.abs(firsts[firsts > 0] / 10_000 - 1).max() < 0.04  # four standard errors


def test_games_after_an_opening_are_those_that_begin_so() -> None:
    board = Board(4)
    opening = [int(square) for square in random_games(board, 1, seed=0).moves[0, :2]]
    share = share_with_opening(board, opening)
    assert share == pytest.approx(1 / 12)  # four first moves, three answers to each
    games = random_games(board, 60_000, seed=2)
    chosen = (games.moves[:, :2] == opening).all(axis=1)
    assert chosen.mean() == pytest.approx(share, abs=0.005)
    forced = random_games(board, 5000, seed=5, opening=opening)
    assert (forced.moves[:, :2] == opening).all()
    thirds = [np.bincount(moves[:, 2], minlength=16) / len(moves) for moves in (games.moves[chosen], forced.moves)]
    assert np.abs(thirds[0] - thirds[1]).max() < 0.04
    assert share_with_opening(Board(8), [19, 18, 17]) == pytest.approx(1 / 48)


def test_illegal_games_are_refused() -> None:
    with pytest.raises(IllegalMoveError, match="game 0, move 1: square 0 is no legal move"):
        replayed(Board(4), np.array([[0, NO_MOVE]]))
    with pytest.raises(IllegalMoveError, match="opening, move 1: square 3"):
        random_games(Board(4), 2, seed=0, opening=[3])
    with pytest.raises(ValueError, match="the board's size is 5; use one of 4, 6, 8"):
        Board(5)


@settings(max_examples=40)
@given(
    st.sampled_from(SIZES),
    st.lists(st.sampled_from(SCHEMES), min_size=1, max_size=4),
    st.integers(0, 12),
    st.integers(0, 9),
)
def test_what_is_written_can_be_read(size: int, schemes: list[Any], count: int, seed: int) -> None:
    board = Board(size)
    words = vocabulary(board, schemes, drawn_anchors(board, count, len(schemes), seed), seed)
    games = random_games(board, 6, seed)
    for language in range(len(schemes)):
        tokens = rendered(words, games.moves, np.full(6, language))
        for game in range(6):
            length = int(games.lengths[game])
            written = [int(token) for token in tokens.inputs[game] if token != PADDING]
            assert words.read(language, written) == games.moves[game, :length].tolist()
            assert tokens.ends[game, length - 1] == len(written) - 1
            labels = tokens.labels[game]
            assert labels[: len(written) - 1].tolist() == written[1:] and (labels[len(written) - 1 :] == IGNORED).all()


def test_languages_share_the_tokens_of_anchored_squares_alone() -> None:
    board = Board(6)
    apart = vocabulary(board, SCHEMES, {}, seed=0)
    assert apart.size == 1 + 32 + int(apart.lengths[1].sum()) + 12
    used = [set(apart.tokens[language].ravel()) - {PADDING} for language in range(3)]
    assert not (used[0] & used[1] or used[0] & used[2] or used[1] & used[2])
    assert set(apart.lengths[1, list(board.playable)]) == {1, 2, 3} and apart.longest_game > 64 - 1
    anchored = vocabulary(board, SCHEMES, {0: [[0, 2]], 5: [[1, 2]]}, seed=0)
    assert anchored.written(2, 0) == anchored.written(0, 0) and len(anchored.written(2, 0)) == 1
    assert anchored.written(2, 5) == anchored.written(1, 5) != anchored.written(0, 5)
    assert anchored.written(2, 1) == apart.written(2, 1)


def test_unified_labels_stand_at_last_tokens_in_language_0() -> None:
    board = Board(4)
    words = vocabulary(board, ("atomic", "compositional", "split"), {}, seed=1)
    games = random_games(board, 20, seed=1)
    for language in (1, 2):
        tokens = rendered(words, games.moves, np.full(20, language), unified=True)
        for game in range(20):
            length = int(games.lengths[game])
            expected = {
                int(tokens.ends[game, i]): words.written(0, int(games.moves[game, i + 1]))[0] for i in range(length - 1)
            }
            assert {
                int(at): int(tokens.labels[game, at]) for at in np.flatnonzero(tokens.labels[game] != IGNORED)
            } == expected
    with pytest.raises(ValueError, match="language 0 to be atomic; it is split"):
        rendered(vocabulary(board, ("split",), {}, 0), games.moves, np.zeros(20, dtype=int), unified=True)


def test_fewer_anchors_are_among_more() -> None:
    few, many = (drawn_anchors(Board(8), count, 2, seed=7) for count in (4, 8))
    assert few.items() <= many.items() and len(many) == 8
    with pytest.raises(ValueError, match="61 squares; use 0 to 60"):
        drawn_anchors(Board(8), 61, 2, seed=0)


def test_anchors_that_cannot_be_are_named_all_at_once() -> None:
    with pytest.raises(ValueError, match=r"square 5 is never played; .*there is no language 2.*named twice"):
        vocabulary(Board(4), ("atomic", "atomic"), {5: [], 0: [[0, 2]], 1: [[1], [1]]}, seed=0)
