"""How neighbouring cells of a grid differ: evidence that an experiment is controlled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_mixes.rows import Rows
from harness.recipe.schema import Recipe


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
    added: Mapping[str, int]
    """Rows that only the second cell has, per language."""
    removed: Mapping[str, int]
    """Rows that only the first cell has, per language."""
    steps: tuple[int, int]

    @property
    def one_factor(self) -> bool:
        """Whether a single key of the recipe differs, or several by the same values."""
        return len({(str(change.before), str(change.after)) for change in self.changes}) == 1


@dataclass(frozen=True, slots=True)
class Compared:
    """What the comparison needs of a planned cell."""

    name: str
    recipe: Recipe
    rows: Rows
    steps: int


def neighbours(cells: Sequence[Compared]) -> list[Difference]:
    """Each cell against those before it in the grid that differ from it in fewest keys.

    Cells come in the order of the axes, so the nearest earlier cell on each axis is one that
    differs in that axis alone, if there is any.
    """
    keys = [flat_recipe(cell.recipe) for cell in cells]
    varying, codes = coded(keys)
    differences: list[Difference] = []
    for number, after in enumerate(cells[1:], 1):
        differs = codes[:number] != codes[number]
        counts = differs.sum(axis=1)
        seen: set[bytes] = set()
        for earlier in np.flatnonzero(counts == counts.min())[::-1].tolist():
            pattern = differs[earlier].tobytes()
            if pattern not in seen:
                seen.add(pattern)
                paths = [path for path, differ in zip(varying, differs[earlier].tolist(), strict=True) if differ]
                changes = tuple(Change(path, keys[earlier].get(path), keys[number].get(path)) for path in paths)
                differences.append(difference(cells[earlier], after, changes))
    return differences


def coded(keys: Sequence[Mapping[str, Any]]) -> tuple[list[str], NDArray[np.int32]]:
    """The keys in which any two recipes differ, and a number for each value of theirs: recipes × keys."""
    paths = sorted({path for recipe in keys for path in recipe})
    columns: dict[str, list[int]] = {}
    for path in paths:
        numbers: dict[str, int] = {}
        column = [numbers.setdefault(repr(recipe.get(path)), len(numbers)) for recipe in keys]
        if len(numbers) > 1:
            columns[path] = column
    return list(columns), np.array(list(columns.values()), dtype=np.int32).reshape(len(columns), len(keys)).T


def difference(before: Compared, after: Compared, changes: tuple[Change, ...]) -> Difference:
    """The difference in rows, by id, and in steps."""
    return Difference(
        before.name,
        after.name,
        changes,
        added=surplus(after.rows, before.rows),
        removed=surplus(before.rows, after.rows),
        steps=(before.steps, after.steps),
    )


def flat_recipe(recipe: Recipe) -> dict[str, Any]:
    """A recipe's keys, but for its name and its grid."""
    return flatten(recipe.model_dump(mode="json", exclude={"grid", "study"}))


def flatten(data: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested keys as dotted paths; lists are values."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        inner = f"{path}.{key}" if path else key
        flat |= flatten(value, inner) if isinstance(value, dict) else {inner: value}  # pyright: ignore[reportUnknownArgumentType]
    return flat


def surplus(rows: Rows, others: Rows) -> dict[str, int]:
    """How many rows there are per language beyond those that the others have as well, repetitions counted."""
    keys, first, counts = np.unique(rows.keys, return_index=True, return_counts=True)
    known, known_counts = np.unique(others.keys, return_counts=True)
    _, ours, theirs = np.intersect1d(keys, known, assume_unique=True, return_indices=True)
    counts[ours] -= known_counts[theirs]
    more = counts > 0
    languages, places = np.unique(rows.languages[first[more]], return_inverse=True)
    return dict(zip(languages.tolist(), np.bincount(places, counts[more]).astype(int).tolist(), strict=True))
