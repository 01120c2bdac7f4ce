"""Training planned cells, one after another on one base model, and their records."""

from __future__ import annotations

import ctypes
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, release_memory
from transformers import TrainerCallback
from transformers.utils import logging as transformers_logging

from data_mixes.holds import holder_of, holding
from data_mixes.storage import checksum_file
from harness.console import BarProgress, LineProgress, counted, progress, say, waiting
from harness.errors import Problem, UserError, not_trained
from harness.exits import OUT_OF_MEMORY, is_full, is_out_of_memory
from harness.models.base import load_tokenizer
from harness.models.devices import on_cpu
from harness.recipe.selection_section import Selection
from harness.runs.folder import StudyFolder
from harness.runs.job import CellJob, read_job
from harness.runs.provenance import provenance
from harness.runs.record import CellRun
from harness.training.batches import divisors_of
from harness.training.cell_log import write_error
from harness.training.load import load_base_model
from harness.training.objectives import retrieval_in_words
from harness.training.selection import best_step
from harness.training.sharding import check_precision, is_sharded
from harness.training.stages import compose, model_location, parents_of
from harness.training.trainer import DivergedError, Outcome, TooManyRowsError, train
from harness.training.utilization import Weights, arithmetic, matmul_rate, peak_rate, weights_of
from harness.training.zero3 import check_deepspeed

Decision = TypeVar("Decision")
POLLED = 2.0
"""Seconds between two looks at cells that processes elsewhere train."""
LONGEST_PLAN = timedelta(hours=6)
"""How long the other processes of a launch wait while the first one plans."""


class ShowProgress(TrainerCallback):
    """Moves a progress bar, with the loss beside it."""

    def __init__(self, bar: LineProgress | BarProgress | None) -> None:
        self.bar = bar
        self.note = ""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Keeps the loss for the next step's note."""
        if logs and "loss" in logs:
            self.note = f"loss {logs['loss']:.3f}"

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Counts the steps of an earlier start."""
        if self.bar and state.global_step:
            self.bar.resume(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Counts one step."""
        if self.bar:
            self.bar.advance(1, self.note)


def start_process() -> PartialState:
    """This process's place among those of the launch, with their libraries silenced."""
    state = PartialState(cpu=on_cpu(), timeout=LONGEST_PLAN)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    return state


def train_jobs(study: Path, names: Sequence[str], state: PartialState, expected: str = "") -> None:
    """Trains those planned cells of a study's folder that nobody else trains; `expected` is what is known of the time.

    Other processes may do the same: each takes the next cell that nobody holds, and at the end those that were given
    back meanwhile. Raises UserError, and MachineError once all are tried, if some could not be trained.
    """
    jobs = agreed(unfinished_jobs(study, names), state)
    refuse_uneven_batches(list(jobs.values()), state.num_processes)
    check_precision(job.dtype for job in jobs.values())
    check_deepspeed()
    if state.is_main_process:
        say(f"{counted(len(jobs), 'cell')} to train{expected}")
    refuse_missing_parents(study, jobs)
    loaded, took = Loaded(study), [True]
    while any(took) or agreed(waits_for_others(study, jobs), state):
        took = [take_cell(study, name, f"cell {number}/{len(jobs)} {name}", loaded, state)
                for number, name in enumerate(jobs, 1)]  # fmt: skip
    failed = {name: reason for name in jobs if (reason := read_run(study, name).failure)}
    if failed:
        raise not_trained(failed)
    if state.is_main_process and not any(StudyFolder(study).planned_cells()):
        shutil.rmtree(StudyFolder(study).rows, ignore_errors=True)


def unfinished_jobs(study: Path, names: Sequence[str]) -> dict[str, CellJob]:
    """The jobs of the cells that are not finished. Raises UserError for one that has none."""
    jobs: dict[str, CellJob] = {}
    for name in names:
        if not read_run(study, name).finished:
            try:
                jobs[name] = read_job(study, name)
            except UserError:
                if not read_run(study, name).finished:  # another worker has finished it just now, and removed its job
                    raise
    return jobs


def take_cell(study: Path, name: str, label: str, loaded: Loaded, state: PartialState) -> bool:
    """Trains a cell that is neither finished nor failed, and that nobody holds; whether it did."""
    with holding(StudyFolder(study).cell(name).lock) if state.is_main_process else nullcontext() as other:
        if not agreed(other is None and not is_settled(study, name) and is_ready(study, read_job(study, name)), state):
            return False
        job = read_job(study, name)  # as it is now that nobody else can write it
        run = CellRun(StudyFolder(study).cell(name).path, job.identity)
        if state.is_main_process:
            run.begin()
            if lost := untrained_parents(study, job):
                run.update(state="failed", reason=f"begins with {lost}", provenance=provenance())
                say(f"{name}: not trained: it begins with {lost}")
        state.wait_for_everyone()
        if run.failure:
            return True
        while not train_cell(loaded, job, run, label, state):
            give_memory_back()
        if run.failure:
            give_memory_back()
        state.wait_for_everyone()
    return True


def refuse_missing_parents(study: Path, jobs: Mapping[str, CellJob]) -> None:
    """Raises UserError for cells that begin with others which are neither trained nor planned."""
    planned = {cell.path.name for cell in StudyFolder(study).planned_cells()}
    problems = [
        Problem(name, f"begins with {parent}, which is not trained; choose that too, or leave out --cells")
        for name, job in jobs.items()
        for parent in job.parents.values()
        if parent not in planned | jobs.keys() and not is_settled(study, parent)
    ]
    if problems:
        raise UserError(problems)


def is_ready(study: Path, job: CellJob) -> bool:
    """Whether the cells that one begins with are trained, or never will be."""
    return all(is_settled(study, parent) for parent in job.parents.values())


def untrained_parents(study: Path, job: CellJob) -> str:
    """Those of the cells that one begins with which could not be trained, with what became of them."""
    runs = parents_of(study, job).values()
    return ", ".join(f"{run.folder.name}, which {run.record['state']}" for run in runs if not run.trained)


def waits_for_others(study: Path, jobs: Mapping[str, CellJob]) -> bool:
    """Whether a cell is left that begins with one which another process trains: if so, after a while."""
    folder = StudyFolder(study)
    parents = {parent for name, job in jobs.items() if not is_settled(study, name) for parent in job.parents.values()}
    waits = any(not is_settled(study, parent) and holder_of(folder.cell(parent).lock) for parent in parents)
    if waits:
        time.sleep(POLLED)
    return waits


def agreed(of_this_process: Decision, state: PartialState) -> Decision:
    """What the first process of a launch found; other workers may change what is on disk while the others look."""
    decision = [of_this_process]
    if state.num_processes > 1:
        broadcast_object_list(decision)
    return decision[0]


def is_settled(study: Path, name: str) -> bool:
    """Whether a cell is finished, or was tried and failed."""
    run = read_run(study, name)
    return run.finished or run.failure is not None


def read_run(study: Path, name: str) -> CellRun:
    """A cell's run, for what is recorded of it."""
    return CellRun(StudyFolder(study).cell(name).path, {})


def give_memory_back() -> None:
    """Frees what a failed cell leaves, and has the C library give it back, which keeps freed memory for itself."""
    release_memory()
    with suppress(OSError, AttributeError):  # other libraries than glibc have no such function
        ctypes.CDLL(None).malloc_trim(0)


class Loaded:
    """The base model in memory: the same for all cells that put adapters on it, another for each that changes it."""

    def __init__(self, study: Path) -> None:
        self._study = study
        self._of: tuple[object, ...] = ()
        self._model: Any = None
        self._tokenizer: Any = None

    def for_job(self, job: CellJob) -> tuple[Any, Any]:
        """The model and the tokenizer that a cell begins with. Raises UserError."""
        location, revision = model_location(self._study, job)
        wanted = (location, revision, job.dtype, job.quantization, job.trains_whole_model)
        model, tokenizer = (self._model, self._tokenizer) if self._of == wanted else (None, None)
        self._of, self._model = (), None  # its memory is wanted for the next
        if model is None:
            with waiting("loading the base model"):
                model = load_base_model(job, location, revision)
                tokenizer = load_tokenizer(job.location, job.revision, job.trust_remote_code)
        if not job.trains_whole_model and not is_sharded():
            self._of, self._model, self._tokenizer = wanted, model, tokenizer
        return model, tokenizer


def refuse_uneven_batches(jobs: Sequence[CellJob], processes: int) -> None:
    """Raises UserError where the global batch cannot be split evenly: its gradient would be another."""
    problems = [
        Problem("training.global_batch", f"{batch} is not divisible by {processes} processes; use {divisors_of(batch)}")
        for batch in sorted({job.training.global_batch for job in jobs})
        if batch % processes
    ]
    problems += [
        Problem("training.objectives", f"{job.name} has terms beside the likelihood, which are computed in one process "
                f"and not in {processes}; launch one process for each cell")
        for job in jobs
        if processes > 1 and job.training.objectives.names
    ]  # fmt: skip
    if problems:
        raise UserError(problems)


def train_cell(loaded: Loaded, job: CellJob, run: CellRun, label: str, state: PartialState) -> bool:
    """Trains one cell; the first process writes its record. False where it is to be tried again, with fewer rows."""
    if job.made_of is not None:
        if state.is_main_process:
            make_cell(job, run)
        return True
    try:
        model, tokenizer = loaded.for_job(job)
        with progress(label, job.steps) if state.is_main_process else nullcontext() as bar:
            outcome = train(model, tokenizer, job, run.folder.parent, ShowProgress(bar))
    except DivergedError as error:
        if state.is_main_process:
            say(f"{job.name}: diverged, and is left out of evaluation: {error}")
            run.update(state="diverged", reason=str(error), provenance=provenance())
            clean_up(run)
        return True
    except TooManyRowsError as error:
        room = error.rows // 2
        run.update(room=room)
        again = f"{job.name}: {error}; goes on with {room}, and the same global batch"
        if state.num_processes > 1:  # the others wait for this one, in a step that it does not come to
            run.update(state="failed", reason=OUT_OF_MEMORY, provenance=provenance())
            say(f"{again}, when the same command is run again")
            raise
        say(again)
        return False
    except Exception as error:
        if isinstance(error, UserError) or is_full(error):
            raise
        reason = OUT_OF_MEMORY if is_out_of_memory(error) else f"{type(error).__name__}: {error}".splitlines()[0]
        run.update(state="failed", reason=reason, provenance=provenance())
        write_error(run.files, error)
        say(f"{job.name}: failed: {reason}; its log: {run.files.log}")
        if state.num_processes > 1:  # the others wait for this one, in a step that it does not come to
            raise
        return True
    if state.is_main_process:
        run.update(**record_of(job, run, outcome, weights_of(model), state.num_processes), weights=run.weights.hash)
        clean_up(run)
        if "align" in outcome.objectives:
            say(f"{job.name}: {retrieval_in_words(outcome.objectives)}")
    return True


def make_cell(job: CellJob, run: CellRun) -> None:
    """Makes a composed cell of the weights of others, and writes its record."""
    started, study = time.monotonic(), run.folder.parent
    try:
        near = compose(study, job, run.weights.folder, partial(load_base_model, job))
    except ValueError as error:
        run.update(state="failed", reason=str(error), provenance=provenance())
        say(f"{job.name}: failed: {error}")
        return
    made_of = hashes_of_parents(run, job)
    seconds = round(time.monotonic() - started, 1)
    told = {"seconds": seconds, "parents": made_of, **near, **job.recorded, "provenance": provenance()}
    run.update(state="trained", steps=0, **told, weights=run.weights.hash)
    say(f"{job.name}: made of {', '.join(made_of)}")
    clean_up(run)


def hashes_of_parents(run: CellRun, job: CellJob) -> dict[str, str | None]:
    """Cell → what names its weights, of those that a cell begins with or is made of."""
    return {parent.folder.name: parent.weights_hash for parent in parents_of(run.folder.parent, job).values()}


def record_of(job: CellJob, run: CellRun, outcome: Outcome, weights: Weights, processes: int) -> dict[str, Any]:
    """What is recorded of a trained cell."""
    return {
        "state": "trained",
        "steps": outcome.steps,
        **outcome.history,
        "seconds": round(outcome.seconds, 1),
        "resumed_at": outcome.resumed_at,
        **({"objectives": outcome.objectives} if outcome.objectives else {}),
        **({"selection": chosen_step(outcome, job.selection)} if job.selection else {}),
        **({"kept_steps": kept_steps} if (kept_steps := hashes_of_steps(run)) else {}),
        **speed_of(job, outcome, weights, processes),
        "processes": processes,
        "micro_batch": outcome.micro_batch,
        "sharded": is_sharded(),
        **({"start": job.start, "parents": parents} if (parents := hashes_of_parents(run, job)) else {}),
        **job.recorded,
        "provenance": provenance(),
    }


def speed_of(job: CellJob, outcome: Outcome, weights: Weights, processes: int) -> dict[str, Any]:
    """How fast a cell was trained, of what the devices can; blank for a cell that went on from an earlier start.

    `matmul_utilization` is the model's arithmetic over what the devices' measured rate of products does in that time,
    `model_flops_utilization` over their makers' rate.
    """
    device = "cpu" if on_cpu() else torch.cuda.get_device_name()
    whole = not outcome.resumed_at and outcome.seconds > 0 and outcome.steps == job.steps
    rates = {
        "model_flops_utilization": peak_rate(device, job.dtype),
        "matmul_utilization": matmul_rate("cpu" if on_cpu() else "cuda", job.dtype) if whole else None,
    }
    done = arithmetic(weights, job.tokens, job.supervised_tokens) / max(outcome.seconds, 1e-9) / processes
    return {
        "device": device,
        "padding_free": outcome.padding_free,
        "tokens_per_second": round(job.tokens / outcome.seconds, 1) if whole else None,
        "supervised_tokens_per_second": round(job.supervised_tokens / outcome.seconds, 1) if whole else None,
        **{name: done / rate if whole and rate else None for name, rate in rates.items()},
    }


def hashes_of_steps(run: CellRun) -> dict[str, str]:
    """Step → what names its weights, of the steps that are kept."""
    return {str(step): run.weights_after(step).hash for step in run.kept_steps}


def chosen_step(outcome: Outcome, selection: Selection) -> dict[str, Any]:
    """The step whose weights the cell has, and the losses or scores on validation rows that chose it."""
    curve = [{"step": step, **losses} for step, losses in outcome.curve.items()]
    return {"by": selection.by, "step": best_step(outcome.curve, selection.task is not None), "curve": curve}


def clean_up(run: CellRun) -> None:
    """Removes what only training needs."""
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    for path in (run.files.job, run.files.order, run.files.progress):
        path.unlink(missing_ok=True)
        checksum_file(path).unlink(missing_ok=True)
