"""How fast a cell trains: steps over their arithmetic, the cell over its steps, and TRL's own trainer beside.

All in one run, on the first rows of the quickstart's last cell: python benchmarks/training.py [STEPS]
Prints seconds by the clock and of computing. On a busy machine compare the second, of one thread (OMP_NUM_THREADS=1):
several threads wait for one another, which counts as computing.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from datasets import Dataset
from peft import LoraConfig
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from harness.models.base import load_tokenizer
from harness.models.devices import this_device
from harness.planning.jobs import write_jobs
from harness.planning.study import Study
from harness.recipe.settings import with_settings
from harness.runs.folder import StudyFolder
from harness.runs.job import CellJob, read_job
from harness.runs.record import CellRun
from harness.training.load import load_base_model
from harness.training.loop import Loaded, start_process, train_cell
from harness.training.trainer import rows_of
from harness.training.utilization import Weights, arithmetic, matmul_rate, weights_of


@dataclass
class Clock:
    """Seconds by the clock and of computing."""

    wall: float = field(default_factory=time.perf_counter)
    computing: float = field(default_factory=time.process_time)

    def until_now(self) -> Clock:
        """What has passed since."""
        return Clock(time.perf_counter() - self.wall, time.process_time() - self.computing)

    def plus(self, other: Clock) -> Clock:
        """Both together."""
        return Clock(self.wall + other.wall, self.computing + other.computing)

    def over(self, other: Clock) -> str:
        """The ratios to another."""
        return f"{self.wall / other.wall:.2f} by the clock, {self.computing / other.computing:.2f} of computing"

    def __str__(self) -> str:
        return f"{self.wall:.2f} s by the clock, {self.computing:.2f} s of computing"


class TimedSteps(TrainerCallback):
    """Adds up the time of steps."""

    def __init__(self) -> None:
        self.seconds, self.steps = Clock(0.0, 0.0), 0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Starts the clock."""
        self.started = Clock()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Stops it."""
        self.seconds, self.steps = self.seconds.plus(self.started.until_now()), self.steps + 1

    @property
    def each(self) -> Clock:
        """A step on average."""
        return Clock(self.seconds.wall / self.steps, self.seconds.computing / self.steps)


def main(steps: int) -> None:
    """Measures and prints."""
    start_process()
    folder = Path(tempfile.mkdtemp())
    job = planned(folder, steps)
    rate = matmul_rate("cpu" if not torch.cuda.is_available() else "cuda", job.dtype)
    computing = rate_of_computing(job.dtype)
    print(
        f"{this_device().name}, {torch.get_num_threads()} threads; products {rate / 1e9:.0f} GFLOP/s by the clock, "
        f"{computing / 1e9:.0f} of computing, in {job.dtype}"
    )
    ours, cell, weights = by_harness(folder, job)
    work = arithmetic(weights, job.tokens, job.supervised_tokens) / steps
    alone = Clock(work / rate, work / computing)
    print(f"a step of ours: {ours.each}; its arithmetic alone: {alone}; the share {alone.over(ours.each)}")
    print(f"the cell, start to saved adapter: {cell}; over its steps {cell.over(ours.seconds)}")
    theirs, whole = by_trl(folder, job)
    print(f"a step of TRL's: {theirs.each}; over ours {theirs.each.over(ours.each)}")
    print(f"TRL, start to saved adapter: {whole}; over ours {whole.over(cell)}")


def rate_of_computing(dtype: str) -> float:
    """FLOP per second of computing of large products on the CPU: what other programs take does not count."""
    left, right = torch.ones(2, 1024, 1024, dtype=getattr(torch, dtype))
    seconds = []
    for _ in range(20):
        started = time.process_time()
        _ = left @ right
        seconds.append(time.process_time() - started)
    return 2.0 * 1024**3 / min(seconds)


def planned(folder: Path, steps: int) -> CellJob:
    """The last cell of the quickstart, of so many steps."""
    recipe = with_settings(Path("recipes/quickstart.yaml"), [f"training.steps={steps}", "training.epochs=null"])
    study = Study(recipe, folder)
    study.begin()
    write_jobs(study, study.plans[-1:])
    return read_job(study.folder, study.plans[-1].name)


def by_harness(folder: Path, job: CellJob) -> tuple[TimedSteps, Clock, Weights]:
    """The harness's steps, and the whole cell with the base model loaded already, as it is for all cells but one."""
    from harness.training import loop

    steps, run = TimedSteps(), CellRun(StudyFolder(folder / "quickstart").cell(job.name).path, job.identity)
    loaded = Loaded(folder / "quickstart")
    model, _ = loaded.for_job(job)
    run.begin()
    setattr(loop, "ShowProgress", lambda bar: steps)  # noqa: B010  # in the place of the bar
    clean_up, loop.clean_up = loop.clean_up, lambda run: None  # TRL trains on the same rows
    started = Clock()
    assert train_cell(loaded, job, run, job.name, PartialState())
    cell = started.until_now()
    loop.clean_up = clean_up
    return steps, cell, weights_of(model)


def by_trl(folder: Path, job: CellJob) -> tuple[TimedSteps, Clock]:
    """TRL's trainer with its defaults: the same rows, batches, adapter and optimizer."""
    model, steps, training = load_base_model(job, job.location, job.revision), TimedSteps(), job.training
    model.set_attn_implementation("sdpa")
    started = Clock()
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder / "trl"), per_device_train_batch_size=training.global_batch, num_train_epochs=1,
            learning_rate=training.learning_rate, lr_scheduler_type="constant_with_warmup",
            warmup_steps=training.warmup_steps, weight_decay=training.weight_decay, seed=training.seed,
            train_sampling_strategy="sequential", max_length=None, dataset_kwargs={"skip_prepare_dataset": True},
            bf16=job.dtype == "bfloat16", gradient_checkpointing=False, use_cpu=not torch.cuda.is_available(),
            logging_steps=1, save_steps=training.checkpoint_every, report_to="none", disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(list(rows_of(job, folder / "quickstart"))),
        processing_class=load_tokenizer(job.location, job.revision, job.trust_remote_code),
        peft_config=LoraConfig(
            r=job.adapter.rank, lora_alpha=int(job.adapter.alpha), target_modules="all-linear", task_type="CAUSAL_LM"
        ),
        callbacks=[steps],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.save_model()
    return steps, started.until_now()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
