"""Who may import whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.recipe.checks import RESERVED_CELLS
from harness.runs.folder import StudyFolder
from tests.support import command_names

REPOSITORY = Path(__file__).parent.parent
ROOMS = {"data_mixes": {"data_mixes"}, "eval": {"data_mixes", "eval"}, "harness": {"data_mixes", "eval", "harness"}}
HEAVY = {
    "trl": "harness/training/trainer.py",
    "peft": "harness/training/lora.py",
    "vllm": "eval/engines/vllm_engine.py",
    "lm_eval": "eval/interop/lm_eval_tasks.py",
    "altair": "eval/report/pictures/",
    "vl_convert": "eval/report/render.py",
    "openai": "eval/engines/endpoint.py",
    "inspect_ai": "eval/interop/inspect_logs.py",
    "ray": "harness/executors/ray_tasks.py",
}


def files() -> list[Path]:
    found = [path for room in ROOMS for path in sorted((REPOSITORY / room).rglob("*.py"))]
    assert len(found) > 25
    return found


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Imported module names, and whether by `import x` (not `from x import y`)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, True) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, False


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_imports_keep_to_the_house(path: Path) -> None:
    place = path.relative_to(REPOSITORY)
    room = place.parts[0]
    for module, whole in imports(path):
        top = module.split(".")[0]
        assert top not in ROOMS or top in ROOMS[room], f"{place} imports {module}: {room} is below it"
        allowed = HEAVY.get(top, str(place))
        assert is_in(place, allowed), f"{place} imports {module}: only {allowed} may"
        assert not (whole and top == "eval"), f"{place}: `import {module}` rebinds the builtin eval"
        assert not (room == "data_mixes" and top == "torch"), f"{place} imports torch"


def is_in(file: Path, allowed: str) -> bool:
    """Whether a file is the one allowed, or in the allowed room, which ends in a slash."""
    return str(file).startswith(allowed) if allowed.endswith("/") else str(file) == allowed


def test_every_heavy_library_is_imported_where_it_should_be() -> None:
    for library, allowed in HEAVY.items():
        there = [path for path in files() if is_in(path.relative_to(REPOSITORY), allowed)]
        assert library in {module.split(".")[0] for path in there for module, _ in imports(path)}


def module_of(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_files() -> dict[str, set[str]]:
    """Module → the project's modules that it imports when it is itself imported, or while it runs; not for types."""
    modules = {module_of(path) for path in files()}
    found: dict[str, set[str]] = {}
    for path in files():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for_types = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        wanted: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and id(node) not in for_types:
                names = {f"{node.module}.{alias.name}" for alias in node.names} & modules
                wanted |= names or {node.module} & modules
        found[module_of(path)] = wanted - {module_of(path)}
    return found


def test_no_circle_of_files() -> None:
    """Imports within functions count as well: what needs another at all depends on it."""
    graph = imported_files()
    assert sum(map(len, graph.values())) > 200
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"a circle: {' → '.join((*way[way.index(module) :], module))}"
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_no_command_imports_another_command() -> None:
    commands = {path.stem for path in (REPOSITORY / "harness" / "commands").glob("*.py")} - {"__init__", "options"}
    assert commands == command_names()
    for name, wanted in imported_files().items():
        others = {each for each in wanted if each.startswith("harness.commands.")} - {"harness.commands.options"}
        assert not others or name.startswith("harness.cli"), f"{name} imports {', '.join(others)}"


def test_a_recipe_opens_no_data() -> None:
    for name, wanted in imported_files().items():
        if name.startswith("harness.recipe."):
            rooms = {".".join(each.split(".")[:2]) for each in wanted if each.startswith("harness.")}
            assert rooms <= {"harness.recipe", "harness.errors"}, f"{name} imports {', '.join(sorted(rooms))}"


def test_no_cell_can_take_the_name_of_a_file_that_commands_write() -> None:
    folder = StudyFolder(Path())
    assert {path.name for path in (*folder.written_files, *folder.written_folders)} == RESERVED_CELLS - {"base"}


def test_no_file_bears_a_librarys_name() -> None:
    libraries = {*HEAVY, "accelerate", "datasets", "evaluate", "transformers", "torch", "ray", "tokenizers", "polars"}
    assert not libraries & {path.stem for path in files()}


def test_files_and_functions_stay_short() -> None:
    for path in files():
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 400, f"{path.name} has over 400 lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{path.name}: {node.name} has over 60 lines"
