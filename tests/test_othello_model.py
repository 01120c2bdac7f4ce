"""Models of Othello: what training them shows at 4×4, and measures that are right on models that are known."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from data_mixes.othello.games import Board, Games, random_games, replayed
from data_mixes.othello.languages import PADDING, Vocabulary, drawn_anchors, vocabulary
from eval.othello import legality as measured
from eval.othello.alignment import States, are_read, chance_lines, relative_alignment, states_of, trained_probe
from eval.othello.legality import legality
from harness.othello.model import Shape, random_model
from harness.othello.training import Schedule, batches, optimizer_of, train

BOARD = Board(4)
SHAPE = Shape(layers=2, heads=4, width=64)


@dataclass
class KnownPlayer:
    """A model that knows the rules: all legal next tokens are equally likely, or all of those of empty squares."""

    words: Vocabulary
    language: int
    knows_rules: bool

    def __post_init__(self) -> None:
        self.config = SimpleNamespace(n_positions=self.words.longest_game)

    def eval(self) -> None:
        pass

    def __call__(self, input_ids: torch.Tensor) -> Any:
        logits = torch.full((*input_ids.shape, self.words.size), -1e9)
        for row, tokens in enumerate(input_ids.tolist()):
            for end in range(1, len(tokens) + 1):
                if PADDING in tokens[:end]:
                    break
                for token in self.next_tokens(tokens[:end]):
                    logits[row, end - 1, token] = 0.0
        return SimpleNamespace(logits=logits)

    def next_tokens(self, tokens: list[int]) -> set[int]:
        read = self.words.read
        whole = next(end for end in range(len(tokens), -1, -1) if read(self.language, tokens[:end]) is not None)
        moves, begun = self.words.read(self.language, tokens[:whole]) or [], tuple(tokens[whole:])
        written = [self.words.written(self.language, square) for square in self.squares(moves)]
        return {move[len(begun)] for move in written if move[: len(begun)] == begun and len(move) > len(begun)}

    def squares(self, moves: list[int]) -> list[int]:
        if not self.knows_rules:
            return [square for square in BOARD.playable if square not in moves]
        filled = np.array([moves + [-1] * (len(BOARD.playable) - len(moves))])
        black, white = (int(boards[0, len(moves) - 1]) for boards in (games_of(filled).black, games_of(filled).white))
        return sorted(legal_next(filled[0, : len(moves)].tolist(), black, white))


def games_of(moves: np.ndarray[Any, Any]) -> Games:
    return replayed(BOARD, moves)


def legal_next(moves: list[int], black: int, white: int) -> set[int]:
    """The squares that lead to a legal game when they are appended."""
    legal: set[int] = set()
    for square in BOARD.playable:
        if not (black | white) >> square & 1:
            try:
                replayed(BOARD, np.array([[*moves, square]]))
            except ValueError:
                continue
            legal.add(square)
    return legal


@pytest.mark.parametrize("scheme", ["atomic", "compositional", "split"])
def test_an_oracle_is_always_legal(scheme: Any) -> None:
    words = vocabulary(BOARD, [scheme], {}, seed=2)
    games = random_games(BOARD, 3 if scheme == "atomic" else 1, seed=4)
    found = legality(KnownPlayer(words, 0, knows_rules=True), words, games, 0)
    played = ~np.isnan(found.top1)
    assert played.sum(axis=1).tolist() == (games.lengths - 1).tolist()
    assert found.top1[played].tolist() == [1.0] * played.sum()
    if scheme == "atomic":
        assert found.mass[played] == pytest.approx(1.0)


def test_a_player_of_empty_squares_is_legal_as_often_as_there_are_legal_ones_among_them() -> None:
    words = vocabulary(BOARD, ["atomic"], {}, seed=0)
    games = random_games(BOARD, 40, seed=5)
    found = legality(KnownPlayer(words, 0, knows_rules=False), words, games, 0)
    legal = np.bitwise_count(games.legal[:, 1:])
    empty = 12 - np.arange(1, 12)
    played = ~np.isnan(found.mass)
    assert found.mass[played] == pytest.approx((legal / empty)[played])
    assert np.nanmean(found.mass) == pytest.approx(0.514, abs=0.04)  # the published baseline of this board


def test_moves_of_several_tokens_are_measured_as_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    words = vocabulary(BOARD, ["atomic"], {}, seed=0)
    model, games = random_model(SHAPE, words, seed=0), random_games(BOARD, 5, seed=0)
    once = legality(model, words, games, 0)
    monkeypatch.setattr(measured, "_of_single_tokens", measured._of_several_tokens)  # pyright: ignore[reportPrivateUsage]
    one_by_one = legality(model, words, games, 0)
    assert np.array_equal(once.top1, one_by_one.top1, equal_nan=True)
    assert one_by_one.mass == pytest.approx(once.mass, abs=1e-5, nan_ok=True)


def test_a_probe_reads_boards_that_are_there_and_nothing_that_is_not() -> None:
    known, tested = random_games(BOARD, 5000, seed=1), random_games(BOARD, 50, seed=2)

    def states(games: Games, constant: bool) -> States:
        game, move = np.nonzero(are_read(games))
        discs = games.discs()[game, move]
        vectors = one_hot(torch.from_numpy(discs).long(), 3).flatten(1).float()
        return States(torch.ones_like(vectors) if constant else vectors, discs, game, move)

    probe = trained_probe(states(known, constant=False), hidden=256, seed=0)
    assert probe.accuracies(states(tested, constant=False)).mean() > 0.99
    blind = trained_probe(states(known, constant=True), hidden=64, seed=0)
    chance = chance_lines(known, tested)
    assert blind.accuracies(states(tested, constant=True)).mean() == pytest.approx(chance.square, abs=0.02)
    assert chance.square < chance.square_and_move < chance.occupancy
    assert [chance.square, chance.square_and_move, chance.occupancy] == pytest.approx([0.534, 0.624, 0.795], abs=0.015)


def test_relative_alignment_has_its_ends() -> None:
    assert relative_alignment(0.7, 0.7, 0.5) == 1.0 and relative_alignment(0.5, 0.7, 0.5) == 0.0
    assert relative_alignment(0.5, 0.5, 0.5) is None


def test_a_training_is_a_function_of_its_seeds() -> None:
    words = vocabulary(BOARD, ["atomic", "split"], drawn_anchors(BOARD, 2, 2, 0), seed=0)
    games = random_games(BOARD, 64, seed=0).moves

    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(0)
        model = random_model(Shape(1, 2, 16, dropout=0.0), words, seed)
        train(model, batches(words, games, (0, 1), 16, 6, seed, unified=False), Schedule(6, 1e-3))
        return torch.cat([weight.flatten() for weight in model.parameters()])

    assert torch.equal(weights(1), weights(1)) and not torch.equal(weights(1), weights(2))


def test_only_matrices_of_linear_layers_decay() -> None:
    words = vocabulary(BOARD, ["atomic"], {}, seed=0)
    model = random_model(Shape(1, 2, 16), words, seed=0)
    decayed, others = optimizer_of(model).param_groups
    assert {weight.dim() for weight in decayed["params"]} == {2} and len(decayed["params"]) == 4 + 1
    assert decayed["weight_decay"] == 0.1 and others["weight_decay"] == 0.0
    assert len(decayed["params"]) + len(others["params"]) == len(list(model.parameters()))


def test_learning_rates_warm_up_and_decay() -> None:
    assert [Schedule(10, 1.0, 2).at(step) for step in (0, 1, 2)] == [0.5, 1.0, 1.0]
    assert Schedule(10, 1.0, 2).at(9) == pytest.approx(0.1) and Schedule(10, 1.0, decay=False).at(9) == 1.0
    assert Schedule(4, 1.0, 8).at(3) == 0.5, "the published fine-tuning never ends its warm-up"


@pytest.mark.parametrize("unified", [False, True], ids=["naive", "unified"])
def test_fine_tuning_carries_over_with_unified_output_alone(unified: bool) -> None:
    """F1 and F4 of arXiv 2404.12444 at 4×4, in ten seconds of a core."""
    words = vocabulary(BOARD, ("atomic", "atomic", "atomic") if unified else ("atomic", "atomic"), {}, seed=0)
    source, target = (1, 2) if unified else (0, 1)
    opening = [int(square) for square in random_games(BOARD, 1, seed=0).moves[0, :2]]
    before = random_games(BOARD, 25_000, seed=0, opening=opening).moves
    after = random_games(BOARD, 5120, seed=100).moves
    known, tested = random_games(BOARD, 600, seed=555), random_games(BOARD, 100, seed=999)
    torch.manual_seed(0)
    model = random_model(SHAPE, words, seed=0)
    train(model, batches(words, before, (source, target), 128, 200, 0, unified), Schedule(200, 4e-3, 25))
    train(model, batches(words, after, (source,), 128, 40, 7, unified), Schedule(40, 1e-3, decay=False))
    rates = [float(np.nanmean(legality(model, words, tested, name, unified).top1)) for name in (source, target)]
    probe = trained_probe(states_of(model, words, known, source, layer=1), hidden=64, seed=0)
    read = [probe.accuracies(states_of(model, words, tested, name, layer=1)) for name in (source, target)]
    within, across = (float(accuracies.mean()) for accuracies in read)
    assert rates[0] >= 0.80 and within > chance_lines(known, tested).square_and_move
    if unified:
        assert abs(rates[0] - rates[1]) <= 0.05 and within - across <= 0.03
    else:
        assert rates[1] <= 0.25 and across <= 0.57
