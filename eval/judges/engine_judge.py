"""A judge in our own engine: a chat model on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_mixes.prompt_words import PromptError
from data_mixes.prompts import Renderer
from eval.engines.endpoint import Arrived, Reply, Spending
from eval.engines.engine import Engine, Progress, Request
from eval.judges.judge import JudgeError


@dataclass(frozen=True, slots=True)
class EngineJudge:
    """Asks a model greedily, by its own chat template; the engine is started only if there is something to ask."""

    name: str
    """What identifies the model: its content or commit, not its folder."""
    renderer: Renderer
    start_engine: Callable[[int], Engine]
    """Given the most tokens of a question and its reply together."""
    context: int
    """How many tokens the model can read and write."""
    max_tokens: int
    engine_settings: Mapping[str, Any]
    """What else decides its replies: the engine's version, the precision."""
    spending: Spending = field(default_factory=Spending)

    @property
    def decided_by(self) -> Mapping[str, Any]:
        """The decoding, the rendering and the engine."""
        return {"max_tokens": self.max_tokens, "rendering": self.renderer.identity, **self.engine_settings}

    def ask(self, questions: Sequence[str], arrived: Arrived, progress: Progress) -> None:
        """Hands over a reply to every question, chunk by chunk; a failure to those that are longer than the context.

        Raises JudgeError for a model without a chat template.
        """
        try:
            rendered = self.renderer.messages(questions)
        except PromptError as error:
            raise JudgeError(f"{self.name} cannot judge: {error}") from None
        longest = self.context - self.max_tokens
        message = "judge failed: the question has {} tokens, and with {} for the reply the judge can read {}"
        too_long = [
            (number, Reply(None, problem=message.format(len(ids), self.max_tokens, longest)))
            for number, ids in enumerate(rendered)
            if len(ids) > longest
        ]
        if too_long:
            arrived(too_long)
            progress(len(too_long))
        fitting = [(number, ids) for number, ids in enumerate(rendered) if len(ids) <= longest]
        if not fitting:
            return
        engine = self.start_engine(max(len(ids) for _, ids in fitting) + self.max_tokens)
        try:
            for start in range(0, len(fitting), engine.chunk):
                chunk = fitting[start : start + engine.chunk]
                requests = [Request(tuple(ids), self.max_tokens, (), None) for _, ids in chunk]
                completions = engine.generate(requests, progress)
                for (_, ids), completion in zip(chunk, completions, strict=True):
                    self.spending.count(len(ids), completion.tokens or 0)
                arrived(
                    (number, Reply(completion.text, completion.finish, len(ids), completion.tokens or 0))
                    for (number, ids), completion in zip(chunk, completions, strict=True)
                )
        finally:
            engine.close()
