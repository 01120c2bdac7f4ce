"""Patterns of revisions in a recipe, resolved once by what the hub has then, and kept with the study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.errors import Problem, UserError
from harness.models.base import revisions_of
from harness.recipe.load import load_recipe, parse_recipe, read_as
from harness.recipe.revisions_section import Revisions
from harness.recipe.schema import Recipe
from harness.runs.folder import StudyFolder
from harness.runs.record import read_json, write_json

NAMED = 5
"""Of a repository's revisions, those that an error names."""


def load_study(path: Path, runs: Path) -> tuple[Recipe, dict[str, Any]]:
    """A recipe as `load_recipe` reads it, with the commits of revisions in place of patterns for them.

    What the hub has is asked for once: the study keeps the names and commits, whatever the hub has later. Raises
    UserError.
    """
    recipe, raw = load_recipe(path)
    file = StudyFolder(runs / recipe.study).revisions
    kept: dict[str, dict[str, str]] = read_json(file) or {}
    known = dict(kept)
    raw = with_suites(with_axes(raw, known), known)
    if known != kept:
        with suppress(OSError):  # a folder that can only be read: they are asked for again
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, known)
    return (parse_recipe(raw), raw) if known else (recipe, raw)


def with_axes(raw: dict[str, Any], known: dict[str, dict[str, str]]) -> dict[str, Any]:
    """The recipe with an axis's values by their names, where it has a pattern for them: commits of its model."""
    grid = raw.get("grid")
    if not isinstance(grid, dict):
        return raw
    for axis, given in grid.items():
        if not isinstance(given, dict) or given.get("path") != "model.revision" or not is_pattern(given.get("values")):
            continue
        where = f"grid.{axis}.values"
        if any("model.name" in paths_of(other) for other in grid.values()):
            message = "a pattern is of one repository, and another axis varies model.name; name the revisions"
            raise UserError([Problem(where, message)])
        commits = resolved(raw["model"]["name"], given["values"], where, known)
        raw = raw | {"grid": raw["grid"] | {axis: given | {"values": commits}}}
    return raw


def paths_of(axis: Any) -> Iterator[str]:
    """The keys that an axis sets, if it is one."""
    path, values = (axis.get("path"), axis.get("values")) if isinstance(axis, dict) else (None, None)
    yield from [path] if isinstance(path, str) else path or ()
    for settings in values.values() if path is None and isinstance(values, dict) else ():
        yield from settings if isinstance(settings, dict) else ()


def with_suites(raw: dict[str, Any], known: dict[str, dict[str, str]]) -> dict[str, Any]:
    """The recipe with a model for each revision in place of one from elsewhere that has a pattern for them."""
    models: dict[str, Any] = {}
    for name, given in (raw.get("models") or {}).items():
        if not isinstance(given, dict) or not is_pattern(given.get("revision")):
            models[name] = given
            continue
        commits = resolved(given["name"], given["revision"], f"models.{name}.revision", known)
        models |= {f"{name}-{revision}": given | {"revision": commit} for revision, commit in commits.items()}
    return raw | {"models": models} if models else raw


def is_pattern(given: Any) -> bool:
    """Whether revisions are given by a pattern."""
    return isinstance(given, dict) and "pattern" in given


def resolved(repository: str, given: Mapping[str, Any], where: str, known: dict[str, dict[str, str]]) -> dict[str, str]:
    """Revision → commit, of the revisions that a pattern chooses; added to those that are known. Raises UserError."""
    try:
        wanted = read_as(Revisions, given)
    except UserError as error:
        raise UserError([Problem(f"{where}.{problem.where}", problem.message) for problem in error.problems]) from None
    key = f"{repository} {wanted.model_dump_json()}"
    if key not in known:
        there = revisions_of(repository, where)
        chosen = wanted.chosen(there)
        if len(chosen) < 2:
            some = ", ".join([*there][:NAMED])
            message = f"{repository} has {len(chosen)} revisions that match {wanted.pattern!r} and name a step"
            raise UserError([Problem(where, f"{message}; it has {len(there)}, such as {some}")])
        known[key] = {revision: there[revision] for revision in chosen}
    return known[key]
