"""How long a user waits for a command, in a study of a few cells and in a grid of 3,000.

    python benchmarks/commands.py [--cells 3000] [--runs 5]

Nothing is trained: the studies are planned, with the tiny model of the tests; then half of the cells pretend to be
trained, and two to be held by workers. Each command runs in a process of its
own; of several runs the fastest is printed, and how much of it was spent computing, in which other work has no part.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from data_mixes.holds import holding
from harness.planning.study import Study
from harness.runs.record import write_json
from tests.support import REPOSITORY, small_recipe


def main() -> None:
    """Prints seconds of each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=3000)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HARNESS_CACHE"] = folder
        show("--help", given.runs, "--help")
        for cells in (3, given.cells):
            recipe, where = grid(Path(folder), cells), ("--runs", f"{folder}/runs")
            show(f"{cells:,} cells: plan, the first time", 1, "plan", recipe, *where)
            show(f"{cells:,} cells: plan", given.runs, "plan", recipe, *where)
            show(f"{cells:,} cells: status", given.runs, "status", recipe, *where)
            with two_working(recipe, Path(folder) / "runs"):
                show(
                    f"{cells:,} cells, half trained, two held by workers: status", given.runs, "status", recipe, *where
                )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"peak memory of a command: {peak:,.0f} MiB")


def grid(folder: Path, cells: int) -> Path:
    """A recipe of as many cells: ten amounts, or three, with as many seeds as it takes."""
    data: dict[str, Any] = small_recipe(REPOSITORY / "tests" / "data" / "made-by-2f60a04" / "model")
    amounts = 3 if cells < 10 else 10
    data["study"] = f"cells-{cells}"
    data["grid"] = {
        "amount": {"path": "mixture.others.amount", "values": [5 * step for step in range(amounts)]},
        "seed": {"path": "training.seed", "values": list(range(cells // amounts))},
    }
    path = folder / f"{cells}.yaml"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


@contextmanager
def two_working(recipe: Path, runs: Path) -> Generator[None]:
    """As when two workers are half through the study: records of trained cells, and two cells that are held."""
    plans = Study(recipe, runs).plans
    for plan in plans[: len(plans) // 2]:
        plan.run.begin()
        plan.run.weights.folder.mkdir(exist_ok=True)
        write_json(plan.run.weights.config, {"r": 8, "lora_alpha": 16, "use_rslora": False})
        plan.run.weights.tensors[0].write_text(plan.name)
        plan.run.update(state="trained", weights=plan.run.weights.hash, steps=plan.steps, seconds=1.0)
    with ExitStack() as held:
        for plan in plans[-2:]:
            plan.run.begin()
            held.enter_context(holding(plan.run.files.lock))
        yield


def show(name: str, runs: int, *arguments: object) -> None:
    """Prints the fastest of so many runs of a command."""
    seconds: list[float] = []
    computing: list[float] = []
    for _ in range(runs):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-m", "harness.cli", *map(str, arguments)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(time.perf_counter() - started)
        computing.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    print(f"{name}: {min(seconds):.2f} s, computing {min(computing):.2f} s", flush=True)


if __name__ == "__main__":
    main()
