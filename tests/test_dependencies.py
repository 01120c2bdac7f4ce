"""Every package that the code imports is declared in pyproject.toml, and what is not an extra is enough for it."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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


OF_THE_USER = {"wandb"}
"""Programs that `training.report_to` names, which users install themselves."""


def test_what_is_imported_is_declared() -> None:
    distributions, allowed = packages_distributions(), declared()
    packages = {name: path for name, path in imported().items() if name not in OF_THE_USER}
    assert len(packages) > 25
    undeclared = {
        name: path
        for name, path in packages.items()
        if not {normal(name), *map(normal, distributions.get(name, []))} & allowed
    }
    assert not undeclared


IN_EXTRAS = {
    "eval.interop.inspect_logs": "inspect_ai", "eval.interop.lm_eval_tasks": "lm_eval",
    "eval.interop.lm_eval_results": "lm_eval", "harness.executors.ray_tasks": "ray",
}  # fmt: skip
"""Modules that want an extra as soon as they are imported; they are imported when that is asked for."""
IMPORT_ALL = """
import importlib, json, sys
lacking = {}
for module in sys.argv[1:]:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        lacking[module] = error.name
print(json.dumps(lacking))
"""


def needed() -> set[str]:
    """The distributions that the dependencies, and all that these need, come to; without any extra of ours."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pending, known = [Requirement(text) for text in project["dependencies"]], set[tuple[str, str]]()
    while pending:
        requirement = pending.pop()
        for extra in ("", *requirement.extras):
            if (place := (normal(requirement.name), extra)) not in known:
                known.add(place)
                pending += [inner for inner in needs(requirement.name) if wanted(inner, extra)]
    return {name for name, _ in known}


def needs(name: str) -> list[Requirement]:
    try:
        return [Requirement(text) for text in requires(name) or ()]
    except PackageNotFoundError:  # of another platform
        return []


def wanted(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def linked(names: set[str], folder: Path) -> None:
    """Links to what these distributions have installed here: a folder of packages with nothing else in it."""
    for name in names:
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        for part in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
            target = Path(str(installed.locate_file(part)))
            if target.exists() and not (folder / part).exists():
                (folder / part).symlink_to(target)


@pytest.mark.slow
def test_every_module_can_be_imported_where_the_dependencies_alone_are_installed(tmp_path: Path) -> None:
    """An environment of these, made of links to what is installed here."""
    there = needed()
    assert "torch" in there and "inspect-ai" not in there
    linked(there, tmp_path)
    paths = [path.relative_to(REPOSITORY) for room in ROOMS for path in sorted((REPOSITORY / room).rglob("*.py"))]
    modules = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]
    modules = [module for module in modules if not module.startswith("eval.modules.")]  # `evaluate` loads them by path
    done = subprocess.run(
        [sys.executable, "-S", "-c", IMPORT_ALL, *modules], cwd=REPOSITORY, text=True, capture_output=True, check=False,
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{tmp_path}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == IN_EXTRAS
