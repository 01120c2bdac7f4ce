"""Models × tasks × languages → predictions → scores, resumable at any point.

Requests are cut into fixed chunks, and a chunk's completions are written whole or not at all: a
run that was killed repeats its unfinished chunk with the same requests in the same batch, and so
with the same completions. A completion is kept under a hash of all that decides it (prompt ids,
decoding, weights, base model, engine), so none is ever taken for another's. What lm_eval asks of
the models besides, completions and log-probabilities, is answered by the same engine and kept alike."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from data_mixes.holds import POLLED, holding, waiting_to_hold
from data_mixes.storage import read_sealed, write_sealed
from eval.engines.engine import (
    Completion,
    Engine,
    EngineSettings,
    Likelihood,
    ModelFiles,
    Progress,
    Request,
    ScoredRow,
)
from eval.generation.canary import CanaryError, CanaryVerdict, judge, judge_whole
from eval.generation.held_engine import HeldEngine
from eval.generation.kept import Answers, AnyAnswer, Kept, chunk_file
from eval.generation.requests import (
    AnyKeyed,
    Asked,
    Chunk,
    Evaluation,
    ModelUnderTest,
    Prompted,
    fixed_chunks,
    length,
    token_ids,
)

CANARY_ROWS = 4
CANARY = "canary.json"
"""The verdicts of the canary gate, by model."""
GATE_LOCK = ".canary.lock"
"""Held by the process that tries models at the gate."""
WHOLE = ModelUnderTest("")
"""The whole model that an engine serves, without an adapter."""
Entry = TypeVar("Entry")


def generate(
    evaluation: Evaluation, answers: Answers, progress: Progress, say: Callable[[str], None]
) -> Mapping[str, Completion]:
    """The completion of every prompt by its key: those there are, and new ones, chunk by chunk, then the repeats.

    What lm_eval asks is answered and kept as well; `answers` is added to. One engine after another serves the base with
    all adapters, and each whole model; or the same one with other weights. Raises CanaryError before an engine's first
    completion if it fails the gate.
    """
    with closing(HeldEngine()) as held:
        for whole, models in evaluation.served_together().items():
            with_engine(replace(evaluation, models=models), whole, answers, progress, say, held)
    return answers.completions


def with_engine(
    evaluation: Evaluation,
    whole: ModelFiles,
    answers: Answers,
    progress: Progress,
    say: Callable[[str], None],
    held: HeldEngine,
) -> None:
    """Answers what is missing of the models that one engine serves: adapters on a whole model, and that itself."""
    done, known = answers.completions, answers.likelihoods
    prompts, questions, rows = evaluation.prompts(), evaluation.asked(Request), evaluation.asked(ScoredRow)
    first: Sequence[Prompted | Asked[Request]] = [*prompts, *questions] if questions else prompts
    wanted = [first, *evaluation.repeated()]
    generated = all(question.key in done for part in wanted for question in part)
    if generated and all(row.key in known for row in rows) and is_gated(evaluation):
        return
    settings = engine_settings(evaluation, whole, prompts.longest)
    engine = gated_engine(evaluation, settings, whole, say, held)

    def complete(chunk: Sequence[Prompted | Asked[Request]]) -> dict[str, Completion]:
        completions = engine.generate([question.request for question in chunk], progress)
        return {question.key: completion for question, completion in zip(chunk, completions, strict=True)}

    def rate(chunk: Sequence[Asked[ScoredRow]]) -> dict[str, Likelihood]:
        likelihoods = engine.likelihoods([row.request for row in chunk])
        progress(len(chunk))
        return {row.key: likelihood for row, likelihood in zip(chunk, likelihoods, strict=True)}

    try:
        say("generating")
        answer_chunks(chunks_of(wanted, engine.chunk), complete, done, progress, say)
        answer_chunks(fixed_chunks(rows, engine.chunk), rate, known, progress, say)
    finally:
        held.hold(engine, settings)


def gated_engine(
    evaluation: Evaluation, settings: EngineSettings, whole: ModelFiles, say: Callable[[str], None], held: HeldEngine
) -> Engine:
    """An engine that passed the canary gate. Of several processes one tries the models, and the others wait for it.

    Raises CanaryError.
    """
    of = "" if whole == evaluation.base else f" for {evaluation.models[0].name}"
    if not CanaryGate(evaluation).models:
        held.close()  # weights that it takes are tried, and there is no reference to try these by
        return started_engine(evaluation, settings, of, say)
    with waiting_to_hold(evaluation.folder / GATE_LOCK):
        gate = CanaryGate(evaluation)
        held.close_unless_for(settings)
        if gate.models:
            say("canary gate: reference log-probabilities from transformers and PEFT")
            gate.ask_reference(evaluation.start_reference(settings))
            if engine := held.reloaded(settings, gate.objection, say):
                say(f"the engine has the weights of {gate.models[0].name} now, and passes the canary gate")
                return engine
        held.close()
        engine = started_engine(evaluation, settings, of, say)
        try:
            if gate.models:
                say(f"canary gate: {gate.in_words} in the engine against the reference")
                gate.pass_with(engine, say)
        except BaseException:
            engine.close()
            raise
    return engine


def started_engine(evaluation: Evaluation, settings: EngineSettings, of: str, say: Callable[[str], None]) -> Engine:
    """An engine, once it has started."""
    say(f"starting the engine ({evaluation.engine_version}){of}")
    started = time.monotonic()
    engine = evaluation.start_engine(settings)
    say(f"the engine took {time.monotonic() - started:.0f} s to start")
    return engine


def answer_chunks(
    chunks: Iterable[Chunk[AnyKeyed]],
    answer: Callable[[Sequence[AnyKeyed]], Mapping[str, Completion | Likelihood]],
    kept: Kept[AnyAnswer],
    progress: Progress,
    say: Callable[[str], None],
) -> None:
    """Answers what is left of all chunks, each kept as soon as it is there; other processes may do the same.

    A chunk is answered by one process, and read by the others.
    """
    before, passed = kept.before_now(), list[tuple[Chunk[AnyKeyed], Path]]()
    for chunk in chunks:
        if keys := [question.key for question in chunk.left(before)]:
            file = chunk_file(kept.folder, keys)
            if not answer_chunk(chunk, before, file, answer, kept, progress):
                passed.append((chunk, file))
    told = False
    while passed:
        left = [
            (chunk, file) for chunk, file in passed if not answer_chunk(chunk, before, file, answer, kept, progress)
        ]
        if len(left) == len(passed):
            if not told:
                say(f"{len(left)} chunk{'s are' if len(left) > 1 else ' is'} being answered elsewhere; waiting")
            told = True
            time.sleep(POLLED)
        passed = left


def answer_chunk(
    chunk: Chunk[AnyKeyed],
    before: Container[str],
    file: Path,
    answer: Callable[[Sequence[AnyKeyed]], Mapping[str, Completion | Likelihood]],
    kept: Kept[AnyAnswer],
    progress: Progress,
) -> bool:
    """Answers what was left of a chunk, or reads what another process answered; False while one does so."""
    lock = file.with_suffix(".lock")
    with holding(lock) as other:
        if count := kept.add(file):
            progress(count)
        elif other is None:
            kept.keep(answer(chunk.left(before)))
        else:
            return False
        lock.unlink(missing_ok=True)  # nobody answers what is there
    return True


def chunks_of(
    wanted: Sequence[Sequence[Prompted | Asked[Request]]], size: int
) -> Iterator[Chunk[Prompted | Asked[Request]]]:
    """The first generation and each repeat, chunk by chunk.

    A repeat is cut into two chunks at least, so that a study that fits into one batch is generated in others too.
    """
    for repeat, part in enumerate(wanted):
        yield from fixed_chunks(part, min(size, -(-len(part) // 2)) if repeat and part else size)


def engine_settings(evaluation: Evaluation, whole: ModelFiles, longest: int) -> EngineSettings:
    """Settings that hold every adapter, and the longest prompt with its completion, of as many tokens as is said."""
    longest = max(longest, *map(length, [*evaluation.questions, *canary_rows(evaluation, [WHOLE])]))
    adapters = tuple({m.adapter.name: m.adapter for m in evaluation.models if m.adapter}.values())
    return EngineSettings(
        model=whole.location,
        revision=whole.revision,
        dtype=evaluation.dtype,
        trust_remote_code=evaluation.trust_remote_code,
        adapters=adapters,
        max_length=-(-(longest + 1) // 64) * 64,
        quantization=whole.quantization,
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


class CanaryGate:
    """What one engine has to pass: each of its models that has not passed before."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.path = evaluation.folder / CANARY
        self._evaluation = evaluation
        kept = verdicts_on(evaluation)
        self.models = [model for model in evaluation.models if not passed_before(kept.get(model.name), self._of(model))]
        self._adapted = [model for model in self.models if model.adapter]
        self._reference: list[list[float]] = []

    @property
    def in_words(self) -> str:
        """How many models there are to be tried."""
        return f"{len(self.models)} model{'s' * (len(self.models) != 1)}"

    def ask_reference(self, referee: Engine) -> None:
        """Keeps what the reference makes of the canary rows, and closes it."""
        self._reference = log_probs_of(referee.likelihoods(self._rows))
        referee.close()

    def pass_with(self, engine: Engine, say: Callable[[str], None]) -> None:
        """Compares the engine with the reference, all models in one batch; records the verdicts. Raises CanaryError."""
        verdicts = self._verdicts(log_probs_of(engine.likelihoods(self._rows)))
        self._keep(verdicts)
        for model, verdict in verdicts:
            if verdict.passed and not verdict.conclusive:
                say(
                    f"canary gate: {model.name} changes the base model too little for the gate to tell if it is applied"
                )
        failed = [f"{model.name} ({verdict})" for model, verdict in verdicts if not verdict.passed]
        if failed:
            raise CanaryError(
                f"{engine.version} does not compute these models as transformers and PEFT do: {'; '.join(failed)}. "
                "No scores were made. Set evaluation.engine to transformers, which is slower, or report the model's "
                "architecture"
            )

    def objection(self, engine: Engine) -> str:
        """Why an engine that took other weights fails, in words; if it does not, that is recorded, as of a new one."""
        verdicts = self._verdicts(log_probs_of(engine.likelihoods(self._rows)))
        failed = [str(verdict) for _, verdict in verdicts if not verdict.passed]
        if not failed:
            self._keep(verdicts)
        return "; ".join(failed)

    def _keep(self, verdicts: Sequence[tuple[ModelUnderTest, CanaryVerdict]]) -> None:
        record = {
            model.name: asdict(verdict)
            | {"passed": verdict.passed, "conclusive": verdict.conclusive, "of": self._of(model)}
            for model, verdict in verdicts
        }
        write_sealed(self.path, json.dumps(kept_verdicts(self.path) | record, indent=1))

    @property
    def _rows(self) -> list[ScoredRow]:
        return canary_rows(self._evaluation, [WHOLE, *self._adapted])

    def _of(self, model: ModelUnderTest) -> list[str | None]:
        return self._evaluation.computed_by(model)

    def _verdicts(self, of_engine: Sequence[list[float]]) -> list[tuple[ModelUnderTest, CanaryVerdict]]:
        rows = len(of_engine) // (1 + len(self._adapted))
        parts = [slice(start, start + rows) for start in range(0, len(of_engine), rows)]
        reference, engine = ([numbers[part] for part in parts] for numbers in (self._reference, of_engine))
        whole = judge_whole(reference[0], engine[0])
        adapted = [judge(reference[0], of_reference, engine[0], of_adapter)
                   for of_reference, of_adapter in zip(reference[1:], engine[1:], strict=True)]  # fmt: skip
        return [
            *((model, whole) for model in self.models if not model.adapter),
            *zip(self._adapted, adapted, strict=True),
        ]


def passed_before(verdict: Any, of: list[str | None]) -> bool:
    """Whether a verdict that was kept is of these weights, this engine and number format, and is good."""
    return isinstance(verdict, dict) and verdict.get("passed") is True and verdict.get("of") == of


def is_gated(evaluation: Evaluation) -> bool:
    """Whether the canary gate's verdict on every adapter and whole model is on disk."""
    verdicts = verdicts_on(evaluation)
    return all(model.name in verdicts for model in evaluation.models if model.weights)


def verdicts_on(evaluation: Evaluation) -> dict[str, Any]:
    """Model → the verdict that is kept on its weights, whatever it was called then; else what is kept by its name."""
    kept = kept_verdicts(evaluation.folder / CANARY)
    of_weights = {json.dumps(verdict.get("of")): verdict for verdict in kept.values() if isinstance(verdict, dict)}
    named = [(model.name, json.dumps(evaluation.computed_by(model))) for model in evaluation.models]
    return {name: of_weights.get(of, kept.get(name)) for name, of in named if of in of_weights or name in kept}


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
