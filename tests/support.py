"""What several tests share."""

from __future__ import annotations

import copy
import gc
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer import Typer
from typer.main import get_command
from typer.testing import CliRunner

from data_mixes.mixture import allot, materialise
from data_mixes.sources import SOURCES
from data_mixes.templates.embedded import EmbeddedSource
from harness.cli import app
from harness.planning.contrast import Compared
from harness.planning.drawing import Drawing
from harness.recipe.grid import cells_of
from harness.recipe.schema import Execution, Recipe
from harness.train import main

REPOSITORY = Path(__file__).parent.parent


def embedded() -> list[EmbeddedSource]:
    """The sources that ship with the harness."""
    found = [source for source in SOURCES.values() if isinstance(source, EmbeddedSource)]
    assert len(found) == 3
    return found


def command_names() -> set[str]:
    """The commands of the command line."""
    return set(getattr(get_command(app), "commands"))  # noqa: B009  # typer declares no such attribute


def small_recipe(tiny_model: Path) -> dict[str, Any]:
    """A small study: two cells, one unseen language, the transformers engine."""
    return {
        "study": "small",
        "model": {"name": str(tiny_model), "dtype": "float32"},
        "training": {
            "epochs": 1,
            "global_batch": 4,
            "micro_batch": 2,
            "learning_rate": 1e-2,
            "max_length": 1024,
            "checkpoint_every": 2,
        },
        "languages": {"seen": ["en", "fr"], "unseen": ["ja"]},
        "mixture": {
            "english": {"sources": ["word-problems", "instructions"], "languages": ["en"], "amount": 5},
            "others": {"sources": ["word-problems", "instructions"], "languages": ["fr"], "amount": 3},
        },
        "grid": {"amount": {"path": "mixture.others.amount", "values": [0, 3]}},
        "evaluation": {
            "engine": "transformers",
            "tasks": ["math", "instructions"],
            "items": 2,
            "max_tokens": {"math": 8, "instructions": 8},
        },
    }


def changed(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of a recipe in which one key has another value."""
    data = copy.deepcopy(data)
    *parents, last = path.split(".")
    place = data
    for parent in parents:
        place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
    if isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return data


def compared(recipe: Recipe, raw: dict[str, Any], as_before: bool = False) -> list[Compared]:
    """The cells of a recipe with their rows, as a plan compares them; a step to the row."""
    cells = cells_of(recipe, raw)
    drawing, found = Drawing(cells, as_before), list[Compared]()
    for cell in cells:
        components, orders = cell.recipe.components, drawing.orders(cell)
        allotments = allot(components, orders)
        rows = materialise(allotments, components, orders, cell.recipe.training.seed)
        found.append(Compared(cell, allotments, rows, len(rows)))
    return found


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def harness(*arguments: object) -> Ended:
    """Runs the command line in this process, as a user would type it."""
    return _run_here(app, *arguments)


def train_here(recipe: Path, runs: Path, *options: str) -> Ended:
    """Runs harness/train.py in this process."""
    script = Typer(add_completion=False)
    script.command()(main)
    return _run_here(script, recipe, "--runs", runs, *options)


def leave_modules_out_of_collections() -> None:
    """Has garbage collections pass over what is imported by now: each takes a second, and training makes several."""
    _freeze(len(sys.modules) // 200)


@cache
def _freeze(_: int) -> None:
    gc.collect()
    gc.freeze()


def train_in_this_process(patched: pytest.MonkeyPatch) -> None:
    """Has `run` train here, as its child would: a process of its own takes most of its time to start."""
    from harness.errors import MachineError
    from harness.exits import reason_in_words
    from harness.training.loop import start_process, train_jobs

    leave_modules_out_of_collections()

    def launch(study: Path, names: Sequence[str], processes: int | None, execution: Execution) -> int:
        try:
            train_jobs(study, names, start_process())
        except MachineError:
            return 1
        except Exception as error:
            print(f"error: {reason_in_words(error)}", file=sys.stderr)
            return 1
        return 0

    patched.setattr("harness.executors.local.launch_training", launch)


def run_here(*arguments: object) -> Ended:
    """`harness run` with its training in this process."""
    with pytest.MonkeyPatch.context() as patched:
        train_in_this_process(patched)
        return harness("run", *arguments)


def _run_here(program: Typer, *arguments: object) -> Ended:
    result = CliRunner().invoke(program, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


def harness_process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own, with these environment variables beside the present ones."""
    command = [sys.executable, "-m", "harness.cli", *map(str, arguments)]
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, env=os.environ | environment
    )


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def kill_with_children(process: subprocess.Popen[Any]) -> None:
    """Kills a process and all that it started, and waits until none of them holds anything."""
    doomed = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for one in doomed:
        one.kill()
    psutil.wait_procs(doomed)
    process.wait()


def killed_after_two_chunks(chunk: int, study: Path, *arguments: object) -> dict[str, int]:
    """Runs the command line with chunks of so many completions, and kills it when two of them are kept.

    The transformers engine makes them. Returns the files of the chunks, and when each was written, in nanoseconds.
    """
    code = f"""
from eval.engines.transformers_engine import TransformersEngine
from harness.cli import app
TransformersEngine.chunk = {chunk}
app()
"""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(list((study / "evaluation" / "generations").glob("*.jsonl"))) < 2:
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    return written_chunks(study)


def written_chunks(study: Path) -> dict[str, int]:
    """The files of completions that a study has, and when each was written, in nanoseconds."""
    return {file.name: file.stat().st_mtime_ns for file in (study / "evaluation" / "generations").glob("*.jsonl")}
