"""How long a study will still take on this machine: its work, paced by a probe of some seconds, which is kept."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import polars as pl
from pydantic import ValidationError

from data_mixes.storage import DamagedError, free_bytes, read_sealed, write_sealed
from eval.engines.engine import Engine, EngineSettings
from eval.predictions_and_scores import with_weights
from harness.console import duration
from harness.errors import MachineError
from harness.models.base import find_model
from harness.models.devices import gpu_count, this_device
from harness.models.precision import emulation_cost, precision_for
from harness.planning.choice import Choice
from harness.planning.disk import disk_for
from harness.planning.kept_plan import PlannedCell, PlannedStudy
from harness.planning.overview import disk_in_words
from harness.planning.time_left import TimeLeft, by_workers
from harness.planning.work import TrainingWork, together
from harness.recipe.schema import Recipe
from harness.results import Result
from harness.runs.folder import StudyFolder
from harness.runs.steps import evaluated_steps, step_name

SEQUENCES = {"vllm": 256, "transformers": 16}
"""How many completions an engine writes at once."""
STARTS = 120.0
"""Seconds set aside, unmeasured, for what no probe can tell: loading programs, the engine's start, the report."""


StartEngine: TypeAlias = Callable[[EngineSettings], Engine]
WRITTEN = 32
"""Tokens of the completions by which a whole model is measured."""
UNMEASURED_STARTS = 30.0
"""The same where the models' loading and the engine's start were measured."""


class KeptPace(Result):
    """Seconds that this machine takes with one base model, the emulation of a number format counted."""

    micro_batch: float
    """Of a micro-batch of training that is the mean of the study; another takes as long as it has tokens."""
    reading: float
    """Of a token of a prompt."""
    writing: float
    """Of a token of a completion."""
    adapter: float
    """Weights of an adapter of rank 1."""
    model: int
    """Weights of the model."""
    emulation: float | None
    """How many times as long a product takes as in float32, where the number format is emulated."""
    device: str
    probe: float
    """Seconds that measuring took."""
    start: float | None = None
    """To load the model for training and to start the engine, where the whole model was measured in both."""

    def weights_trained(self, recipe: Recipe) -> float:
        """Those that a cell of the recipe trains."""
        return self.model if recipe.trains_whole_model else self.adapter * recipe.adapter.rank


class KeptPaces(Result):
    """The paces of a study's base models as they are kept on disk."""

    key: str
    """Of the plan and the machine that they hold for."""
    paces: dict[str, KeptPace]
    """By base model."""


def time_left(study: PlannedStudy, cells: str | None, measure_again: bool = False, whole: bool = False) -> TimeLeft:
    """The forecast of the chosen cells and the base; why there is none, if the probe fails: no study stops for it.

    With `whole`, models are measured with all of their layers and in the engine. That is kept, and not measured again
    unless it is asked for.
    """
    choice = study.choice(cells)
    plans = [plan for plan in study.plans if plan.name in choice.cells]
    models, requests = models_left(study, choice), requests_left(study, choice)
    if not study.kept.hosts or (all(plan.run.finished for plan in plans) and not any(models.values())):
        return TimeLeft(requests=requests)
    try:
        paces = {} if whole else kept_paces(study)
        paces = {name: pace for name, pace in paces.items() if not measure_again or pace.start is not None}
        missing = [name for name in study.kept.hosts if name not in paces]
        paces |= {name: measured_pace(study, name, whole) for name in missing}
    except Exception as error:  # whatever torch or a model's code raises
        return TimeLeft(requests=requests, problem=f"{type(error).__name__}: {error}".splitlines()[0])
    keep_paces(study, paces)
    training = [seconds for name, pace in paces.items() for seconds in training_left(study, name, pace, plans)]
    generation = sum(generation_left(study, name, pace, models[name]) for name, pace in paces.items())
    measured = [pace.start for pace in paces.values() if pace.start is not None]
    wholly = len(measured) == len(paces)
    starts = sum(measured) + UNMEASURED_STARTS if wholly else STARTS
    first = next(iter(paces.values()))
    return TimeLeft(
        training=sum(training),
        generation=generation,
        starts=starts,
        whole=wholly,
        by_workers=tuple(by_workers(training, generation, starts)) if wholly else (),
        device=first.device,
        on_gpu=gpu_count() > 0,
        emulation=first.emulation,
        probe=sum(pace.probe for pace in paces.values()),
        disk=disk_left(study, paces, plans),
        free=free_bytes(study.folder),
        folder=str(study.folder),
        requests=requests,
    )


def training_left(study: PlannedStudy, base: str, pace: KeptPace, plans: Sequence[PlannedCell]) -> list[float]:
    """Seconds of training that are left of each cell of one base model."""
    work = study.kept.work.training
    mean = together([work[cell] for cell, name in study.base_names.items() if name == base])
    left = [work[plan.name] for plan in plans if study.base_names[plan.name] == base and not plan.run.finished]
    return [cell.tokens / mean.tokens * mean.micro_batches * pace.micro_batch for cell in left]


def generation_left(study: PlannedStudy, base: str, pace: KeptPace, models: float) -> float:
    """Seconds of generation by so many models of one base model."""
    generation = study.kept.work.generation[base]
    return models * (generation.tokens * pace.reading + generation.new_tokens * pace.writing)


def check_disk(left: TimeLeft) -> None:
    """Raises MachineError where training needs more of the disk than is free."""
    if not left.fits:
        raise MachineError(disk_in_words(left))


def disk_left(study: PlannedStudy, paces: Mapping[str, KeptPace], plans: Sequence[PlannedCell]) -> int:
    """Bytes for the weights of cells that are to be trained, and for the checkpoints of one."""
    recipes = {cell.name: cell.recipe for cell in study.cells}
    left = [(plan, recipes[plan.name], paces[study.base_names[plan.name]]) for plan in plans if not plan.run.finished]
    trained = [(pace.weights_trained(recipe), recipe, plan.steps) for plan, recipe, pace in left]
    return disk_for(trained, study.kept.overview.precision.dtype)


def training_in_words(left: TimeLeft) -> str:
    """What a forecast says of training, to be added to a sentence."""
    return "" if left.problem else f", about {duration(left.training)}"


def models_left(study: PlannedStudy, choice: Choice) -> dict[str, float]:
    """How many of the chosen models still generate, by base: a half is a model with half of its completions.

    Completions of weights that are not the cell's present ones do not count.
    """
    there, plans = completions_there(study), [plan for plan in study.plans if plan.name in choice.cells]
    wanted = [(name, name, weights) for name, weights in study.untuned.items() if name in choice.untuned]
    wanted += [(study.base_names[plan.name], plan.name, plan.run.weights_hash) for plan in plans
               if plan.name in study.evaluated]  # fmt: skip
    wanted += [
        (study.base_names[plan.name], step_name(plan.name, step), weights)
        for plan in plans
        for step, weights in steps_to_evaluate(plan, study.recipe.evaluated_every).items()
    ]
    outside = [model for model in study.kept.outside if model.name in choice.outside]
    wanted += [(model.host, model.name, model.weights) for model in outside if model.host]
    left = dict.fromkeys(study.kept.work.generation, 0.0)
    for base, name, weights in wanted:
        prompts = study.kept.work.generation[base].prompts
        left[base] += max(0, prompts - there[name, weights]) / max(1, prompts)
    return left


def requests_left(study: PlannedStudy, choice: Choice) -> dict[str, int]:
    """How many completions each chosen model behind an endpoint is still asked for, where there are any."""
    asked = [model for model in study.kept.outside if model.name in choice.outside and not model.host]
    there = completions_there(study) if asked else {}
    left = {model.name: model.requests - there[model.name, model.weights] for model in asked}
    return {name: count for name, count in left.items() if count > 0}


def completions_there(study: PlannedStudy) -> Counter[tuple[str, str | None]]:
    """Completions that are there, by model and what names its weights."""
    folder, there = StudyFolder(study.folder), Counter[tuple[str, str | None]]()
    for path, of_repeats in ((folder.predictions, False), (folder.repeats, True)):
        if path.is_file():
            with suppress(pl.exceptions.PolarsError, OSError):  # a damaged table is reported elsewhere and remade
                table = with_weights(pl.scan_parquet(path, glob=False))
                again = table.filter(pl.col("repeat") > 0) if of_repeats else table
                counts = again.group_by("cell", "weights").len().collect()
                there.update({(cell, weights): count for cell, weights, count in counts.iter_rows()})
    return there


def steps_to_evaluate(plan: PlannedCell, every: int | None) -> Mapping[int, str | None]:
    """Step → what names its weights, if it is trained already, of the steps that are evaluated beside the cell."""
    if every is None or plan.run.finished:
        return evaluated_steps(plan.run, every)
    return dict.fromkeys(range(every, plan.steps, every))


def kept_paces(study: PlannedStudy) -> dict[str, KeptPace]:
    """The paces measured earlier for this plan on this machine, by base model."""
    try:
        kept = KeptPaces.model_validate_json(read_sealed(StudyFolder(study.folder).pace))
    except (OSError, DamagedError, ValidationError):
        return {}
    return kept.paces if kept.key == pace_key(study) else {}


def keep_paces(study: PlannedStudy, paces: dict[str, KeptPace]) -> None:
    """Keeps what was measured."""
    kept = KeptPaces(key=pace_key(study), paces=paces)
    with suppress(OSError):  # what cannot be kept is measured again
        write_sealed(StudyFolder(study.folder).pace, kept.model_dump_json(indent=1) + "\n")


def measured_pace(study: PlannedStudy, host: str, whole: bool) -> KeptPace:
    """The pace of a whole model on this machine, of its cells' mean micro-batch, measured now.

    Raises what the probe does.
    """
    from transformers import AutoConfig

    from harness.training.pace import Shape, measure, measure_whole

    started = time.monotonic()
    device, precision = this_device(), study.kept.overview.precision
    emulated = precision.dtype == "bfloat16" and precision_for(device).dtype != "bfloat16"
    slower = emulation_cost() if emulated else 1.0
    cells = [cell for cell in study.cells if study.base_names[cell.name] == host]
    first, model, work = cells[0].recipe if cells else study.recipe, study.kept.hosts[host], study.kept.work
    files = find_model(model.name, model.revision)
    config: Any = AutoConfig.from_pretrained(
        files.location, revision=files.revision, trust_remote_code=model.trust_remote_code
    )
    prompts = work.generation[host]
    prompt = max(1, prompts.tokens // max(1, prompts.prompts))
    shape = Shape(*(mean_shape(together([work.training[cell.name] for cell in cells])) if cells else (1, prompt, 1)))
    others = sum(outside.host == host for outside in study.kept.outside)
    completions = prompts.prompts * (len(cells) + others + study.recipe.evaluation.base)
    sequences = min(SEQUENCES[study.kept.overview.engine.name], max(1, completions))
    dtype = "float32" if emulated else precision.dtype
    pace = measure(config, dtype, device.kind, first.adapter, shape, sequences, first.trains_whole_model)
    if whole:
        settings = EngineSettings(
            model=files.location,
            revision=files.revision,
            dtype=dtype,
            trust_remote_code=model.trust_remote_code,
            adapters=(),
            max_length=prompt + WRITTEN + 1,
            quantization=model.quantization,
        )
        pace = measure_whole(pace, settings, engine_of(study), first, device.kind, shape, prompt, sequences)
    return KeptPace(
        micro_batch=slower * pace.training,
        reading=slower * pace.reading,
        writing=slower * pace.writing / sequences,
        adapter=pace.adapter / first.adapter.rank,
        model=pace.model,
        emulation=slower if emulated else None,
        device=device.name,
        probe=time.monotonic() - started,
        start=pace.start,
    )


def pace_key(study: PlannedStudy) -> str:
    """What a pace holds for."""
    return f"{study.kept.key} {study.kept.machine}"


def engine_of(study: PlannedStudy) -> StartEngine:
    """What starts the engine that the study generates with."""
    from harness.models.engines import engine_for

    evaluation, rounded = study.recipe.evaluation, {model.quantization for model in study.kept.hosts.values()}
    return engine_for(evaluation.engine, evaluation.batch_invariant, four_bit="nf4" in rounded).start


def mean_shape(work: TrainingWork) -> tuple[int, int, int]:
    """The mean micro-batch: rows, tokens of a row, supervised tokens of a row."""
    return (
        max(1, round(work.rows / work.micro_batches)),
        max(1, round(work.tokens / work.rows)),
        max(1, round(work.supervised / work.rows)),
    )
