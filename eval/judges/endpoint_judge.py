"""A judge behind an OpenAI-compatible endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eval.engines.endpoint import Arrived, Ask, Endpoint, EndpointError, Retries, Spending
from eval.engines.engine import Progress
from eval.judges.judge import JudgeError

IF_UNSUPPORTED = (
    "A model that reasons is asked with decoding: own (--decoding own), and max_tokens for its thoughts too"
)


@dataclass
class EndpointJudge:
    """Asks a model by name, several questions at once."""

    name: str
    endpoint: str
    max_tokens: int
    concurrency: int
    greedy: bool = True
    """Whether at temperature 0; else as reasoning models want it, by the endpoint's own temperature."""
    spending: Spending = field(default_factory=Spending)
    key_variable: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; a server that needs none is given none that counts."""
    timeout: float = 180.0
    """Seconds for a whole reply."""
    retries: Retries = field(default_factory=Retries)

    @property
    def decided_by(self) -> Mapping[str, Any]:
        """The decoding, as the endpoint is asked for it."""
        if self.greedy:
            return {"temperature": 0, "max_tokens": self.max_tokens}
        return {"max_completion_tokens": self.max_tokens}

    def ask(self, questions: Sequence[str], arrived: Arrived, progress: Progress) -> None:
        """Hands over a reply to every question as it comes; a failure where all attempts fail, or the cap is reached.

        Raises JudgeError where no request can do better: a wrong key, an unknown model, no server.
        """
        model = Endpoint(
            self.name, self.endpoint, self.concurrency, self.spending, self.key_variable, self.timeout, self.retries,
            called="judge", if_unsupported=IF_UNSUPPORTED if self.greedy else "",
        )  # fmt: skip
        asks = [Ask([{"role": "user", "content": question}], self.decided_by) for question in questions]
        try:
            model.ask(asks, arrived, progress)
        except EndpointError as error:
            raise JudgeError(str(error)) from None
