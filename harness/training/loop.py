"""The training stage: which cells are left, the base model, and each cell's record."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from transformers import AutoModelForCausalLM, TrainerCallback
from transformers.utils import logging as transformers_logging

from data_mixes.example import from_table
from data_mixes.mixture import batches_by_length
from harness.console import BarProgress, LineProgress, progress, say, waiting
from harness.errors import Problem, UserError
from harness.interrupts import is_quiet
from harness.models.devices import on_cpu
from harness.planning.study import CellPlan, Study
from harness.recipe.grid import choose
from harness.runs.locks import locked
from harness.runs.provenance import provenance
from harness.runs.record import CellRun, adapter_hash
from harness.training.batches import divisors_of
from harness.training.forecast import time_left, training_in_words
from harness.training.trainer import DivergedError, Job, train, write_dataset
from harness.training.utilization import model_flops_utilization, weights_of


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


def train_cells(recipe: Path, runs: Path, cells: str | None) -> None:
    """Trains the chosen cells that are not trained, and says which already are."""
    state = PartialState(cpu=on_cpu())
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    study = Study(recipe, runs)
    chosen = {cell.name for cell in choose(study.cells, cells)}
    plans = [plan for plan in study.plans if plan.name in chosen]
    pending = [plan for plan in plans if not plan.run.finished]
    state.wait_for_everyone()
    if state.is_main_process:
        for note in [] if is_quiet() else study.begin():
            say(note)
        for plan in plans:
            if plan not in pending:
                say(f"{plan.name}: {plan.run.record['state']} already")
    if not pending:
        return
    refuse_uneven_batches(pending, state.num_processes)
    train_pending(study, pending, len(plans), state)


def train_pending(study: Study, pending: list[CellPlan], chosen: int, state: PartialState) -> None:
    """Trains cell after cell on one base model."""
    with waiting("loading the base model"):
        model = load_base_model(study)
    if state.is_main_process:
        expected = "" if is_quiet() else training_in_words(time_left(study, ",".join(plan.name for plan in pending)))
        say(f"{len(pending)} of {chosen} cells to train{expected}")
    for number, plan in enumerate(pending, 1):
        train_cell(model, study, plan, f"cell {number}/{len(pending)} {plan.name}", state)


def refuse_uneven_batches(plans: list[CellPlan], processes: int) -> None:
    """Raises UserError where the global batch cannot be split evenly: its gradient would be another."""
    batches = {plan.cell.recipe.training.global_batch for plan in plans}
    problems = [
        Problem("training.global_batch", f"{batch} is not divisible by {processes} processes; use {divisors_of(batch)}")
        for batch in sorted(batches)
        if batch % processes
    ]
    if problems:
        raise UserError(problems)


def train_cell(model: Any, study: Study, plan: CellPlan, label: str, state: PartialState) -> None:
    """Trains one cell and records what came of it, while no other command may train it."""
    if state.is_main_process:
        plan.run.begin()
    with locked(plan.run.folder / ".lock") if state.is_main_process else nullcontext():
        state.wait_for_everyone()
        train_locked_cell(model, study, plan, label, state)


def train_locked_cell(model: Any, study: Study, plan: CellPlan, label: str, state: PartialState) -> None:
    """Trains one cell; the first process writes its record."""
    run, recipe = plan.run, plan.cell.recipe
    weights = weights_of(model)
    data = run.folder / "rows.arrow"
    if state.is_main_process:
        write_rows(data, study, plan)
    state.wait_for_everyone()
    job = Job(plan.name, data, int(plan.lengths.tokens.sum()), run.checkpoints, run.adapter)
    try:
        with progress(label, plan.steps) if state.is_main_process else nullcontext() as bar:
            outcome = train(model, study.tokenizer, job, recipe.adapter, recipe.training, ShowProgress(bar))
    except DivergedError as error:
        if state.is_main_process:
            say(f"{plan.name}: diverged, and is left out of evaluation: {error}")
            run.update(state="diverged", reason=str(error), provenance=provenance())
            clean_up(run)
        state.wait_for_everyone()
        return
    if state.is_main_process:
        device = "cpu" if on_cpu() else torch.cuda.get_device_name()
        supervised = int(plan.lengths.supervised_tokens.sum())
        utilization = model_flops_utilization(
            weights, outcome.tokens, supervised, outcome.seconds, device, state.num_processes, study.precision.dtype
        )
        run.update(
            state="trained",
            adapter=adapter_hash(run.adapter),
            steps=outcome.steps,
            loss=outcome.loss,
            seconds=round(outcome.seconds, 1),
            resumed_at=outcome.resumed_at,
            tokens_per_second=round(outcome.tokens / outcome.seconds, 1) if not outcome.resumed_at else None,
            processes=state.num_processes,
            device=device,
            model_flops_utilization=utilization if not outcome.resumed_at else None,
            prompts=study.renderer.template_hash,
            sources=sorted({part.origin_name for each in recipe.components for part in each.sources}),
            provenance=provenance(),
        )
        clean_up(run)
    state.wait_for_everyone()


def write_rows(path: Path, study: Study, plan: CellPlan) -> None:
    """The cell's rows as token ids in training order, each global batch sorted by length."""
    order = batches_by_length(plan.lengths.tokens.tolist(), plan.cell.recipe.training.global_batch)
    rows = plan.rows.take(np.array(order))
    rendered = (row for table in rows.tables() for row in study.tokens.render(list(from_table(table))))
    write_dataset(path, rendered, plan.cell.recipe.training.global_batch)


def clean_up(run: CellRun) -> None:
    """Removes what only training needs."""
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    (run.folder / "rows.arrow").unlink(missing_ok=True)


def load_base_model(study: Study) -> Any:
    """The base model on this process's device, frozen, from safetensors alone."""
    settings = study.recipe.model
    model: Any = AutoModelForCausalLM.from_pretrained(
        study.model.location,
        revision=study.model.revision,
        dtype=getattr(torch, study.precision.dtype),
        trust_remote_code=settings.trust_remote_code,
        use_safetensors=True,
    )
    model.requires_grad_(False)
    return model.to(PartialState().device)
