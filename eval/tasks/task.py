"""What a task is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from data_mixes.example import Example
from eval.scorers.score import Score


@dataclass(frozen=True, slots=True)
class Task:
    """How completions to one kind of example are written and judged. Decoding is greedy."""

    name: str
    source: str
    """Where test items come from unless the recipe names another source."""
    max_tokens: int
    stop: tuple[str, ...]
    """Texts that end a completion, so that an untuned model is not judged by what it adds."""
    metric: str
    """The metric that tables show; the first of the scores."""
    scorer_version: str
    """Of completions that were never generated, and so never scored."""
    score: Callable[[Example, str], Sequence[Score]]
    prompts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Language → the words around a prompt, with the field {prompt}, beside those of data_mixes/prompts.yaml."""
