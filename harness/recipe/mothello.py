"""Recipes of mOthello: models trained from scratch on a synthetic world of several languages (arXiv 2404.12444)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from data_mixes.othello.games import Board, IllegalMoveError, share_with_opening
from data_mixes.othello.languages import Anchors, Scheme, check_anchors
from harness.errors import Problem, UserError
from harness.recipe.checks import NAME, RESERVED_CELLS
from harness.recipe.grid import is_number, labelled, put
from harness.recipe.load import MOTHELLO, NAMED, read_as
from harness.recipe.schema import Axis
from harness.recipe.section import Amount, Batch, PositiveInt, Section, Seed
from harness.recipe.yaml_files import read_yaml

VARIED = ("shared", "languages", "model", "pretrain", "finetune", "seed")
"""The keys that an axis may vary: all cells are measured on the same games, and probed alike."""
Share = Annotated[float, Field(ge=0, lt=1)]


class Games(Section):
    """How many games are drawn for what; none is stored, as the seed makes them again."""

    pretrain: PositiveInt = 416_000
    """Games of pretraining, which begin with the opening."""
    finetune: PositiveInt = 102_400
    """Games of fine-tuning, without an opening."""
    probe: Annotated[int, Field(ge=10)] = 1000
    """Games on whose boards probes are trained."""
    test: Annotated[int, Field(ge=2)] = 100
    """Games that rates and probes are measured on, the same for all cells."""


class World(Section):
    """The games: random legal play of Othello."""

    board: Literal[4, 6, 8] = 8
    """Squares a side."""
    opening: tuple[Amount, ...] | Amount = 0
    """The moves that every game of pretraining begins with, as numbers of squares; or how many, drawn by seed."""
    games: Games = Games()
    """How many games are drawn for what."""
    seed: Seed = 0
    """The seed that draws the games."""


class Shared(Section):
    """What languages have in common; nothing if it is empty."""

    anchors: Amount | dict[int, tuple[str, ...]] = 0
    """How many squares all languages write alike, drawn by seed; or squares, each with the languages that do."""
    output: bool = False
    """Whether moves are written in a language of their own, whatever language the game is read in."""


class Architecture(Section):
    """A small GPT."""

    layers: PositiveInt = 8
    """Transformer blocks."""
    heads: PositiveInt = 8
    """Attention heads of a block."""
    width: PositiveInt = 512
    """The width of the residual stream."""
    dropout: Share = 0.1
    """The share that is dropped from embeddings, attention and the residual stream in training."""


class Stage(Section):
    """A training."""

    steps: PositiveInt
    """Optimiser steps."""
    batch: Batch = 1024
    """Games of a step."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    """The highest learning rate."""
    warmup_steps: Amount = 0
    """Steps over which the learning rate rises; the published fine-tuning ends before its warm-up does."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """What comes after the warm-up: a cosine down to a tenth, or the same rate."""


class FineTuning(Stage):
    """The training on one language that follows."""

    language: str
    """The language it is in, the source of transfer."""
    checkpoints: PositiveInt = 20
    """How many steps are measured, evenly spaced, beside the pretrained model."""


class Probe(Section):
    """The network that reads boards from a model's states."""

    layer: PositiveInt = 6
    """The block after which states are taken."""
    hidden: PositiveInt = 512
    """The width of its hidden layer."""


class Mothello(Section):
    """A study of mOthello."""

    study: str
    """Its name: results are in `runs/NAME/`."""
    kind: Literal["mothello"]
    """What kind of recipe this is."""
    world: World = World()
    """The games."""
    languages: dict[str, Scheme] = Field(min_length=2)
    """Each language with how it writes a square: `atomic` in one token, `split` in one to three, `compositional` in
    one for its row and one for its column."""
    shared: Shared = Shared()
    """What the languages have in common."""
    model: Architecture = Architecture()
    """The shape of the models."""
    pretrain: Stage
    """The training in all languages, from random weights. Whenever a game is drawn, so is a language for it."""
    finetune: FineTuning
    """The training in one language that follows."""
    probe: Probe = Probe()
    """How boards are read from a model's states."""
    seed: Seed = 0
    """The seed of everything in a cell: initial weights, order, dropout, the languages of games, and what of the
    languages themselves is drawn."""
    checkpoint_every: PositiveInt = 200
    """Steps between checkpoints to go on from after an interruption."""
    grid: dict[str, Axis] = {}
    """Axes; each puts its values at a path of the recipe. Cells that differ in `seed` alone are runs of a setting."""

    @property
    def board(self) -> Board:
        """The board that is played on."""
        return Board(self.world.board)

    @property
    def anchors(self) -> Anchors | int:
        """The anchors with languages by number, where they are named; else how many are drawn."""
        if isinstance(given := self.shared.anchors, int):
            return given
        numbers = {name: number for number, name in enumerate(self.languages)}
        return {square: [[numbers.get(name, -1) for name in names]] for square, names in given.items()}


@dataclass(frozen=True, slots=True)
class MothelloCell:
    """One run of a study."""

    name: str
    recipe: Mothello
    """The recipe with the axes' values put in."""
    setting: str
    """What the cell is a run of: its name without the seed."""
    place: Mapping[str, float | str]
    """Its value on each axis but the seed, where that is a number; else what the value is called."""

    @property
    def names(self) -> tuple[str, ...]:
        """What it can be chosen by."""
        return (self.name,)


def is_mothello(path: Path) -> bool:
    """Whether a recipe is of this kind. Raises UserError for one that cannot be read."""
    return read_yaml(path).get("kind") == MOTHELLO


def load_mothello(path: Path) -> tuple[Mothello, list[MothelloCell]]:
    """The recipe and its cells. Raises UserError with every mistake found."""
    raw = read_yaml(path)
    recipe = read_as(Mothello, raw)
    problems = [
        Problem(f"grid.{axis}.path", f"got {path!r}; an axis of mothello varies a key of {', '.join(VARIED)}")
        for axis, spec in recipe.grid.items()
        for path in spec.paths
        if path.split(".")[0] not in VARIED
    ]
    if not NAME.fullmatch(recipe.study):
        problems.append(Problem("study", f"got {recipe.study!r}; a name is of letters, digits, '.', '_' and '-'"))
    if problems:
        raise UserError(problems, NAMED)
    cells = list(_cells(recipe, raw))
    problems = [problem for cell in cells for problem in _check(cell)]
    if problems:
        raise UserError(list(dict.fromkeys(problems)))
    return recipe, cells


def _cells(recipe: Mothello, raw: Mapping[str, Any]) -> Iterator[MothelloCell]:
    """The product of the axes. Raises UserError for a value that cannot be put in."""
    if not recipe.grid:
        yield MothelloCell(recipe.study, recipe, recipe.study, {})
        return
    axes = [[(axis, label, value) for label, value in labelled(spec.values)] for axis, spec in recipe.grid.items()]
    for chosen in product(*axes):
        data = copy.deepcopy({key: value for key, value in raw.items() if key != "grid"})
        for axis, _, value in chosen:
            for path in recipe.grid[axis].paths:
                put(data, f"grid.{axis}.path", path, value)
        named = {axis: label for axis, label, _ in chosen}
        others = {axis: label for axis, label in named.items() if recipe.grid[axis].paths != ("seed",)}
        place = {axis: value if is_number(value) else label for axis, label, value in chosen if axis in others}
        yield MothelloCell(_name(named), read_as(Mothello, data), _name(others) or recipe.study, place)


def _name(labels: Mapping[str, str]) -> str:
    return "_".join(f"{axis}-{label}" for axis, label in labels.items())


def _check(cell: MothelloCell) -> Iterator[Problem]:
    """What no single key of a cell shows."""
    recipe = cell.recipe
    if not NAME.fullmatch(cell.name) or cell.name in RESERVED_CELLS:
        yield Problem("grid", f"a cell would be named {cell.name!r}; name the values, as in values: {{short-name: …}}")
    for name in recipe.languages:
        if not NAME.fullmatch(name):
            yield Problem("languages", f"got {name!r}; a name is of letters, digits, '.', '_' and '-'")
    if (source := recipe.finetune.language) not in recipe.languages:
        yield Problem("finetune.language", f"got {source!r}; use one of {', '.join(recipe.languages)}")
    if recipe.probe.layer > recipe.model.layers:
        yield Problem("probe.layer", f"got {recipe.probe.layer}, but the model has {recipe.model.layers} layers")
    if recipe.model.width % recipe.model.heads:
        yield Problem("model.width", f"got {recipe.model.width}; use a multiple of the {recipe.model.heads} heads")
    games = recipe.world.games
    for name, stage, there in (
        ("pretrain", recipe.pretrain, games.pretrain),
        ("finetune", recipe.finetune, games.finetune),
    ):
        if stage.batch > there:
            yield Problem(f"{name}.batch", f"got {stage.batch}, but world.games.{name} is {there}")
    yield from _check_world(recipe)


def _check_world(recipe: Mothello) -> Iterator[Problem]:
    """Whether there are such anchors and such an opening."""
    board, anchors, opening = recipe.board, recipe.anchors, recipe.world.opening
    if isinstance(anchors, int):
        if anchors > len(board.playable):
            yield Problem("shared.anchors", f"got {anchors}; the board has {len(board.playable)} squares to move to")
    else:
        given: Any = recipe.shared.anchors
        unknown: set[str] = {name for names in given.values() for name in names} - {*recipe.languages}
        if unknown:
            yield Problem(
                "shared.anchors", f"no language {', '.join(sorted(unknown))}; there are {', '.join(recipe.languages)}"
            )
        else:
            try:
                check_anchors(board, [*recipe.languages.values()], anchors)
            except ValueError as error:
                yield Problem("shared.anchors", str(error).removeprefix("anchors: "))
    try:
        if isinstance(opening, tuple):
            share_with_opening(board, opening)
        elif opening > len(board.playable) // 2:
            yield Problem("world.opening", f"got {opening}; of {len(board.playable)} moves, half may be of the opening")
    except IllegalMoveError as error:
        yield Problem("world.opening", f"got {list(opening)}; {error}")  # pyright: ignore[reportArgumentType]
