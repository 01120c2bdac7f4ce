"""Memory and time of a study's evaluation, as large as is asked for: 3,000 cells × 8 languages × 250 items by default.

    python benchmarks/evaluation_at_scale.py [--cells 3000] [--items 250] [--folder DIR]

Nothing is trained: each cell gets an adapter of a few bytes of its own, and an engine that only pretends to generate
answers. All else is the harness's own: planning, the keys of requests, chunks on disk, scoring, tables, and the
commands that read them. Each command runs in a process of its own, whose memory is added to that of its children every
tenth of a second; pages that they share count more than once.
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
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import psutil

from eval.engines.engine import Completion, EngineSettings, Likelihood, Progress, Request, ScoredRow
from harness.evaluation import cells as evaluation
from harness.models.engines import EngineChoice
from harness.planning.study import Study
from harness.runs.record import write_json
from tests.support import REPOSITORY, small_recipe
from tests.synthetic import ANSWERS, ENGLISH

LANGUAGES = ("ar", "en", "es", "fr", "ja", "ko", "pt", "zh")
TEXTS = (*ANSWERS.values(), "The answer is {}.", "La réponse est {}.", "A resposta é {}.", ENGLISH)
AMOUNTS = 10


class Pretence:
    """An engine that answers without a model, the same to the same request."""

    version = "pretence 1"
    chunk = 4096

    def __init__(self, settings: EngineSettings) -> None:
        pass

    def generate(self, requests: Sequence[Request], progress: Progress) -> list[Completion]:
        """One of a few sentences, with one of a few numbers."""
        progress(len(requests))
        return [pretended(request) for request in requests]

    def likelihoods(self, rows: Sequence[ScoredRow]) -> list[Likelihood]:
        """As if adapters did much."""
        return [Likelihood((-0.5 if row.adapter else -2.0,) * len(row.completion_ids), False) for row in rows]

    def close(self) -> None:
        """Nothing is held."""


class PretenceChoice(EngineChoice):
    """The choice of that engine."""

    def start(self, settings: EngineSettings) -> Pretence:
        """It takes no time."""
        return Pretence(settings)


def pretended(request: Request) -> Completion:
    """The completion of a request."""
    adapter = request.adapter.name if request.adapter else ""
    drawn = zlib.crc32(adapter.encode(), zlib.crc32(bytes(token % 256 for token in request.prompt_ids)))
    return Completion(TEXTS[drawn % len(TEXTS)].format(drawn // 16 % 40, 7), 9, "stop")


def main() -> None:
    """Prints seconds and memory of each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=3000)
    parser.add_argument("--items", type=int, default=250)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--evaluate", nargs=2, type=Path, metavar=("RECIPE", "RUNS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.evaluate:
        evaluate(*given.evaluate)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        os.environ["HARNESS_CACHE"] = str(folder / "cache")
        recipe, runs = written_recipe(folder, given.cells, given.items), folder / "runs"
        harness, here = ("-m", "harness.cli"), (__file__, "--evaluate", str(recipe), str(runs))
        where = (str(recipe), "--runs", str(runs))
        measured("plan", *harness, "plan", *where)
        pretend_to_train(recipe, runs)
        measured("generate and score", *here)
        measured("evaluate again: nothing is new", *here)
        measured("status", *harness, "status", *where)
        measured("report", *harness, "report", *where)
        measured("compare two cells", *harness, "compare", where[0], "amount-45_seed-0", "amount-0_seed-0", *where[1:])


def written_recipe(folder: Path, cells: int, items: int) -> Path:
    """A recipe of as many cells: ten amounts, each with as many seeds as it takes."""
    data: dict[str, Any] = small_recipe(REPOSITORY / "tests" / "data" / "made-by-2f60a04" / "model")
    data |= {"study": "large", "languages": {"seen": ["en", "fr"], "unseen": [*{*LANGUAGES} - {"en", "fr"}]}}
    data["evaluation"] = {"engine": "transformers", "tasks": ["math"], "items": items, "max_tokens": {"math": 8}}
    data["grid"] = {
        "amount": {"path": "mixture.others.amount", "values": [5 * step for step in range(AMOUNTS)]},
        "seed": {"path": "training.seed", "values": list(range(cells // AMOUNTS))},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def pretend_to_train(recipe: Path, runs: Path) -> None:
    """Gives each cell an adapter of its own, and a record that says it is trained."""
    study = Study(recipe, runs)
    study.begin()
    for plan in study.plans:
        plan.run.begin()
        plan.run.weights.folder.mkdir(exist_ok=True)
        write_json(plan.run.weights.config, {"r": 8, "lora_alpha": 16, "use_rslora": False})
        plan.run.weights.tensors[0].write_text(plan.name)
        plan.run.update(state="trained", weights=plan.run.weights.hash, steps=plan.steps, seconds=1.0)


def evaluate(recipe: Path, runs: Path) -> None:
    """`harness eval` with the engine that pretends, as its reference too."""
    evaluation.TransformersEngine = Pretence  # pyright: ignore[reportAttributeAccessIssue]
    study = Study(recipe, runs)
    study.begin()
    study.engine = PretenceChoice(study.engine.name, Pretence.version, "it is pretended")
    evaluation.evaluate_cells(study, None)


def measured(name: str, *arguments: str) -> None:
    """Runs a command, and prints how long it took and how much memory it and its children held at the most."""
    started, peak = time.monotonic(), 0
    process = psutil.Popen([sys.executable, *arguments], cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, held_by(process))
        time.sleep(0.1)
    own = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"{name}: {time.monotonic() - started:.1f} s, {peak / 2**20:,.0f} MiB together"
        f" (largest process so far {own:,.0f})" + (f", status {process.returncode}" if process.returncode else ""),
        flush=True,
    )


def held_by(process: psutil.Process) -> int:
    """Bytes of resident memory of a process and its children."""
    total = 0
    for one in (process, *children_of(process)):
        try:
            total += one.memory_info().rss
        except psutil.Error:
            continue
    return total


def children_of(process: psutil.Process) -> list[psutil.Process]:
    """The processes below another; none when that has ended."""
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


if __name__ == "__main__":
    main()
