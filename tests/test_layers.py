"""Who may import whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
ROOMS = {"data_mixes": {"data_mixes"}, "eval": {"data_mixes", "eval"}, "harness": {"data_mixes", "eval", "harness"}}
HEAVY = {
    "trl": "harness/training/trainer.py",
    "peft": "harness/training/lora.py",
    "vllm": "eval/engines/vllm_engine.py",
    "lm_eval": "eval/interop/lm_eval_tasks.py",
    "altair": "eval/report/pictures.py",
    "openai": "eval/judges/endpoint_judge.py",
    "inspect_ai": "eval/interop/inspect_logs.py",
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
        assert HEAVY.get(top, str(place)) == str(place), f"{place} imports {module}: only {HEAVY[top]} may"
        assert not (whole and top == "eval"), f"{place}: `import {module}` rebinds the builtin eval"
        assert not (room == "data_mixes" and top == "torch"), f"{place} imports torch"


def test_every_heavy_library_is_imported_where_it_should_be() -> None:
    for library, place in HEAVY.items():
        assert library in {module.split(".")[0] for module, _ in imports(REPOSITORY / place)}
