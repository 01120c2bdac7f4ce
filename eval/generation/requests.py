"""What is put to a model: evaluation sets, prompts, and the keys that their answers are kept by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, overload

from data_mixes.example import Example
from data_mixes.prompts import Renderer
from eval.engines.engine import Adapter, Engine, EngineSettings, ModelFiles, Request, ScoredRow
from eval.scorers.identifiers import Identifier
from eval.scorers.language import ANOTHER
from eval.scorers.thoughts import THOUGHTS, Markers
from eval.tasks import TASKS
from eval.tasks.task import Task

Question: TypeAlias = Request | ScoredRow
AnyQuestion = TypeVar("AnyQuestion", Request, ScoredRow)


@dataclass(frozen=True, slots=True)
class ModelUnderTest:
    """The base model, an adapter on it, another whole model in its place, or one that is somewhere else."""

    name: str
    adapter: Adapter | None = None
    whole: ModelFiles | None = None
    elsewhere: str | None = None
    """What identifies a model behind an endpoint."""

    @property
    def weights(self) -> str | None:
        """The name of its adapter, or what identifies the whole model; None for the base model."""
        if self.adapter:
            return self.adapter.name
        return self.whole.identity if self.whole else self.elsewhere


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """The examples of one task in one language."""

    task: str
    language: str
    examples: tuple[Example, ...]
    max_tokens: int
    stop: tuple[str, ...] | None = None
    """Texts that end a completion; None: the task's own, or none where a chat template marks the end of turn."""
    temperature: float = 0.0
    """What logits are divided by before a token is drawn; 0: greedy decoding."""
    samples: int = 1
    """How many completions there are of each prompt."""
    condition: str = ""
    """What follows the task in its name, where prompts or answers are not in the set's own language."""

    @property
    def name(self) -> str:
        """What tables call the task."""
        return self.task + self.condition

    def stops(self, task: Task, chat: bool) -> tuple[str, ...]:
        """The texts that end a completion of the task, of a model that is prompted as chat or with plain text."""
        if self.stop is not None:
            return self.stop
        return () if chat else task.stop


@dataclass(frozen=True, slots=True)
class Prompted:
    """An example put to a model."""

    model: ModelUnderTest
    tested: EvaluationSet
    example: Example
    request: Request
    key: str
    sample: int = 0
    """Which of several completions of the example."""
    repeat: int = 0
    """How often the request was put before, in other batches."""


@dataclass(frozen=True, slots=True)
class Asked(Generic[AnyQuestion]):
    """A question put to a model, and the key that its answer is kept by."""

    request: AnyQuestion
    key: str


class Put(Protocol):
    """An example put to a model, and the key that its completion is kept by."""

    @property
    def model(self) -> ModelUnderTest:
        """The model."""
        ...

    @property
    def tested(self) -> EvaluationSet:
        """What it is an example of."""
        ...

    @property
    def example(self) -> Example:
        """The example."""
        ...

    @property
    def key(self) -> str:
        """A hash of all that decides the completion."""
        ...

    @property
    def sample(self) -> int:
        """Which of several completions of the example."""
        ...


class Scored(Protocol):
    """What completions are scored by."""

    @property
    def evaluation_sets(self) -> Sequence[EvaluationSet]:
        """The examples."""
        ...

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks by name."""
        ...

    @property
    def identifier(self) -> Identifier:
        """What tells the languages of completions."""
        ...

    @property
    def thoughts(self) -> Markers:
        """What opens and closes thoughts in completions."""
        ...


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
    base: ModelFiles
    engine_version: str
    models: Sequence[ModelUnderTest]
    evaluation_sets: Sequence[EvaluationSet]
    renderer: Renderer
    rendered: Callable[[EvaluationSet], Sequence[tuple[list[int], int]]]
    """The prompts of an evaluation set as token ids, and by how many tokens each text was shortened."""
    start_engine: Callable[[EngineSettings], Engine]
    start_reference: Callable[[EngineSettings], Engine]
    dtype: str
    """The number format of both engines."""
    identifier: Identifier
    """What tells the languages of completions."""
    thoughts: Markers = THOUGHTS
    """What opens and closes thoughts in completions."""
    tasks: Mapping[str, Task] = field(default_factory=lambda: TASKS)
    """The tasks by name."""
    questions: Sequence[Question] = ()
    """What lm_eval asks of every model besides, no adapter named."""
    trust_remote_code: bool = False
    """Whether engines run the Python code that comes with a model."""
    repeats: int = 1
    """How often completions are generated, to measure what batches change."""

    def prompts(self) -> Prompts:
        """Every example for every model."""
        return Prompts(self)

    def repeated(self) -> list[list[Prompted]]:
        """The prompts once more for each repeat, in an order of its own: of tasks of one completion per prompt.

        The first generation is no part of this, and is none the wiser: its keys are the same without repeats.
        """
        again = [
            [
                replace(prompt, repeat=repeat, key=self.key(prompt.model, prompt.request, repeat))
                for prompt in self.prompts()
                if prompt.tested.samples == 1
            ]
            for repeat in range(1, self.repeats)
        ]
        return [sorted(prompts, key=lambda prompt: prompt.key) for prompts in again]

    def requests(self) -> Iterator[tuple[EvaluationSet, Example, Request, int]]:
        """What is put to every model, without an adapter: the request for each example and sample."""
        for tested in self.evaluation_sets:
            stops = tested.stops(self.tasks[tested.task], chat=self.renderer.template is not None)
            for example, (ids, _) in zip(tested.examples, self.rendered(tested), strict=True):
                for sample in range(tested.samples):
                    seed = seed_of(ids, sample) if tested.temperature else None
                    yield (
                        tested,
                        example,
                        Request(tuple(ids), tested.max_tokens, stops, None, tested.temperature, seed),
                        sample,
                    )

    def served_together(self) -> dict[ModelFiles, list[ModelUnderTest]]:
        """The models by the whole model that an engine has to load for them, the base with all adapters first."""
        groups: dict[ModelFiles, list[ModelUnderTest]] = {}
        for model in sorted(self.models, key=lambda model: model.whole is not None):
            groups.setdefault(model.whole or self.base, []).append(model)
        return groups

    def computed_by(self, model: ModelUnderTest) -> list[str | None]:
        """What decides the numbers that a model gives: its weights, the engine, the number format."""
        whole = model.whole or self.base
        return [whole.identity, model.adapter.name if model.adapter else None, self.engine_version, self.dtype]

    def key(self, model: ModelUnderTest, question: Question, repeat: int = 0) -> str:
        """A hash of all that decides a model's answer to a question, which is put anew for each repeat."""
        return key_of(json.dumps(self.computed_by(model)), json.dumps(decided_by(question, repeat)))

    def asked(self, kind: type[AnyQuestion]) -> list[Asked[AnyQuestion]]:
        """The questions of one kind, for every model, each once."""
        put = {
            self.key(model, question): replace(question, adapter=model.adapter)
            for model in self.models
            for question in self.questions
            if isinstance(question, kind)
        }
        return [Asked(question, key) for key, question in put.items()]

    @property
    def generations(self) -> Path:
        """Where finished chunks of completions are kept."""
        return self.folder / "generations"

    @property
    def likelihoods(self) -> Path:
        """Where finished chunks of log-probabilities are kept."""
        return self.folder / "likelihoods"


class Prompts(Sequence[Prompted]):
    """Every example for every model, each made when it is asked for: a grid has more of them than memory holds."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.models = evaluation.models
        self._deciding = [json.dumps(evaluation.computed_by(model)) for model in self.models]
        self._of_each = [(*put, json.dumps(decided_by(put[2]))) for put in evaluation.requests()]

    @property
    def longest(self) -> int:
        """The most tokens that a model is to read and write for one of them; 0 if there are none."""
        return max((length(request) for _, _, request, _, _ in self._of_each), default=0)

    def by_model(self) -> Iterator[tuple[ModelUnderTest, list[Prompted]]]:
        """The prompts of one model after another."""
        each = len(self._of_each)
        for place, model in enumerate(self.models):
            yield model, self[place * each : (place + 1) * each]

    def __len__(self) -> int:
        return len(self.models) * len(self._of_each)

    @overload
    def __getitem__(self, index: int) -> Prompted: ...
    @overload
    def __getitem__(self, index: slice) -> list[Prompted]: ...
    def __getitem__(self, index: int | slice) -> Prompted | list[Prompted]:
        numbers = range(len(self))[index]
        return self._made(numbers) if isinstance(numbers, int) else [self._made(number) for number in numbers]

    def __iter__(self) -> Iterator[Prompted]:
        return map(self._made, range(len(self)))

    def _made(self, number: int) -> Prompted:
        of_model, place = divmod(number, len(self._of_each))
        model, (tested, example, request, sample, decided) = self.models[of_model], self._of_each[place]
        if model.adapter:
            request = replace(request, adapter=model.adapter)
        return Prompted(model, tested, example, request, key_of(self._deciding[of_model], decided), sample)


def decided_by(question: Question, repeat: int = 0) -> list[Any]:
    """What decides the answer to a question beside the model."""
    if isinstance(question, ScoredRow):
        return [question.prompt_ids, question.completion_ids]
    drawn = [question.temperature, question.seed] if question.temperature else []
    again = ["repeat", repeat] if repeat else []
    return [question.prompt_ids, question.max_tokens, question.stop, *drawn, *again]


def key_of(model: str, question: str) -> str:
    """The key of an answer, from what decides it as two lists in JSON: that of the model, and that of the question."""
    return hashlib.sha256(f"{model[:-1]}, {question[1:]}".encode()).hexdigest()[:32]


def candidates_of(evaluation_sets: Sequence[EvaluationSet]) -> tuple[str, ...]:
    """What a completion's language may be: one of those tested, English, or another."""
    answers = (example.language for tested in evaluation_sets for example in tested.examples[:1])
    return tuple(dict.fromkeys((*(tested.language for tested in evaluation_sets), *answers, "en", ANOTHER)))


def seed_of(prompt_ids: Sequence[int], sample: int) -> int:
    """The seed of a sample: another for every prompt, so that what is drawn of one says nothing of another."""
    digest = hashlib.sha256(json.dumps([list(prompt_ids), sample]).encode()).digest()
    return int.from_bytes(digest[:4], "big")


@dataclass(frozen=True, slots=True)
class Chunk(Generic[AnyKeyed]):
    """A part of all that is asked, by its place: what is in it is made when it is asked for."""

    of: Sequence[AnyKeyed]
    place: slice

    def left(self, done: Container[str]) -> list[AnyKeyed]:
        """The questions of the chunk that are not done."""
        return [question for question in self.of[self.place] if question.key not in done]


def fixed_chunks(asked: Sequence[AnyKeyed], size: int) -> Iterator[Chunk[AnyKeyed]]:
    """All that is asked, cut at the same places whatever of it is done."""
    return (Chunk(asked, slice(start, start + size)) for start in range(0, len(asked), size))


def token_ids(question: Question) -> tuple[int, ...]:
    """All that the model is to read."""
    return (*question.prompt_ids, *(question.completion_ids if isinstance(question, ScoredRow) else ()))


def length(question: Question) -> int:
    """How many tokens the model is to read and write, at most."""
    return len(token_ids(question)) + (question.max_tokens if isinstance(question, Request) else 0)
