"""The world that a cell's recipe describes: its games, and the languages that they are written in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from data_mixes.othello.games import Board, Games, random_games
from data_mixes.othello.languages import Scheme, Vocabulary, drawn_anchors, vocabulary
from harness.recipe.mothello import Mothello

PURPOSES = ("pretrain", "finetune", "probe", "test")
"""What games are drawn for, each from a stream of random numbers of its own."""


@dataclass(frozen=True)
class CellWorld:
    """Board, games and languages of one cell."""

    recipe: Mothello

    @property
    def board(self) -> Board:
        """The board that is played on."""
        return self.recipe.board

    @property
    def unified(self) -> bool:
        """Whether moves are written in a language of their own, which is number 0 then."""
        return self.recipe.shared.output

    @property
    def languages(self) -> dict[str, int]:
        """The languages that games are read in, by name, with their numbers."""
        return {name: number + self.unified for number, name in enumerate(self.recipe.languages)}

    @property
    def source(self) -> str:
        """The language of fine-tuning."""
        return self.recipe.finetune.language

    @cached_property
    def words(self) -> Vocabulary:
        """How every language writes every square; drawn by the cell's seed, as far as it is drawn."""
        schemes: list[Scheme] = [*(["atomic"] if self.unified else []), *self.recipe.languages.values()]  # pyright: ignore[reportAssignmentType]
        given, seed = self.recipe.anchors, self.recipe.seed
        anchors = (
            drawn_anchors(self.board, given, len(self.recipe.languages), seed) if isinstance(given, int) else given
        )
        numbered = {
            square: [[language + self.unified for language in group] for group in groups]
            for square, groups in anchors.items()
        }
        return vocabulary(self.board, schemes, numbered, seed)

    @cached_property
    def opening(self) -> Sequence[int]:
        """The moves that games of pretraining begin with."""
        given = self.recipe.world.opening
        if not isinstance(given, int):
            return given
        return [int(square) for square in random_games(self.board, 1, self._seed("pretrain")).moves[0, :given]]

    def games(self, purpose: str) -> Games:
        """The games for one of the purposes, the same for all cells."""
        count = getattr(self.recipe.world.games, purpose)
        opening = self.opening if purpose == "pretrain" else ()
        return random_games(self.board, count, self._seed(purpose), opening)

    def _seed(self, purpose: str) -> int:
        return len(PURPOSES) * self.recipe.world.seed + PURPOSES.index(purpose)
