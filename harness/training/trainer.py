"""Supervised fine-tuning of cells with TRL. The only importer of trl.

A cell with LoRA puts a new adapter on the base model, trains it, and takes it off; full tuning uses the model up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, set_seed
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from harness.exits import is_out_of_memory
from harness.models.devices import on_cpu
from harness.models.reinitialise import modules_of_blocks
from harness.recipe.objectives_section import LOGGED_AS
from harness.recipe.schema import Training
from harness.runs.checkpoints import last_whole_checkpoint, seal_checkpoint, steps_of
from harness.runs.folder import StudyFolder
from harness.runs.job import IGNORED, CellJob
from harness.runs.record import CellRun
from harness.training.answers import validation_scores
from harness.training.batches import micro_batch_of
from harness.training.cell_log import CellLog
from harness.training.full import let_learn, save_model
from harness.training.lora import adapted, merged_state, save_adapter, stack_again, with_adapter
from harness.training.memory import rows_that_fit
from harness.training.objectives import StepsOfTheirOwn, Terms
from harness.training.padding import collator, keeps_rows_apart
from harness.training.preemption import stopping_at_sigterm
from harness.training.selection import KeepBest, KeepSteps, Losses, curve_of
from harness.training.sharding import is_sharded, leave_losses_as_they_are, sharding_on_cpu_too
from harness.training.stages import begins_with, own_adapter, write_stack
from harness.training.supervised import SupervisedLoss, with_supervised_forward
from harness.training.tracking import ending_reports, reporting_settings
from harness.training.zero3 import by_deepspeed


class SupervisedPositionsTrainer(SFTTrainer):
    """SFTTrainer that scores the vocabulary at supervised positions only, on every device.

    TRL's fused head does so with Triton alone and elsewhere scores each position of the batch: with
    a vocabulary of 262k words and prompts longer than completions, that is most of a step.
    """

    terms: Terms | None = None
    """What is learned beside the likelihood."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given: Any = kwargs["model"]
        learning = {name: weight.data for name, weight in given.named_parameters() if weight.requires_grad}
        super().__init__(*args, **kwargs)
        for name, weight in given.named_parameters():
            if name in learning:  # on a base of four bits TRL rounds adapters to bfloat16
                weight.data = learning[name]
        # the loss below is divided by the global batch's tokens, whatever the model's own forward can take
        self.model_accepts_loss_kwargs = True

    def create_accelerator_and_postprocess(self) -> None:
        """As transformers does, on CPUs too where the model is parted."""
        with sharding_on_cpu_too():
            super().create_accelerator_and_postprocess()
        leave_losses_as_they_are(self.accelerator)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """As transformers does, with all adapters of a stack."""
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        stack_again(self.model, Path(resume_from_checkpoint))

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean over the supervised tokens of the global batch; see `Trainer.compute_loss` for the scaling."""
        if self.terms and self.terms.distilled:
            outputs = SupervisedLoss(loss_sum=self.terms.distilled.loss_sum(inputs))
        else:
            outputs = model(**inputs, supervised_positions_only=True, use_cache=False)
        tokens = num_items_in_batch
        if tokens is None:
            tokens = (inputs["labels"][:, 1:] != IGNORED).sum().clamp(min=1)
        self.step_tokens = float(tokens)
        loss = outputs.loss_sum / tokens
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # DDP averages gradients over processes
        return (loss, outputs) if return_outputs else loss

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As transformers does; at the last micro-batch of a step with the gradients of the terms beside it."""
        loss = super().training_step(*args, **kwargs)
        if self.terms and self.accelerator.sync_gradients:
            with self.compute_loss_context_manager():
                self.terms.add_gradients(self.state.global_step)
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As transformers does, with what the terms came to at this step."""
        of_terms = self.terms.logged(self.step_tokens) if self.terms and "loss" in logs else {}
        super().log({**logs, **of_terms}, start_time)


class DivergedError(RuntimeError):
    """A loss that is not a finite number."""


class TooManyRowsError(RuntimeError):
    """Too little memory for a micro-batch of several rows."""

    def __init__(self, rows: int) -> None:
        super().__init__(f"out of memory with {rows} rows at once")
        self.rows = rows


@contextmanager
def telling_too_many(rows: int) -> Generator[None]:
    """Raises TooManyRowsError where memory runs out in the block and fewer rows at once might do."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error) and rows > 1:
            raise TooManyRowsError(rows) from error
        raise


class StopAtDivergence(TrainerCallback):
    """Ends training at the first loss that is not finite: what follows is no experiment."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Raises DivergedError."""
        if logs and not math.isfinite(logs.get("loss", 0.0)):
            raise DivergedError(f"the loss was {logs['loss']} at step {state.global_step}")


History: TypeAlias = dict[str, list[float | None]]


class SealCheckpoints(TrainerCallback):
    """Notes the checksums of a checkpoint once every process has written its part."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Waits for the others; the first process seals."""
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            seal_checkpoint(Path(args.output_dir) / f"checkpoint-{state.global_step}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What training a cell came to: `seconds` since this start."""

    steps: int
    history: History
    """Loss, learning rate and gradient norm (before clipping) at each step, by their names in the record."""
    seconds: float
    resumed_at: int
    curve: dict[int, Losses]
    """Step → losses on validation rows, where these choose the step."""
    padding_free: bool
    """Whether rows of a micro-batch were joined rather than padded."""
    micro_batch: int
    objectives: dict[str, Any]
    """What is measured of the terms beside the likelihood, by term."""


def train(model: Any, tokenizer: Any, job: CellJob, study: Path, callback: TrainerCallback) -> Outcome:
    """Trains one cell: an adapter on the model, which is left as it was, or the model itself.

    Resumes from the last whole checkpoint in the cell's folder. Every process of a launch calls this; the first writes.
    """
    state, run = PartialState(), CellRun(StudyFolder(study).cell(job.name).path, job.identity)
    set_seed(job.training.seed)
    apart = keeps_rows_apart(model)
    with tuned(model, job, study) as tuned_model:
        with_supervised_forward(model)
        rows = rows_of(job, study)
        micro_batch = micro_batch_of(job.training, state.num_processes, room_for(tuned_model, rows, job, run, state))
        trainer = SupervisedPositionsTrainer(
            model=tuned_model,
            args=trainer_settings(study, job, state.num_processes, micro_batch),
            train_dataset=rows,
            data_collator=collator(apart),
            processing_class=tokenizer,
            callbacks=[callback, StopAtDivergence(), SealCheckpoints(), CellLog(run.files, job)],
        )
        trainer.remove_callback(PrinterCallback)
        add_terms(trainer, tuned_model, model, job, study)

        def keep_in(folder: Path) -> None:
            whole = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # every process gives its part
            if state.is_main_process:
                save(trainer.accelerator.unwrap_model(trainer.model), whole, tokenizer, job, folder, study)

        def keep(step: int) -> None:
            keep_in(run.weights.folder)

        if job.selection:
            by_answers = partial(validation_scores, trainer, tokenizer, job, study)
            by_loss = partial(validation_losses, trainer, job, study)
            trainer.add_callback(KeepBest(job.selection, by_answers if job.questions else by_loss, keep))
        if every := job.training.kept_every:
            trainer.add_callback(KeepSteps(every, lambda step: keep_in(run.weights_after(step).folder)))
        checkpoint = last_whole_checkpoint(run.checkpoints)
        started = time.monotonic()
        with stopping_at_sigterm() as stopping, telling_too_many(micro_batch), ending_reports(job):
            trainer.add_callback(stopping)
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        seconds = time.monotonic() - started
        steps = trainer.state.global_step
        resumed_at = steps_of(checkpoint) if checkpoint else 0
        if not job.selection:
            keep(steps)
        state.wait_for_everyone()
        history = history_of(trainer.state.log_history)
        objectives = trainer.terms.measured() if trainer.terms else {}
        trainer.accelerator.free_memory()
        curve = curve_of(trainer.state.log_history)
    return Outcome(steps, history, seconds, resumed_at, curve, apart, micro_batch, objectives)


def add_terms(trainer: SupervisedPositionsTrainer, learning: Any, model: Any, job: CellJob, study: Path) -> None:
    """Gives a trainer the terms beside the likelihood of its cell, if there are any, on what learns."""
    if job.training.objectives.names:
        tokenizer: Any = trainer.processing_class
        trainer.terms = Terms(learning, model, job, study, first=0 if tokenizer.bos_token_id is None else 1)
        trainer.add_callback(StepsOfTheirOwn(trainer.terms, trainer.compute_loss_context_manager))


def room_for(model: Any, rows: Dataset, job: CellJob, run: CellRun, state: PartialState) -> int | None:
    """How many rows the memory has room for, where a recipe leaves that open or an earlier try ran out of it.

    The first process reckons for all; of a model that is parted nothing is known but what earlier tries say.
    """
    told: list[Any] = [run.record.get("room")]
    if job.training.micro_batch == "auto" and told == [None] and not is_sharded():
        if state.is_main_process:
            told = [rows_that_fit(model, longest_of(rows), state.num_processes)]
        broadcast_object_list(told)
    return told[0]


def longest_of(rows: Dataset) -> int:
    """The tokens of the longest row."""
    return max(len(ids) for ids in rows["input_ids"])


@torch.no_grad()
def validation_losses(trainer: Any, job: CellJob, study: Path) -> Losses:
    """The losses on the validation rows, each process taking its share of the micro-batches."""
    model, processes = trainer.model, trainer.accelerator.num_processes
    losses: Losses = {}
    model.eval()
    for language, file in job.validation.items():
        rows: list[Any] = list(Dataset.from_file(str(StudyFolder(study).rows / file)))
        size = trainer.args.per_device_train_batch_size
        batches = [rows[start : start + size] for start in range(0, len(rows), size)]
        idle = [{**batches[-1][0], "labels": [IGNORED] * len(batches[-1][0]["labels"])}]
        batches += [idle] * (-len(batches) % processes)
        total = torch.zeros(2, device=trainer.accelerator.device)
        for batch in batches[trainer.accelerator.process_index :: processes]:
            inputs = {name: part.to(total.device) for name, part in trainer.data_collator(batch).items()}
            loss_sum = model(**inputs, supervised_positions_only=True, use_cache=False).loss_sum
            total += torch.stack([loss_sum.float(), (inputs["labels"][:, 1:] != IGNORED).sum().float()])
        loss_sum, tokens = trainer.accelerator.reduce(total, "sum").tolist()
        losses[language] = loss_sum / tokens
    model.train()
    return losses


def tuned(model: Any, job: CellJob, study: Path) -> AbstractContextManager[Any]:
    """What learns: an adapter on the model while the block lasts, or the model."""
    if job.training.method == "full":
        return nullcontext(let_learn(model, job.training.freeze))
    if job.reinitialise and job.reinitialise.layers:
        whole = modules_of_blocks(model, job.reinitialise.layers)
        return nullcontext(with_adapter(model, job.adapter, job.training.seed, whole=whole))
    before = begins_with(study, job)
    begun: Any = {"before": before and before.folder, "stacked": job.start == "stack"}
    if is_sharded():
        return nullcontext(with_adapter(model, job.adapter, job.training.seed, **begun))
    return adapted(model, job.adapter, job.training.seed, **begun)


def save(model: Any, state: dict[str, Any], tokenizer: Any, job: CellJob, folder: Path, study: Path) -> None:
    """Writes what has learned, of the model's whole state.

    An adapter beside new blocks is merged into them; of a stack there is the sum, and the last adapter beside it.
    """
    if job.reinitialise and job.training.method == "lora":
        model, state = model.get_base_model(), merged_state(model, state)
    if job.trains_whole_model:
        save_model(model, state, tokenizer, getattr(torch, job.dtype), folder, job.trust_remote_code)
    elif job.start == "stack" and (below := begins_with(study, job)):
        save_adapter(model, state, own_adapter(folder))
        write_stack(below.folder, folder)
    else:
        save_adapter(model, state, folder)


LOGGED = {"loss": "loss", "learning_rate": "learning_rate", "gradient_norm": "grad_norm"}
"""Name in the record → name in the trainer's log, which has an entry for each step."""


def history_of(log: Sequence[Mapping[str, float]]) -> History:
    """What the trainer logged at each step; None for what is no finite number, which a record cannot hold."""
    steps = [entry for entry in log if "loss" in entry]
    terms = {name: name for entry in steps for name in entry if name.startswith(LOGGED_AS)}
    return {
        name: [float(value) if math.isfinite(value := entry.get(logged, math.nan)) else None for entry in steps]
        for name, logged in {**LOGGED, **terms}.items()
    }


def rows_of(job: CellJob, study: Path) -> Dataset:
    """The cell's rows in training order, read from disk as they are wanted."""
    files = StudyFolder(study)
    return Dataset.from_file(str(files.rows / job.rows)).select(np.load(files.cell(job.name).order))


def trainer_settings(study: Path, job: CellJob, processes: int, micro_batch: int) -> SFTConfig:
    """TRL's settings: rows in the given order, nothing shuffled, dropped or packed.

    The products of full tuning are in the study's number format, and its weights in float32: an update of 1e-5 of a
    weight would be rounded away in bfloat16.
    """
    training = job.training
    return SFTConfig(
        output_dir=str(StudyFolder(study).cell(job.name).checkpoints),
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=training.global_batch // (micro_batch * processes),
        num_train_epochs=1,
        learning_rate=training.learning_rate,
        lr_scheduler_type=scheduler_name(training),
        warmup_steps=training.warmup_steps,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        seed=training.seed,
        train_sampling_strategy="sequential",
        shuffle_dataset=False,
        packing=False,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        bf16=job.trains_whole_model and job.dtype == "bfloat16",
        gradient_checkpointing=by_deepspeed() and job.execution.activation_checkpointing,
        use_cpu=on_cpu(),
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=training.checkpoint_every,
        save_total_limit=2,
        **reporting_settings(study, job),
        disable_tqdm=True,
        dataloader_pin_memory=not on_cpu(),
        dataloader_drop_last=False,
        average_tokens_across_devices=True,
        ddp_find_unused_parameters=False,
    )


def scheduler_name(training: Training) -> str:
    """Transformers' name of the schedule: its "constant" would leave out the warm-up in silence."""
    return "constant_with_warmup" if training.schedule == "constant" and training.warmup_steps else training.schedule
