"""Supervised fine-tuning of cells with TRL. The only importer of trl.

The base model is loaded once; each cell puts a new adapter on it, trains it, and takes it off.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from accelerate.utils import set_seed
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from harness.models.devices import on_cpu
from harness.recipe.schema import Training
from harness.runs.checkpoints import last_whole_checkpoint, seal_checkpoint, steps_of
from harness.runs.folder import StudyFolder
from harness.runs.job import IGNORED, CellJob
from harness.runs.record import CellRun
from harness.training.batches import micro_batch_of
from harness.training.lora import adapted, save_adapter
from harness.training.supervised import with_supervised_forward


class SupervisedPositionsTrainer(SFTTrainer):
    """SFTTrainer that scores the vocabulary at supervised positions only, on every device.

    TRL's fused head does so with Triton alone and elsewhere scores each position of the batch: with
    a vocabulary of 262k words and prompts longer than completions, that is most of a step.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # the loss below is divided by the global batch's tokens, whatever the model's own forward can take
        self.model_accepts_loss_kwargs = True

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean over the supervised tokens of the global batch; see `Trainer.compute_loss` for the scaling."""
        outputs = model(**inputs, supervised_positions_only=True, use_cache=False)
        tokens = num_items_in_batch
        if tokens is None:
            tokens = (inputs["labels"][:, 1:] != IGNORED).sum().clamp(min=1)
        loss = outputs.loss_sum / tokens
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # DDP averages gradients over processes
        return (loss, outputs) if return_outputs else loss


class DivergedError(RuntimeError):
    """A loss that is not a finite number."""


class StopAtDivergence(TrainerCallback):
    """Ends training at the first loss that is not finite: what follows is no experiment."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Raises DivergedError."""
        if logs and not math.isfinite(logs.get("loss", 0.0)):
            raise DivergedError(f"the loss was {logs['loss']} at step {state.global_step}")


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
    loss: list[float]
    seconds: float
    resumed_at: int


def train(model: Any, tokenizer: Any, job: CellJob, study: Path, callback: TrainerCallback) -> Outcome:
    """Trains one cell's adapter on the shared base model, which is left as it was.

    Resumes from the last whole checkpoint in the cell's folder. Every process of a launch calls this; the first writes.
    """
    state, run = PartialState(), CellRun(StudyFolder(study).cell(job.name).path, job.identity)
    set_seed(job.training.seed)
    with adapted(model, job.adapter, job.training.seed) as adapted_model:
        trainer = SupervisedPositionsTrainer(
            model=adapted_model,
            args=trainer_settings(run.checkpoints, job.training, state.num_processes),
            train_dataset=rows_of(job, study),
            processing_class=tokenizer,
            callbacks=[callback, StopAtDivergence(), SealCheckpoints()],
        )
        trainer.remove_callback(PrinterCallback)
        with_supervised_forward(model)
        checkpoint = last_whole_checkpoint(run.checkpoints)
        started = time.monotonic()
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        seconds = time.monotonic() - started
        steps = trainer.state.global_step
        resumed_at = steps_of(checkpoint) if checkpoint else 0
        if state.is_main_process:
            save_adapter(trainer.accelerator.unwrap_model(trainer.model), run.adapter)
        state.wait_for_everyone()
        history = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        trainer.accelerator.free_memory()
    return Outcome(steps, history, seconds, resumed_at)


def rows_of(job: CellJob, study: Path) -> Dataset:
    """The cell's rows in training order, read from disk as they are wanted."""
    files = StudyFolder(study)
    return Dataset.from_file(str(files.rows / job.rows)).select(np.load(files.cell(job.name).order))


def trainer_settings(checkpoints: Path, training: Training, processes: int) -> SFTConfig:
    """TRL's settings: rows in the given order, nothing shuffled, dropped or packed."""
    micro_batch = micro_batch_of(training, processes)
    return SFTConfig(
        output_dir=str(checkpoints),
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
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=on_cpu(),
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=training.checkpoint_every,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=not on_cpu(),
        dataloader_drop_last=False,
        average_tokens_across_devices=True,
        ddp_find_unused_parameters=False,
    )


def scheduler_name(training: Training) -> str:
    """Transformers' name of the schedule: its "constant" would leave out the warm-up in silence."""
    return "constant_with_warmup" if training.schedule == "constant" and training.warmup_steps else training.schedule
