"""Models × tasks × languages → predictions → scores, resumable at any point.

Requests are cut into fixed chunks, and a chunk's completions are written whole or not at all: a
run that was killed repeats its unfinished chunk with the same requests in the same batch, and so
with the same completions. A completion is kept under a hash of all that decides it (prompt ids,
decoding, adapter, base model, engine), so none is ever taken for another's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from data_mixes.example import Example
from data_mixes.prompts import Renderer
from data_mixes.storage import write_text
from eval.canary import CanaryError, judge
from eval.engine import Adapter, Completion, Engine, EngineSettings, Progress, Request, ScoredRow
from eval.scorers.score import Score
from eval.tasks import TASKS

CANARY_ROWS = 4
CANARY = "canary.json"
"""The verdicts of the canary gate, by model."""
NOT_GENERATED = "not generated"


@dataclass(frozen=True, slots=True)
class ModelUnderTest:
    """The base model (no adapter) or a cell's adapter on it."""

    name: str
    adapter: Adapter | None


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """The examples of one task in one language."""

    task: str
    language: str
    examples: tuple[Example, ...]
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Prompted:
    """An example put to a model."""

    model: ModelUnderTest
    example: Example
    request: Request
    key: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All of one study's evaluation: what is tested, with what, and where the results are kept."""

    folder: Path
    base_identity: str
    engine_version: str
    models: Sequence[ModelUnderTest]
    evaluation_sets: Sequence[EvaluationSet]
    renderer: Renderer
    start_engine: Callable[[EngineSettings], Engine]
    start_reference: Callable[[EngineSettings], Engine]
    model_settings: dict[str, Any]
    """location, revision, dtype, trust_remote_code: the same for both engines."""

    def prompts(self) -> list[Prompted]:
        """Every example for every model."""
        rendered = [
            (evaluation_set, example, tuple(ids))
            for evaluation_set in self.evaluation_sets
            for example, (ids, _) in zip(
                evaluation_set.examples, self.renderer.prompts(evaluation_set.examples), strict=True
            )
        ]
        return [self._prompted(model, *each) for model in self.models for each in rendered]

    def _prompted(
        self, model: ModelUnderTest, evaluation_set: EvaluationSet, example: Example, ids: tuple[int, ...]
    ) -> Prompted:
        task = TASKS[evaluation_set.task]
        request = Request(ids, evaluation_set.max_tokens, task.stop, model.adapter)
        adapter = model.adapter.name if model.adapter else None
        decided_by = [
            self.base_identity,
            adapter,
            self.engine_version,
            self.model_settings["dtype"],
            ids,
            evaluation_set.max_tokens,
            task.stop,
        ]
        key = hashlib.sha256(json.dumps(decided_by).encode()).hexdigest()[:32]
        return Prompted(model, example, request, key)

    @property
    def generations(self) -> Path:
        """Where finished chunks are kept."""
        return self.folder / "generations"


def pending_chunks(prompts: Sequence[Prompted], done: dict[str, Completion], size: int) -> list[list[Prompted]]:
    """The fixed chunks of all prompts, less the completions there are."""
    chunks = (prompts[start : start + size] for start in range(0, len(prompts), size))
    unfinished = ([each for each in chunk if each.key not in done] for chunk in chunks)
    return [chunk for chunk in unfinished if chunk]


def generate(
    evaluation: Evaluation, prompts: Sequence[Prompted], progress: Progress, say: Callable[[str], None]
) -> dict[str, Completion]:
    """The completion of every prompt by its key: those on disk, and new ones, chunk by chunk.

    Raises CanaryError before any new completion if the engine fails an adapter's canary gate.
    """
    done = dict(stored_completions(evaluation.generations))
    if all(each.key in done for each in prompts):
        return done
    settings = engine_settings(evaluation, prompts)
    tuned = [ModelUnderTest("", None), *(model for model in evaluation.models if model.adapter)]
    reference: list[list[float]] = []
    if settings.adapters:
        say("canary gate: reference log-probabilities from transformers and PEFT")
        referee = evaluation.start_reference(settings)
        reference = referee.log_probs(canary_rows(evaluation, tuned))
        referee.close()
    say(f"starting the engine ({evaluation.engine_version})")
    engine = evaluation.start_engine(settings)
    try:
        if settings.adapters:
            pass_canary_gate(evaluation, engine, tuned, reference, say)
        say("generating")
        for chunk in pending_chunks(prompts, done, engine.chunk):
            completions = engine.generate([each.request for each in chunk], progress)
            found = {each.key: completion for each, completion in zip(chunk, completions, strict=True)}
            store_chunk(evaluation.generations, found)
            done |= found
    finally:
        engine.close()
    return done


def engine_settings(evaluation: Evaluation, prompts: Sequence[Prompted]) -> EngineSettings:
    """Settings that hold every adapter and the longest prompt with its completion."""
    longest = max(len(each.request.prompt_ids) + each.request.max_tokens for each in prompts)
    canaries = canary_rows(evaluation, [ModelUnderTest("", None)])
    longest = max(longest, *(len(row.prompt_ids) + len(row.completion_ids) for row in canaries))
    adapters = tuple({m.adapter.name: m.adapter for m in evaluation.models if m.adapter}.values())
    return EngineSettings(
        model=evaluation.model_settings["location"],
        revision=evaluation.model_settings["revision"],
        dtype=evaluation.model_settings["dtype"],
        trust_remote_code=evaluation.model_settings["trust_remote_code"],
        adapters=adapters,
        max_length=-(-(longest + 1) // 64) * 64,
    )


def canary_rows(evaluation: Evaluation, models: Sequence[ModelUnderTest]) -> list[ScoredRow]:
    """A few examples with their targets, from as many evaluation sets, for each of the models."""
    step = max(1, len(evaluation.evaluation_sets) // CANARY_ROWS)
    chosen = [each.examples[0] for each in evaluation.evaluation_sets[::step][:CANARY_ROWS]]
    rendered = [evaluation.renderer.render(example) for example in chosen]
    return [
        ScoredRow(tuple(row.prompt_ids), tuple(row.completion_ids), model.adapter)
        for model in models
        for row in rendered
    ]


def pass_canary_gate(
    evaluation: Evaluation,
    engine: Engine,
    models: Sequence[ModelUnderTest],
    reference: Sequence[list[float]],
    say: Callable[[str], None],
) -> None:
    """Compares the engine with the reference, all models in one batch; records the verdicts.

    `models` begins with the base model; `reference` has the log-probabilities of `canary_rows`.
    Raises CanaryError.
    """
    found = engine.log_probs(canary_rows(evaluation, models))
    rows = len(found) // len(models)
    parts = [slice(place * rows, (place + 1) * rows) for place in range(len(models))]
    base = parts[0]
    verdicts = {
        model.name: judge(reference[base], reference[part], found[base], found[part])
        for model, part in zip(models[1:], parts[1:], strict=True)
    }
    record = {
        name: asdict(verdict) | {"passed": verdict.passed, "conclusive": verdict.conclusive}
        for name, verdict in verdicts.items()
    }
    path = evaluation.folder / CANARY
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write_text(path, json.dumps(before | record, indent=1))
    for name, verdict in verdicts.items():
        if verdict.passed and not verdict.conclusive:
            say(f"canary gate: {name} changes the base model too little for the gate to tell if it is applied")
    failed = [f"{name} ({verdict})" for name, verdict in verdicts.items() if not verdict.passed]
    if failed:
        raise CanaryError(
            f"{engine.version} does not apply these adapters as PEFT does: {'; '.join(failed)}. "
            "No scores were made. Evaluate with engine: transformers, or report the model's architecture"
        )


def store_chunk(folder: Path, completions: dict[str, Completion]) -> None:
    """Writes a chunk's completions as one file, named by its content, whole or not at all."""
    text = "".join(
        json.dumps({"key": key} | asdict(each), ensure_ascii=False) + "\n" for key, each in completions.items()
    )
    name = hashlib.sha256("".join(completions).encode()).hexdigest()[:16]
    write_text(folder / f"{name}.jsonl", text)


def stored_completions(folder: Path) -> Iterator[tuple[str, Completion]]:
    """Key and completion of every chunk in the folder."""
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
            row = json.loads(line)
            yield row.pop("key"), Completion(**row)


def predictions_table(prompts: Sequence[Prompted], completions: dict[str, Completion]) -> pl.DataFrame:
    """One row per model and example generated: what it was asked, what it wrote, how the writing ended."""
    rows = [
        _place(each)
        | {
            "prompt": each.example.prompt,
            "reference": each.example.target,
            "completion": completions[each.key].text,
            "tokens": completions[each.key].tokens,
            "finish": completions[each.key].finish,
        }
        for each in prompts
        if each.key in completions
    ]
    return pl.DataFrame(rows, schema_overrides={"adapter": pl.String})


def scores_table(prompts: Sequence[Prompted], completions: dict[str, Completion]) -> pl.DataFrame:
    """One row per model, example and metric; `value` is null where there is no score, and `reason` says why."""
    rows: list[dict[str, Any]] = []
    for each in prompts:
        task = TASKS[each.example.task]
        if each.key in completions:
            scores = task.score(each.example, completions[each.key].text)
        else:
            scores = [Score(task.metric, None, task.scorer_version, reason=NOT_GENERATED)]
        rows += [_place(each) | asdict(score) for score in scores]
    texts = dict.fromkeys(("adapter", "answer", "reason"), pl.String)
    return pl.DataFrame(rows, schema_overrides={"value": pl.Float64, **texts})


def _place(each: Prompted) -> dict[str, Any]:
    """Which model and example a row is of; the adapter's name tells a cell from one trained anew."""
    return {
        "cell": each.model.name,
        "adapter": each.model.adapter.name if each.model.adapter else None,
        "task": each.example.task,
        "language": each.example.language,
        "item": each.example.item_id,
        "id": each.example.id,
    }
