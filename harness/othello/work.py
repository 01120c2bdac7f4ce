"""The cells of a study of mOthello trained and measured, several at a time; what is done is not done again."""

from __future__ import annotations

import ctypes
import shutil
import signal
import sys
import time
from collections.abc import Collection, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import torch

from data_mixes.storage import is_whole_or_set_aside
from eval.othello.measures import Test, measures_of
from harness.console import progress, say
from harness.errors import MachineError, UserError, not_trained
from harness.exits import reason_in_words
from harness.othello.stages import loaded, measured_steps, train_cell, weights_file
from harness.othello.study import MothelloStudy, identity_of, measures_file, measuring, write_measures
from harness.othello.world import CellWorld
from harness.recipe.mothello import Mothello, MothelloCell
from harness.runs.locks import locked
from harness.runs.provenance import provenance
from harness.runs.record import CellRun

IN_USE = "another process is at it"


def work(study: MothelloStudy, chosen: Collection[str], processes: int) -> None:
    """Trains and measures the chosen cells that are not, so many at a time.

    Cells that another process works on are left to it. Raises MachineError, at the end, naming those that failed.
    """
    left = [cell for cell in study.cells if cell.name in chosen and not (done(study, cell))]
    if not left:
        say("every cell is trained and measured already")
        return
    told: dict[str, str] = {}
    with progress("cells", len(left)) as bar:
        for cell, said in _results(study, left, min(processes, len(left))):
            told[cell.name] = said
            bar.advance(1, f"{cell.name}: {said or 'done'}")
    if others := [name for name, said in told.items() if said == IN_USE]:
        say(f"{', '.join(others)}: {IN_USE}; run the same command again for the report when it is done")
    if failed := {name: said for name, said in told.items() if said and said != IN_USE}:
        raise not_trained(failed)


def done(study: MothelloStudy, cell: MothelloCell) -> bool:
    """Whether nothing is left to do for a cell."""
    return study.runs[cell.name].trained and study.measured(cell)


def _results(study: MothelloStudy, cells: list[MothelloCell], processes: int) -> Iterator[tuple[MothelloCell, str]]:
    """The cells as they are done, each with why it is not, if so."""
    if processes == 1:
        yield from ((cell, _work_on(study.runs[cell.name].folder, cell.recipe)) for cell in cells)
        return
    threads = max(1, torch.get_num_threads() // processes)
    with _pool(processes, threads) as pool:
        jobs: dict[Future[str], MothelloCell] = {
            pool.submit(_work_on, study.runs[cell.name].folder, cell.recipe): cell for cell in cells
        }
        left = {*jobs}
        while left:  # with a time limit, as nothing else lets Ctrl-C through to a thread that waits
            ended, left = wait(left, timeout=0.5, return_when=FIRST_COMPLETED)
            try:
                yield from ((jobs[job], job.result()) for job in ended)
            except BrokenProcessPool:
                raise MachineError(
                    "a process that trained was ended, as the system does when memory runs out; the same command goes "
                    "on from the last checkpoints"
                ) from None


@contextmanager
def _pool(processes: int, threads: int) -> Generator[ProcessPoolExecutor]:
    """Processes that end with this one, and at once when it is interrupted."""
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (threads,))
    try:
        yield pool
    except BaseException:
        for process in [*pool._processes.values()]:  # pyright: ignore[reportPrivateUsage]
            process.terminate()
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _begin(threads: int) -> None:
    """Sets up a process: Ctrl-C is for its parent, which ends it, as does the end of its parent (PR_SET_PDEATHSIG)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    torch.set_num_threads(threads)


def _work_on(folder: Path, recipe: Mothello) -> str:
    """Trains and measures one cell; why it could not be done, or nothing."""
    run = CellRun(folder, identity_of(recipe))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(run.files.lock):
            return _done_alone(run, recipe)
    except UserError:
        return IN_USE


def _done_alone(run: CellRun, recipe: Mothello) -> str:
    """The work on a cell that no other process is at."""
    try:
        world = CellWorld(recipe)
        if not run.trained or _damaged(run, recipe):
            _train(run, world)
        if run.record.get("measured") != measuring(recipe) or not measures_file(run.files).is_file():
            _measure(run, world)
    except Exception as error:
        if (reason := reason_in_words(error)) is None:
            raise
        run.update(state="failed", reason=reason)
        return reason
    return ""


def _damaged(run: CellRun, recipe: Mothello) -> bool:
    """Whether weights that are still to be measured are missing or damaged; what is damaged is set aside."""
    if run.record.get("measured") == measuring(recipe) and measures_file(run.files).is_file():
        return False
    whole = [is_whole_or_set_aside(weights_file(run.files, step)) for step in measured_steps(recipe)]
    return not all(whole)


def _train(run: CellRun, world: CellWorld) -> None:
    """Trains a cell to its end, and records it."""
    run.begin()
    run.update(state="training", measured=None)
    started, steps = time.monotonic(), 0

    def count(number: int) -> None:
        nonlocal steps
        steps += number

    state = train_cell(world, run.files, count)
    seconds = time.monotonic() - started
    run.update(
        state="trained",
        losses={"pretrain": state.losses[0], "finetune": state.losses[1]},
        steps=sum(map(len, state.losses)),
        steps_per_second=steps / seconds if steps else None,
        device="cuda" if torch.cuda.is_available() else "cpu",
        provenance=provenance(),
    )
    shutil.rmtree(run.checkpoints, ignore_errors=True)


def _measure(run: CellRun, world: CellWorld) -> None:
    """Measures the models that were kept of a cell; probes of every language are made for the pretrained one alone."""
    recipe = world.recipe
    test = Test(
        world.words, world.languages, world.unified, world.games("probe"), world.games("test"),
        recipe.probe.layer, recipe.probe.hidden, recipe.seed,
    )  # fmt: skip
    tables: list[pl.DataFrame] = []
    for step in measured_steps(recipe):
        sources = [world.source] if step else [*world.languages]
        tables.append(measures_of(loaded(world, run.files, step), test, step, sources))
    write_measures(run.files, pl.concat(tables))
    run.update(measured=measuring(recipe))
