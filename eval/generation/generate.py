"""Models × tasks × languages → predictions → scores, resumable at any point.

Requests are cut into fixed chunks, and a chunk's completions are written whole or not at all: a
run that was killed repeats its unfinished chunk with the same requests in the same batch, and so
with the same completions. A completion is kept under a hash of all that decides it (prompt ids,
decoding, adapter, base model, engine), so none is ever taken for another's. What lm_eval asks of
the models besides, completions and log-probabilities, is answered by the same engine and kept alike."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from data_mixes.storage import read_sealed, write_sealed
from eval.engines.engine import Completion, Engine, EngineSettings, Likelihood, Progress, Request, ScoredRow
from eval.generation.canary import CanaryError, judge
from eval.generation.kept import Answers, store_chunk
from eval.generation.requests import (
    Asked,
    Evaluation,
    ModelUnderTest,
    Prompted,
    length,
    pending_chunks,
    token_ids,
)

CANARY_ROWS = 4
CANARY = "canary.json"
"""The verdicts of the canary gate, by model."""
Entry = TypeVar("Entry")


def generate(
    evaluation: Evaluation,
    prompts: Sequence[Prompted],
    answers: Answers,
    progress: Progress,
    say: Callable[[str], None],
) -> dict[str, Completion]:
    """The completion of every prompt by its key: those there are, and new ones, chunk by chunk, then the repeats.

    What lm_eval asks is answered and kept as well; `answers` is added to. Raises CanaryError before any new completion
    if the engine fails an adapter's canary gate.
    """
    done, known = answers.completions, answers.likelihoods
    wanted: list[Sequence[Prompted | Asked[Request]]] = [[*prompts, *evaluation.asked(Request)], *evaluation.repeated()]
    rows = evaluation.asked(ScoredRow)
    generated = all(question.key in done for part in wanted for question in part)
    if generated and all(row.key in known for row in rows) and is_gated(evaluation):
        return done
    settings = engine_settings(evaluation, prompts)
    tuned = [ModelUnderTest("", None), *(model for model in evaluation.models if model.adapter)]
    reference: list[list[float]] = []
    if settings.adapters:
        say("canary gate: reference log-probabilities from transformers and PEFT")
        referee = evaluation.start_reference(settings)
        reference = log_probs_of(referee.likelihoods(canary_rows(evaluation, tuned)))
        referee.close()
    say(f"starting the engine ({evaluation.engine_version})")
    started = time.monotonic()
    engine = evaluation.start_engine(settings)
    say(f"the engine took {time.monotonic() - started:.0f} s to start")
    try:
        if settings.adapters:
            say(f"canary gate: {len(settings.adapters)} adapters in the engine against the reference")
            pass_canary_gate(evaluation, engine, tuned, reference, say)
        say("generating")
        for chunk in chunks_of(wanted, done, engine.chunk):
            completions = engine.generate([question.request for question in chunk], progress)
            written = {question.key: completion for question, completion in zip(chunk, completions, strict=True)}
            store_chunk(evaluation.generations, written)
            done.update(written)
        for chunk in pending_chunks(rows, known, engine.chunk):
            likelihoods = engine.likelihoods([row.request for row in chunk])
            scored = {row.key: likelihood for row, likelihood in zip(chunk, likelihoods, strict=True)}
            store_chunk(evaluation.likelihoods, scored)
            known.update(scored)
            progress(len(chunk))
    finally:
        engine.close()
    return done


def chunks_of(
    wanted: Sequence[Sequence[Prompted | Asked[Request]]], done: Container[str], size: int
) -> Iterator[list[Prompted | Asked[Request]]]:
    """What is left of the first generation and of each repeat, chunk by chunk.

    A repeat is cut into two chunks at least, so that a study that fits into one batch is generated in others too.
    """
    for repeat, part in enumerate(wanted):
        yield from pending_chunks(part, done, min(size, -(-len(part) // 2)) if repeat and part else size)


def engine_settings(evaluation: Evaluation, prompts: Sequence[Prompted]) -> EngineSettings:
    """Settings that hold every adapter and the longest prompt with its completion."""
    canaries = canary_rows(evaluation, [ModelUnderTest("", None)])
    longest = max(map(length, [*(prompt.request for prompt in prompts), *evaluation.questions, *canaries]))
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
    """A few examples with their targets, from as many evaluation sets, for each of the models.

    In a study with none, a few of lm_eval's questions, the second half of each as a completion of the first.
    """
    chosen = [evaluation_set.examples[0] for evaluation_set in spread(evaluation.evaluation_sets)]
    rows = [(row.prompt_ids, row.completion_ids) for row in map(evaluation.renderer.render, chosen)]
    if not rows:
        asked = [list(token_ids(question)) for question in spread(evaluation.questions)]
        rows = [(ids[: max(1, len(ids) // 2)], ids[max(1, len(ids) // 2) :]) for ids in asked]
    return [ScoredRow(tuple(prompt), tuple(end), model.adapter) for model in models for prompt, end in rows]


def spread(entries: Sequence[Entry]) -> Sequence[Entry]:
    """As many of the entries as there are canary rows, from all over."""
    return entries[:: max(1, len(entries) // CANARY_ROWS)][:CANARY_ROWS]


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
    of_engine = log_probs_of(engine.likelihoods(canary_rows(evaluation, models)))
    rows = len(of_engine) // len(models)
    parts = [slice(number * rows, (number + 1) * rows) for number in range(len(models))]
    base = parts[0]
    verdicts = {
        model.name: judge(reference[base], reference[part], of_engine[base], of_engine[part])
        for model, part in zip(models[1:], parts[1:], strict=True)
    }
    record = {
        name: asdict(verdict) | {"passed": verdict.passed, "conclusive": verdict.conclusive}
        for name, verdict in verdicts.items()
    }
    path = evaluation.folder / CANARY
    write_sealed(path, json.dumps(kept_verdicts(path) | record, indent=1))
    for name, verdict in verdicts.items():
        if verdict.passed and not verdict.conclusive:
            say(f"canary gate: {name} changes the base model too little for the gate to tell if it is applied")
    failed = [f"{name} ({verdict})" for name, verdict in verdicts.items() if not verdict.passed]
    if failed:
        raise CanaryError(
            f"{engine.version} does not apply these adapters as PEFT does: {'; '.join(failed)}. "
            "No scores were made. Evaluate with engine: transformers, or report the model's architecture"
        )


def is_gated(evaluation: Evaluation) -> bool:
    """Whether the canary gate's verdict on every adapter is on disk."""
    verdicts = kept_verdicts(evaluation.folder / CANARY)
    return all(model.name in verdicts for model in evaluation.models if model.adapter)


def kept_verdicts(path: Path) -> dict[str, Any]:
    """The verdicts of the canary gate that are on disk; none where the file is damaged."""
    try:
        verdicts = json.loads(read_sealed(path))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return verdicts if isinstance(verdicts, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def log_probs_of(likelihoods: Sequence[Likelihood]) -> list[list[float]]:
    """The log-probabilities alone, per row and token."""
    return [list(likelihood.log_probs) for likelihood in likelihoods]
