"""Models × tasks × languages → predictions → scores, resumable at any point.

Requests are cut into fixed chunks, and a chunk's completions are written whole or not at all: a
run that was killed repeats its unfinished chunk with the same requests in the same batch, and so
with the same completions. A completion is kept under a hash of all that decides it (prompt ids,
decoding, adapter, base model, engine), so none is ever taken for another's. What lm_eval asks of
the models besides, completions and log-probabilities, is answered by the same engine and kept alike.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import polars as pl

from data_mixes.example import Example
from data_mixes.prompts import Renderer
from data_mixes.storage import write_text
from eval.engines.engine import Adapter, Completion, Engine, EngineSettings, Likelihood, Progress, Request, ScoredRow
from eval.generation.canary import CanaryError, judge
from eval.scorers.language import Identifier, score_language
from eval.scorers.score import Score
from eval.scorers.split import split_scores
from eval.tasks import TASKS

CANARY_ROWS = 4
CANARY = "canary.json"
"""The verdicts of the canary gate, by model."""
NOT_GENERATED = "not generated"

Question: TypeAlias = Request | ScoredRow
AnyQuestion = TypeVar("AnyQuestion", Request, ScoredRow)
Entry = TypeVar("Entry")


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
class Asked(Generic[AnyQuestion]):
    """A question put to a model, and the key that its answer is kept by."""

    request: AnyQuestion
    key: str


class Keyed(Protocol):
    """What has a key."""

    @property
    def key(self) -> str:
        """A hash of all that decides the answer."""
        ...


AnyKeyed = TypeVar("AnyKeyed", bound=Keyed)


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
    identifier: Identifier
    """What tells the languages of completions."""
    questions: Sequence[Question] = ()
    """What lm_eval asks of every model besides, no adapter named."""

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
        return Prompted(model, example, request, self.key(request))

    def key(self, question: Question) -> str:
        """A hash of all that decides the answer to a question."""
        adapter = question.adapter.name if question.adapter else None
        decided_by: list[Any] = [self.base_identity, adapter, self.engine_version, self.model_settings["dtype"]]
        if isinstance(question, Request):
            decided_by += [question.prompt_ids, question.max_tokens, question.stop]
        else:
            decided_by += [question.prompt_ids, question.completion_ids]
        return hashlib.sha256(json.dumps(decided_by).encode()).hexdigest()[:32]

    def asked(self, kind: type[AnyQuestion]) -> list[Asked[AnyQuestion]]:
        """The questions of one kind, for every model, each once."""
        put = [
            replace(question, adapter=model.adapter)
            for model in self.models
            for question in self.questions
            if isinstance(question, kind)
        ]
        return [Asked(question, key) for key, question in {self.key(each): each for each in put}.items()]

    @property
    def languages(self) -> tuple[str, ...]:
        """All languages tested: those between which completions are told apart."""
        return tuple(dict.fromkeys(each.language for each in self.evaluation_sets))

    @property
    def generations(self) -> Path:
        """Where finished chunks of completions are kept."""
        return self.folder / "generations"

    @property
    def likelihoods(self) -> Path:
        """Where finished chunks of log-probabilities are kept."""
        return self.folder / "likelihoods"


def pending_chunks(asked: Sequence[AnyKeyed], done: Container[str], size: int) -> list[list[AnyKeyed]]:
    """The fixed chunks of all that is asked, less what is done."""
    chunks = (asked[start : start + size] for start in range(0, len(asked), size))
    unfinished = ([each for each in chunk if each.key not in done] for chunk in chunks)
    return [chunk for chunk in unfinished if chunk]


def generate(
    evaluation: Evaluation, prompts: Sequence[Prompted], progress: Progress, say: Callable[[str], None]
) -> dict[str, Completion]:
    """The completion of every prompt by its key: those on disk, and new ones, chunk by chunk.

    What lm_eval asks is answered and kept as well. Raises CanaryError before any new completion if
    the engine fails an adapter's canary gate.
    """
    done = dict(stored_completions(evaluation.generations))
    known = dict(stored_likelihoods(evaluation.likelihoods))
    wanted: list[Prompted | Asked[Request]] = [*prompts, *evaluation.asked(Request)]
    rows = evaluation.asked(ScoredRow)
    if all(each.key in done for each in wanted) and all(each.key in known for each in rows):
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
        for chunk in pending_chunks(wanted, done, engine.chunk):
            completions = engine.generate([each.request for each in chunk], progress)
            found = {each.key: completion for each, completion in zip(chunk, completions, strict=True)}
            store_chunk(evaluation.generations, found)
            done |= found
        for chunk in pending_chunks(rows, known, engine.chunk):
            likelihoods = engine.likelihoods([each.request for each in chunk])
            store_chunk(evaluation.likelihoods, {a.key: b for a, b in zip(chunk, likelihoods, strict=True)})
            progress(len(chunk))
    finally:
        engine.close()
    return done


def engine_settings(evaluation: Evaluation, prompts: Sequence[Prompted]) -> EngineSettings:
    """Settings that hold every adapter and the longest prompt with its completion."""
    canaries = canary_rows(evaluation, [ModelUnderTest("", None)])
    longest = max(map(length, [*(each.request for each in prompts), *evaluation.questions, *canaries]))
    adapters = tuple({m.adapter.name: m.adapter for m in evaluation.models if m.adapter}.values())
    return EngineSettings(
        model=evaluation.model_settings["location"],
        revision=evaluation.model_settings["revision"],
        dtype=evaluation.model_settings["dtype"],
        trust_remote_code=evaluation.model_settings["trust_remote_code"],
        adapters=adapters,
        max_length=-(-(longest + 1) // 64) * 64,
    )


def token_ids(question: Question) -> tuple[int, ...]:
    """All that the model is to read."""
    return (*question.prompt_ids, *(question.completion_ids if isinstance(question, ScoredRow) else ()))


def length(question: Question) -> int:
    """How many tokens the model is to read and write, at most."""
    return len(token_ids(question)) + (question.max_tokens if isinstance(question, Request) else 0)


def canary_rows(evaluation: Evaluation, models: Sequence[ModelUnderTest]) -> list[ScoredRow]:
    """A few examples with their targets, from as many evaluation sets, for each of the models.

    In a study with none, a few of lm_eval's questions, the second half of each as a completion of the first.
    """
    chosen = [each.examples[0] for each in spread(evaluation.evaluation_sets)]
    rows = [(row.prompt_ids, row.completion_ids) for row in map(evaluation.renderer.render, chosen)]
    if not rows:
        asked = [list(token_ids(each)) for each in spread(evaluation.questions)]
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
    found = log_probs_of(engine.likelihoods(canary_rows(evaluation, models)))
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


def log_probs_of(likelihoods: Sequence[Likelihood]) -> list[list[float]]:
    """The log-probabilities alone, per row and token."""
    return [list(each.log_probs) for each in likelihoods]


def store_chunk(folder: Path, answers: Mapping[str, Completion | Likelihood]) -> None:
    """Writes a chunk's answers as one file, named by its content, whole or not at all."""
    text = "".join(json.dumps({"key": key} | asdict(each), ensure_ascii=False) + "\n" for key, each in answers.items())
    name = hashlib.sha256("".join(answers).encode()).hexdigest()[:16]
    write_text(folder / f"{name}.jsonl", text)


def stored_completions(folder: Path) -> Iterator[tuple[str, Completion]]:
    """Key and completion of every chunk in the folder."""
    for key, row in stored_rows(folder):
        yield key, Completion(**row)


def stored_likelihoods(folder: Path) -> Iterator[tuple[str, Likelihood]]:
    """Key and log-probabilities of every chunk in the folder."""
    for key, row in stored_rows(folder):
        yield key, Likelihood(tuple(row["log_probs"]), row["greedy"])


def stored_rows(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Key and answer of every chunk in the folder."""
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
            row = json.loads(line)
            yield row.pop("key"), row


def predictions_table(prompts: Sequence[Prompted], completions: dict[str, Completion]) -> pl.DataFrame:
    """One row per model and example generated: what it was asked, what it wrote, how the writing ended."""
    rows = [
        place_of(each)
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


def scores_table(
    evaluation: Evaluation, prompts: Sequence[Prompted], completions: dict[str, Completion]
) -> pl.DataFrame:
    """One row per model, example and metric; `value` is null where there is no score, and `reason` says why.

    A task's own metrics come first, then whether a completion is in the language of its example, and the
    task's main metric split by that.
    """
    rows: list[dict[str, Any]] = []
    for each in prompts:
        task = TASKS[each.example.task]
        scores: Sequence[Score] = [Score(task.metric, None, task.scorer_version, reason=NOT_GENERATED)]
        if each.key in completions:
            text, language = completions[each.key].text, each.example.language
            scores = [
                *task.score(each.example, text),
                *score_language(text, language, evaluation.languages, evaluation.identifier),
            ]
        rows += [place_of(each) | asdict(score) for score in scores]
    texts = dict.fromkeys(("adapter", "answer", "reason"), pl.String)
    table = pl.DataFrame(rows, schema_overrides={"value": pl.Float64, **texts})
    tested = dict.fromkeys(each.task for each in evaluation.evaluation_sets)
    split = [split_scores(table.filter(pl.col("task") == name), TASKS[name].metric) for name in tested]
    return pl.concat([table, *split])


def place_of(each: Prompted) -> dict[str, Any]:
    """Which model and example a row is of; the adapter's name tells a cell from one trained anew."""
    return {
        "cell": each.model.name,
        "adapter": each.model.adapter.name if each.model.adapter else None,
        "task": each.example.task,
        "language": each.example.language,
        "item": each.example.item_id,
        "id": each.example.id,
    }
