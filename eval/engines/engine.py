"""What evaluation asks of an engine: completions and log-probabilities, with and without an adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

Progress: TypeAlias = Callable[[int], None]
"""Called with the number of units of work newly done."""

Quantization: TypeAlias = Literal["none", "nf4"]
"""What linear layers' weights are rounded to when a model is loaded."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A whole model at hand: what transformers and vLLM are given, and what identifies it."""

    location: str
    revision: str | None
    identity: str
    quantization: Quantization = "none"


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter on disk, named by the hash of its content: two of the same name are the same."""

    name: str
    path: Path
    rank: int


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt to complete, by the base model or with an adapter; greedily, or sampled."""

    prompt_ids: tuple[int, ...]
    max_tokens: int
    stop: tuple[str, ...]
    adapter: Adapter | None
    temperature: float = 0.0
    """What logits are divided by before a token is drawn; 0 takes the likeliest token."""
    seed: int | None = None
    """Of a sampled completion: what decides which tokens are drawn."""


END_OF_TURN, STOP_TEXT, LENGTH = FINISHES = ("stop", "stop text", "length")
"""Why a completion ended: the model ended its turn, a stop text came, or `max_tokens` cut it off."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model wrote: text without the end of turn, its length in tokens, and why it ended."""

    text: str
    tokens: int | None
    """None where an endpoint does not say."""
    finish: str
    """Why it ended: one of `FINISHES`."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Completion:
        """One that was kept as JSON."""
        return cls(**row)


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A prompt with a completion whose log-probability is asked, for the base model or an adapter."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    adapter: Adapter | None


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a given completion is to a model."""

    log_probs: tuple[float, ...]
    """The natural log-probability of each of its tokens."""
    greedy: bool
    """Whether no token is likelier at any place: whether greedy decoding would write it."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Likelihood:
        """One that was kept as JSON."""
        return cls(tuple(row["log_probs"]), row["greedy"])


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine must know before it starts."""

    model: str
    revision: str | None
    dtype: str
    trust_remote_code: bool
    adapters: tuple[Adapter, ...]
    max_length: int
    """Longest prompt and completion together, in tokens."""
    batch_invariant: bool = False
    """Whether completions must not depend on what else is in their batch."""
    quantization: Quantization = "none"


class Engine(Protocol):
    """A base model loaded once, completing for any of its adapters."""

    version: str
    chunk: int
    """How many requests are generated, and kept, together: enough to fill the engine, few enough to repeat."""

    def generate(self, requests: Sequence[Request], progress: Progress) -> list[Completion]:
        """A completion per request, in order."""
        ...

    def likelihoods(self, rows: Sequence[ScoredRow]) -> list[Likelihood]:
        """How likely each row's completion is, in order; all rows in one batch."""
        ...

    def close(self) -> None:
        """Gives the memory back."""
        ...


@runtime_checkable
class Reloading(Protocol):
    """An engine that may take the weights of another model of its architecture in place of its own."""

    def can_reload(self, location: str) -> bool:
        """Whether it can take those in a folder, with room for the reference beside it."""
        ...

    def reload(self, location: str) -> None:
        """Takes them. Whether it computes them rightly then is for the canary gate to find out."""
        ...


def cut_at(text: str, stops: Sequence[str]) -> str:
    """The text up to the first of the stop texts in it."""
    places = [position for stop in stops if (position := text.find(stop)) >= 0]
    return text[: min(places)] if places else text
