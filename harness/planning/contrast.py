"""How neighbouring cells of a grid differ: evidence that an experiment is controlled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_mixes.mixture import Allotment
from data_mixes.order import Keys, mixed
from data_mixes.rows import Rows
from harness.recipe.grid import Cell
from harness.recipe.schema import Axis
from harness.recipe.stages_section import Stages

SEEDS = ("training.seed", "mixture.seed")
ALIKE = {
    "prompts_in": "languages", "answers_in": "languages", "shares": "languages", "total": "amount",
    "steps": "epochs", "supervised_tokens": "epochs", "revision": "name", "joint": "start", "replay": "start",
}  # fmt: skip
"""Keys that say the same thing in another way."""


@dataclass(frozen=True, slots=True)
class Change:
    """A key of the recipe that differs, with its two values."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.path} {self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class Difference:
    """How two neighbouring cells differ, in the recipe and in the rows that follow from it."""

    before: str
    after: str
    changes: tuple[Change, ...]
    axes: tuple[str, ...]
    """On which they differ."""
    factors: tuple[str, ...]
    """The axes on which they differ; of one that sets keys of several kinds, each kind."""
    added: Mapping[str, int]
    """Rows that only the second cell has, per language."""
    removed: Mapping[str, int]
    """Rows that only the first cell has, per language."""
    untouched: Mapping[str, int]
    """Components of which rows come or go though none of these axes is of them, with the number of rows."""
    steps: tuple[int, int]

    @property
    def one_factor(self) -> bool:
        """Whether one thing alone changes, and no row but by it."""
        return len(self.factors) == 1 and not self.untouched


@dataclass(frozen=True)
class Compared:
    """What the comparison needs of a planned cell."""

    cell: Cell
    allotments: Sequence[Allotment]
    mixture: Rows
    """One epoch, with a pool for each allotment that has rows."""
    steps: int

    @cached_property
    def parts(self) -> dict[Part, NDArray[np.int64]]:
        """The rows of each part: their places in the mixture."""
        filled = [allotment for allotment in self.allotments if allotment.examples]
        keys, parts = mixed(self.mixture.keys, "rows alike"), dict[Part, NDArray[np.int64]]()
        for number, allotment in enumerate(filled):
            places = np.flatnonzero(self.mixture.pool == number)
            parts[Part(allotment.component, allotment.source, allotment.variant, int(keys[places].sum()))] = places
        return parts


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of a component from one source in one variant; two of the same rows are equal."""

    component: str
    source: str
    variant: str
    rows: int
    """The sum of the rows' hashes, whatever their order."""


def neighbours(cells: Sequence[Compared], grid: Mapping[str, Axis]) -> list[Difference]:
    """Each cell against those before it in the grid that differ from it on the fewest axes.

    Cells come in the order of the axes, so the nearest earlier cell on each axis is one that differs on that axis
    alone, if there is any. A cell that stands for several places of the grid is a neighbour at each of them.
    """
    placed = [(number, cell) for number, compared in enumerate(cells) for cell in (compared.cell, *compared.cell.also)]
    recipes = [flat_recipe(cell) for _, cell in placed]
    owners, codes = np.array([number for number, _ in placed]), coded([cell for _, cell in placed], grid)
    differences: list[Difference] = []
    for number, after in enumerate(cells):
        seen: set[tuple[int, bytes]] = set()
        for earlier, later in nearest(owners, codes, number):
            differs = codes[earlier] != codes[later]
            pattern = (int(owners[earlier]), differs.tobytes())
            if pattern not in seen:
                seen.add(pattern)
                axes = [axis for axis, differ in zip(grid, differs.tolist(), strict=True) if differ]
                changes = changes_of(recipes[earlier], recipes[later])
                varied = {axis: grid[axis] for axis in axes}
                differences.append(difference(cells[owners[earlier]], after, changes, varied))
    return differences


def nearest(owners: NDArray[np.int64], codes: NDArray[np.int32], number: int) -> Iterator[tuple[int, int]]:
    """The places of earlier cells that differ on the fewest axes from a place of this cell, with that place.

    Of those that differ on the same axes only the last one.
    """
    places = np.flatnonzero(owners == number)
    before = codes[: places[0]]
    if not len(before):
        return
    differs = [before != codes[later] for later in places]
    counts = np.stack([differing.sum(axis=1) for differing in differs])
    for later, differ, count in zip(places.tolist(), differs, counts, strict=True):
        seen: set[bytes] = set()
        for earlier in np.flatnonzero(count == counts.min())[::-1].tolist():
            if (pattern := differ[earlier].tobytes()) not in seen:
                seen.add(pattern)
                yield earlier, later


def coded(cells: Sequence[Cell], grid: Mapping[str, Axis]) -> NDArray[np.int32]:
    """A number for each value of each axis: cells × axes."""
    codes = np.zeros((len(cells), len(grid)), dtype=np.int32)
    for column, axis in enumerate(grid):
        numbers: dict[str, int] = {}
        codes[:, column] = [numbers.setdefault(repr(cell.place[axis]), len(numbers)) for cell in cells]
    return codes


def changes_of(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Change, ...]:
    """The keys in which two flat recipes differ; of a stage that one cell alone comes after, none.

    Such a stage is there or not by the `start` of a later one.
    """
    of_one, of_other = named_stages(one), named_stages(other)
    return tuple(
        Change(path, one.get(path), other.get(path))
        for path in sorted({*one, *other})
        if one.get(path) != other.get(path) and not {stage_named(path)} & (of_one ^ of_other)
    )


def named_stages(flat: Mapping[str, Any]) -> set[str | None]:
    """The stages whose keys a flat recipe has."""
    return {*map(stage_named, flat)} - {None}


def stage_named(path: str) -> str | None:
    """The stage that a key is of; None of those that say how stages follow one another."""
    section, _, inner = path.partition(".")
    name, _, key = inner.partition(".")
    return name if section == "stages" and key and name not in Stages.model_fields else None


def difference(before: Compared, after: Compared, changes: tuple[Change, ...], axes: Mapping[str, Axis]) -> Difference:
    """The difference of two cells whose recipes differ in these keys, by these axes."""
    return Difference(
        before.cell.name,
        after.cell.name,
        changes,
        tuple(axes),
        tuple(factor for name, axis in axes.items() for factor in factors_of(name, axis, changes)),
        added=surplus(after, before),
        removed=surplus(before, after),
        untouched=untouched(before, after, [path for axis in axes.values() for path in axis.paths]),
        steps=(before.steps, after.steps),
    )


def untouched(before: Compared, after: Compared, paths: Sequence[str]) -> dict[str, int]:
    """Components of which rows come or go though none of the paths is of them, with the number of these rows."""
    touched = {path.partition("mixture.")[2].split(".")[0] for path in paths}
    if {"mixture", "mixture.seed"} & set(paths) or any(path.startswith("stages") and "mixture." not in path
                                                       for path in paths):  # fmt: skip
        return {}
    apart = dict.fromkeys(part.component for part in before.parts.keys() ^ after.parts.keys())
    counts = {
        component: sum(surplus(before, after, component).values()) + sum(surplus(after, before, component).values())
        for component in sorted(apart.keys() - touched)
    }
    return {component: count for component, count in counts.items() if count}


def factors_of(name: str, axis: Axis, changes: Sequence[Change]) -> list[str]:
    """The axis, or each kind of key that it changes where it changes several."""
    paths = [change.path for change in changes if any(f"{change.path}.".startswith(f"{path}.") for path in axis.paths)]
    kinds = list(dict.fromkeys(map(kind_of_key, paths)))
    return [name] if len(kinds) < 2 else [f"{name}: {kind}" for kind in kinds]


def kind_of_key(path: str) -> str:
    """A key without the component it is of, e.g. "mixture.*.amount"; the seeds are one kind."""
    if path in SEEDS:
        return "seed"
    section, *inner = path.split(".")
    name = inner[1] if section == "mixture" else inner[0]
    return f"{section}.{'*.' if section == 'mixture' else ''}{ALIKE.get(name, name)}"


def flat_recipe(cell: Cell) -> dict[str, Any]:
    """The keys of a cell's recipe that an axis may vary."""
    own = cell.recipe.model_dump(mode="json", include={"model", "mixture", "training", "adapter"})
    return flatten(own | (dict(cell.stage.given) if cell.stage else {}))


def flatten(data: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested keys as dotted paths; lists are values."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        inner = f"{path}.{key}" if path else key
        flat |= flatten(value, inner) if isinstance(value, dict) else {inner: value}  # pyright: ignore[reportUnknownArgumentType]
    return flat


def surplus(one: Compared, other: Compared, component: str | None = None) -> dict[str, int]:
    """How many rows per language one cell has beyond those that the other has as well, in one component or in all.

    Repetitions count. Parts of the same rows are not looked into.
    """
    keys, languages = rows_apart(one, other, component)
    if not len(keys):
        return {}
    others, _ = rows_apart(other, one, component)
    different, first, counts = np.unique(keys, return_index=True, return_counts=True)
    known, known_counts = np.unique(others, return_counts=True)
    _, ours, theirs = np.intersect1d(different, known, assume_unique=True, return_indices=True)
    counts[ours] -= known_counts[theirs]
    more = counts > 0
    names, places = np.unique(languages[first[more]], return_inverse=True)
    return dict(zip(names.tolist(), np.bincount(places, counts[more]).astype(int).tolist(), strict=True))


def rows_apart(one: Compared, other: Compared, component: str | None) -> tuple[Keys, NDArray[np.str_]]:
    """The keys and languages of one cell's rows in those of its parts that the other does not have."""
    parts = [part for part in one.parts if part not in other.parts and component in (None, part.component)]
    places = np.concatenate([*(one.parts[part] for part in parts), np.empty(0, np.int64)])
    return one.mixture.keys[places], one.mixture.languages[places]
