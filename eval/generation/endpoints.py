"""Models behind endpoints: test items as messages or plain text, and completions as they come."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_mixes.example import Example
from data_mixes.prompts import as_text, turns_of
from eval.engines.endpoint import Ask, Endpoint, Reply
from eval.engines.engine import END_OF_TURN, LENGTH, Completion, Progress, cut_at
from eval.generation.kept import Answers
from eval.generation.requests import EvaluationSet, ModelUnderTest, seed_of
from eval.scorers.identifiers import Identifier
from eval.scorers.thoughts import Markers
from eval.tasks.task import Task

CHUNK = 64
"""Completions that are kept together."""
MOST_STOPS = 4
"""Texts that end a completion, as many as the protocol takes; all of them are cut at here."""


@dataclass(frozen=True, slots=True)
class EndpointPrompt:
    """An example put to a model behind an endpoint, and the key that its completion is kept by."""

    model: ModelUnderTest
    tested: EvaluationSet
    example: Example
    ask: Ask
    stops: tuple[str, ...]
    key: str
    sample: int = 0


@dataclass(frozen=True, slots=True)
class EndpointEvaluation:
    """What is put to one model behind an endpoint."""

    name: str
    """What the model is called in the study."""
    endpoint: Endpoint
    chat: bool
    """Whether it gets messages; else plain text to go on with."""
    evaluation_sets: Sequence[EvaluationSet]
    tasks: Mapping[str, Task]
    words: Mapping[str, Mapping[str, str]]
    """The words around prompts, by task and language."""
    verbatim: bool
    """Whether prompts are put without words."""
    identifier: Identifier
    """What tells the languages of completions."""
    thoughts: Markers
    """What opens and closes thoughts in completions."""

    @property
    def model(self) -> ModelUnderTest:
        """The model; in place of weights it is told by its name at its address."""
        return ModelUnderTest(self.name, elsewhere=self.endpoint.identity)

    def prompts(self) -> list[EndpointPrompt]:
        """Every example."""
        return [
            self._prompt(tested, example, sample)
            for tested in self.evaluation_sets
            for example in tested.examples
            for sample in range(tested.samples)
        ]

    def _prompt(self, tested: EvaluationSet, example: Example, sample: int) -> EndpointPrompt:
        turns = turns_of(example, self.words, chat=self.chat, verbatim=self.verbatim)
        put = turns if self.chat else as_text(turns)
        stops = tested.stops(self.tasks[tested.task], chat=self.chat)
        decoding: dict[str, Any] = {"max_tokens": tested.max_tokens, "temperature": tested.temperature}
        if stops:
            decoding["stop"] = list(stops[:MOST_STOPS])
        if tested.temperature:
            decoding["seed"] = seed_of([*json.dumps(put).encode()], sample)
        decided_by = json.dumps([self.endpoint.identity, put, decoding, list(stops)])
        key = hashlib.sha256(decided_by.encode()).hexdigest()[:32]
        return EndpointPrompt(self.model, tested, example, Ask(put, decoding), stops, key, sample)


def ask_endpoint(
    evaluation: EndpointEvaluation, answers: Answers, progress: Progress, say: Callable[[str], None]
) -> None:
    """Asks for what is missing, and keeps it as it comes; says what failed. Raises EndpointError."""
    missing = {prompt.key: prompt for prompt in evaluation.prompts() if prompt.key not in answers.completions}
    prompts, pending, problems = list(missing.values()), dict[str, Completion](), Counter[str]()

    def keep() -> None:
        if pending:
            answers.completions.keep(pending)
            pending.clear()

    def arrived(replies: Any) -> None:
        for number, reply in replies:
            if (completion := completion_of(reply, prompts[number].stops)) is None:
                problems[reply.problem or "no reply"] += 1
            else:
                pending[prompts[number].key] = completion
        if len(pending) >= CHUNK:
            keep()

    try:
        evaluation.endpoint.ask([prompt.ask for prompt in prompts], arrived, progress)
    finally:
        keep()
    for problem, count in problems.most_common():
        say(f"{evaluation.name}: {count:,} completions are missing: {problem}; harness eval asks again")


def completion_of(reply: Reply, stops: Sequence[str]) -> Completion | None:
    """What a model wrote; None where no reply came."""
    if reply.text is None:
        return None
    tokens = reply.completion_tokens if reply.counted else None
    return Completion(cut_at(reply.text, stops), tokens, LENGTH if reply.finish == "length" else END_OF_TURN)
