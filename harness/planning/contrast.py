"""What exactly differs between neighbouring cells of a grid: the proof that an experiment is controlled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
    found: list[Difference] = []
    for place, after in enumerate(cells[1:], 1):
        earlier = [(before, recipe_changes(before.recipe, after.recipe)) for before in reversed(cells[:place])]
        fewest = min(len(changes) for _, changes in earlier)
        seen: set[tuple[str, ...]] = set()
        for before, changes in earlier:
            paths = tuple(change.path for change in changes)
            if len(changes) == fewest and paths not in seen:
                seen.add(paths)
                found.append(difference(before, after, changes))
    return found


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


def recipe_changes(before: Recipe, after: Recipe) -> tuple[Change, ...]:
    """The keys in which two recipes differ."""
    one, other = (flatten(recipe.model_dump(mode="json", exclude={"grid", "study"})) for recipe in (before, after))
    return tuple(
        Change(path, one.get(path), other.get(path))
        for path in sorted({*one, *other})
        if one.get(path) != other.get(path)
    )


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
