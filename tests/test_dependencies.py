"""Every package that the code imports is declared in pyproject.toml."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from tests.support import REPOSITORY

ROOMS = ("data_mixes", "eval", "harness")


def declared() -> set[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [name for extra, names in project["optional-dependencies"].items() if extra != "dev" for name in names]
    return {normal(re.split(r"[\[<>=!~ ]", name)[0]) for name in [*project["dependencies"], *extras]}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported() -> dict[str, str]:
    """Package → a file that imports it; the project's own and Python's are left out."""
    packages: dict[str, str] = {}
    for path in [path for room in ROOMS for path in sorted((REPOSITORY / room).rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            for name in names:
                packages.setdefault(name.partition(".")[0], str(path.relative_to(REPOSITORY)))
    return {name: path for name, path in packages.items() if name not in {*ROOMS, *sys.stdlib_module_names}}


def test_what_is_imported_is_declared() -> None:
    distributions, allowed = packages_distributions(), declared()
    packages = imported()
    assert len(packages) > 25
    undeclared = {
        name: path
        for name, path in packages.items()
        if not {normal(name), *map(normal, distributions.get(name, []))} & allowed
    }
    assert not undeclared
