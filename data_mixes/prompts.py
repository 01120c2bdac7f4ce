"""The one rendering path, for training and evaluation: examples → text → token ids.

A prompt and its completion are tokenized apart and joined, so the prompt of a training row has
the same ids as the prompt given to the engine, whatever the tokenizer merges.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any, Protocol

from jinja2 import TemplateError
from ruamel.yaml import YAML

from data_mixes.example import Example

_TEXT = (files("data_mixes") / "prompts.yaml").read_text(encoding="utf-8")
_FILE = YAML(typ="safe", pure=True).load(_TEXT)

PROMPTS: dict[str, dict[str, str]] = _FILE["prompts"]
"""Task → language → prompt with the field {prompt}."""
ANSWER_MARKERS: dict[str, str] = _FILE["answer_markers"]
"""Language → what stands before the final answer."""


class Tokenizer(Protocol):
    """What the rendering needs of a Hugging Face tokenizer."""

    bos_token_id: int | None
    eos_token_id: int | None
    eos_token: str | None
    chat_template: str | dict[str, str] | None

    def encode(self, text: str, *, add_special_tokens: bool = ...) -> list[int]:
        """Token ids of the text."""
        ...

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, tokenize: bool = ..., add_generation_prompt: bool = ...
    ) -> Any:
        """The conversation as text."""
        ...


@dataclass(frozen=True, slots=True)
class Rendering:
    """A training row: the prompt's ids and the completion's, which ends with the end of turn."""

    prompt_ids: list[int]
    completion_ids: list[int]

    @property
    def tokens(self) -> int:
        """Length of the whole row."""
        return len(self.prompt_ids) + len(self.completion_ids)

    @property
    def supervised_tokens(self) -> int:
        """How many positions carry a loss."""
        return len(self.completion_ids)


class PromptError(ValueError):
    """A prompt that cannot be rendered for this model or language."""


class Renderer:
    """Renders examples for one tokenizer, by its chat template if it has one, else as plain text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        if tokenizer.eos_token_id is None or tokenizer.eos_token is None:
            raise PromptError("the tokenizer has no end-of-sequence token: a completion could never end")
        self.tokenizer = tokenizer

    @cached_property
    def template_hash(self) -> str:
        """Identifies all that decides how an example becomes text."""
        return hashlib.sha256(f"{_TEXT}\0{self.tokenizer.chat_template}".encode()).hexdigest()[:16]

    def prompt_text(self, example: Example) -> str:
        """The prompt up to where the completion begins, beginning-of-sequence token left out."""
        text = task_prompt(example)
        if not self.tokenizer.chat_template:
            return text
        return self._chat([{"role": "user", "content": text}], add_generation_prompt=True)

    def completion_text(self, example: Example) -> str:
        """The target and the end of the turn."""
        assert self.tokenizer.eos_token is not None
        if not self.tokenizer.chat_template:
            return example.target + self.tokenizer.eos_token
        prompt = self.prompt_text(example)
        turns = [
            {"role": "user", "content": task_prompt(example)},
            {"role": "assistant", "content": example.target},
        ]
        whole = self._chat(turns, add_generation_prompt=False)
        if not whole.startswith(prompt):
            raise PromptError("the chat template writes a finished turn differently from an open one")
        completion = whole[len(prompt) :].rstrip()
        if completion.strip() == example.target.strip():
            raise PromptError("the chat template does not mark the end of the assistant's turn")
        return completion

    def prompt_ids(self, example: Example) -> list[int]:
        """Token ids of the prompt, with the model's beginning-of-sequence token once."""
        ids = self._ids(self.prompt_text(example))
        bos = self.tokenizer.bos_token_id
        return ids if bos is None or ids[:1] == [bos] else [bos, *ids]

    def render(self, example: Example) -> Rendering:
        """A training row; its prompt ids equal `prompt_ids(example)`."""
        return Rendering(self.prompt_ids(example), self._ids(self.completion_text(example)))

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)

    def _chat(self, turns: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        try:
            return self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except TemplateError as error:
            raise PromptError(f"the chat template refuses a user's turn and its answer: {error}") from None


def task_prompt(example: Example) -> str:
    """The example's prompt in the words of its task and language. Raises PromptError without any."""
    try:
        prompt = PROMPTS[example.task][example.language]
    except KeyError:
        raise PromptError(
            f"no prompt for task {example.task!r} in language {example.language!r}; add one to data_mixes/prompts.yaml"
        ) from None
    return prompt.replace("{prompt}", example.prompt)
