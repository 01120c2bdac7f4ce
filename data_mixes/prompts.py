"""The one rendering path, for training and evaluation: examples → text → token ids.

A prompt and its completion are tokenized separately and concatenated, so a training row's prompt has
the same ids as the prompt given to the engine, whatever the tokenizer would merge.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal, Protocol, TypeAlias

from data_mixes import limits
from data_mixes.example import Example
from data_mixes.limits import template_problem
from data_mixes.prompt_words import TEXT, PromptError, task_prompt

NO_TODAY: dict[str, Any] = {"date_string": "26 Jul 2024", "strftime_now": lambda form: date(2024, 7, 26).strftime(form)}
"""The date for chat templates that print one: always the same day, in training and in evaluation."""
BETWEEN_EXEMPLARS = "\n\n"
IGNORED = -100
"""The label of positions without a loss, as PyTorch has it."""
Supervised: TypeAlias = Literal["last", "every"]
"""Which of the assistant's turns in a conversation are learned."""


class Tokenizer(Protocol):
    """What the rendering needs of a Hugging Face tokenizer."""

    bos_token_id: int | None
    eos_token_id: int | None
    eos_token: str | None
    chat_template: str | dict[str, str] | None

    def __call__(self, text: list[str], *, add_special_tokens: bool = ...) -> Any:
        """Token ids of many texts, under "input_ids"."""
        ...

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool = ...) -> str:
        """The text of token ids."""
        ...

    def get_vocab(self) -> dict[str, int]:
        """Token → id."""
        ...

    def apply_chat_template(
        self,
        conversation: list[dict[str, str]],
        *,
        chat_template: str | None = ...,
        tokenize: bool = ...,
        add_generation_prompt: bool = ...,
        date_string: str = ...,
        strftime_now: Callable[[str], str] = ...,
    ) -> Any:
        """The conversation as text."""
        ...


@dataclass(frozen=True, slots=True)
class Rendering:
    """A training row: the prompt's ids and the completion's, which ends with the end of turn."""

    prompt_ids: list[int]
    completion_ids: list[int]
    cut: int = 0
    """How many tokens of the example's text were left out, so that the prompt is no longer than allowed."""
    between: tuple[tuple[int, int], ...] = ()
    """Where completion ids lie between two supervised turns: what the user says, and no loss is on."""
    instead: tuple[tuple[int, int], ...] = ()
    """Places of completion ids where another token is learned than the one there, with that token."""

    @staticmethod
    def labelled(ids: Sequence[int], labels: Sequence[int]) -> Rendering:
        """A row of token ids that are learned where the label is not IGNORED; at its first place none can be."""
        begin = next(place for place in range(1, len(ids)) if labels[place] != IGNORED)
        completion, learned = ids[begin:], labels[begin:]
        borders = [place for place in range(1, len(learned))
                   if (learned[place] == IGNORED) != (learned[place - 1] == IGNORED)]  # fmt: skip
        between = zip(borders[::2], [*borders[1::2], len(learned)], strict=False)
        instead = [(place, label) for place, (token, label) in enumerate(zip(completion, learned, strict=True))
                   if label not in (token, IGNORED)]  # fmt: skip
        return Rendering([*ids[:begin]], [*completion], between=tuple(between), instead=tuple(instead))

    @property
    def labels(self) -> list[int]:
        """The row's ids where there is a loss, IGNORED elsewhere."""
        labels = [IGNORED] * len(self.prompt_ids) + self.completion_ids
        for start, end in self.between:
            begin = len(self.prompt_ids)
            labels[begin + start : begin + end] = [IGNORED] * (end - start)
        for place, token in self.instead:
            labels[len(self.prompt_ids) + place] = token
        return labels

    @property
    def tokens(self) -> int:
        """Length of the whole row."""
        return len(self.prompt_ids) + len(self.completion_ids)

    @property
    def supervised_tokens(self) -> int:
        """How many positions carry a loss."""
        return len(self.completion_ids) - sum(end - start for start, end in self.between)


@dataclass(frozen=True)
class Renderer:
    """Renders examples for one tokenizer: by a chat template if there is one, else as plain text."""

    tokenizer: Tokenizer
    chat_template: str | None = None
    """Instead of the tokenizer's own."""
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """Task → language → prompt, instead of those in PROMPTS or beside them."""
    max_prompt_tokens: int | None = None
    """A prompt that would be longer has what was said before it left out from the beginning, then its example's text
    shortened at the end; never the words around it."""
    verbatim: bool = False
    """Whether prompts are put to the model as they are, without words."""
    supervise: Supervised = "last"
    """Which of the assistant's turns in a conversation are learned; all of them only by a chat template."""

    def __post_init__(self) -> None:
        if self.tokenizer.eos_token_id is None or self.tokenizer.eos_token is None:
            raise PromptError("the tokenizer has no end-of-sequence token: a completion could never end")

    @property
    def template(self) -> str | dict[str, str] | None:
        """The chat template in use."""
        return self.chat_template or self.tokenizer.chat_template

    @cached_property
    def template_hash(self) -> str:
        """A hash of everything except the tokenizer that determines an example's text."""
        decided_by: list[Any] = [TEXT, self.template, {**self.words}, self.max_prompt_tokens]
        if self.verbatim:
            decided_by.append("verbatim")
        if self.supervise != "last":
            decided_by.append(self.supervise)
        return hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def identity(self) -> str:
        """A hash of everything that determines the token ids of an example."""
        backend: Any = getattr(self.tokenizer, "backend_tokenizer", None)
        tokens = backend.to_str() if backend else json.dumps(self.tokenizer.get_vocab(), sort_keys=True)
        special = [self.tokenizer.bos_token_id, self.tokenizer.eos_token_id]
        decided_by = f"{self.template_hash}\0{special}\0{tokens}"
        return hashlib.sha256(decided_by.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def prompt_text(self, example: Example) -> str:
        """The prompt up to where the completion begins, beginning-of-sequence token left out."""
        if self.template:
            return self._chat(self.turns(example), add_generation_prompt=True)
        return as_text(self.turns(example))

    def completion_text(self, example: Example) -> str:
        """The target and the end of the turn."""
        assert self.tokenizer.eos_token is not None
        if not self.template:
            return example.target + self.tokenizer.eos_token
        return self._answer([*self.turns(example), {"role": "assistant", "content": example.target}])[1]

    def _answer(self, turns: list[dict[str, str]]) -> tuple[str, str]:
        """All that is before the last of some turns, which is the assistant's, and this turn with its end."""
        prompt = self._chat(turns[:-1], add_generation_prompt=True)
        whole, said = self._chat(turns, add_generation_prompt=False), turns[-1]["content"].strip()
        if not whole.startswith(prompt):
            raise PromptError("the chat template writes a finished turn differently from an open one")
        completion = whole[len(prompt) :].rstrip()
        if said not in completion:
            raise PromptError("the chat template leaves out what the assistant says, or changes it")
        if completion.strip() == said:
            raise PromptError("the chat template does not mark the end of the assistant's turn")
        return prompt, completion

    def prompt_ids(self, example: Example) -> list[int]:
        """Token ids of the prompt, with the model's beginning-of-sequence token once."""
        return self.prompts([example])[0][0]

    def prompts(self, examples: Sequence[Example]) -> list[tuple[list[int], int]]:
        """For each example the token ids of its prompt, and how many tokens its text was shortened by."""
        return [(ids, tokens - len(ids)) for _, ids, tokens in self._fitted(examples)]

    def fitted(self, examples: Sequence[Example]) -> list[Example]:
        """The examples as they are put to the model: shortened where they are too long."""
        return [example for example, _, _ in self._fitted(examples)]

    def _fitted(self, examples: Sequence[Example]) -> list[tuple[Example, list[int], int]]:
        """For each example what is put to the model, the token ids of this, and how many there would have been."""
        limit = self.max_prompt_tokens
        return [
            (example, ids, len(ids))
            if limit is None or len(ids) <= limit
            else (*self._shortened(example, ids, limit), len(ids))
            for example, ids in zip(examples, self._prompts(examples), strict=True)
        ]

    def render(self, example: Example) -> Rendering:
        """A training row; its prompt ids equal `prompt_ids(example)`."""
        return self.render_all([example])[0]

    def render_all(self, examples: Sequence[Example]) -> list[Rendering]:
        """Training rows, tokenized together."""
        forms = [self._form(example) for example in examples]
        single = [example for example, form in zip(examples, forms, strict=True) if form is None]
        completions = self.ids([self.completion_text(example) for example in single])
        rows = (
            Rendering(prompt, completion, cut)
            for (prompt, cut), completion in zip(self.prompts(single), completions, strict=True)
        )
        return [form(example) if form else next(rows) for example, form in zip(examples, forms, strict=True)]

    def _form(self, example: Example) -> Callable[[Example], Rendering] | None:
        """What renders an example that is not one prompt and its answer."""
        if example.spans:
            return self._spans
        return self._every_turn if self.supervise == "every" and example.history else None

    def _spans(self, example: Example) -> Rendering:
        """The texts of a row's spans one after another, and the end of the text, which is learned as the last is."""
        parts = self.ids([span.text for span in example.spans])
        first = iter(self.ids([span.instead for span in example.spans if span.instead]))
        ids = self.begun([])
        labels = [IGNORED] * len(ids)
        for span, part in zip(example.spans, parts, strict=True):
            ids, own = ids + part, part if span.learned else [IGNORED] * len(part)
            labels += [next(first)[0], *own[1:]] if span.instead else own
        end = self.tokenizer.eos_token_id
        assert end is not None
        return Rendering.labelled([*ids, end], [*labels, end])

    def _every_turn(self, example: Example) -> Rendering:
        """A conversation with a loss on every turn of the assistant, without the earliest turns if it is too long."""
        parts = self.ids(self._parts(example))
        prompt, completion = self.begun(parts[0]), [token for part in parts[1:] for token in part]
        before_the_last = len(prompt) + len(completion) - len(parts[-1])
        if self.max_prompt_tokens is not None and before_the_last > self.max_prompt_tokens:
            shorter = self.render(replace(example, history=example.history[1:]))
            return replace(shorter, cut=before_the_last + len(parts[-1]) - shorter.tokens)
        ends = [*accumulate(len(part) for part in parts[1:])]
        return Rendering(prompt, completion, between=tuple(zip(ends[::2], ends[1::2], strict=False)))

    def _parts(self, example: Example) -> list[str]:
        """What is before the assistant's first turn, this turn, what is before the next, and so on."""
        if not self.template:
            raise PromptError("plain text has no end of turn: to supervise every turn takes a chat template")
        turns = [*self.turns(example), {"role": "assistant", "content": example.target}]
        parts, written = list[str](), ""
        for place, turn in enumerate(turns):
            if turn["role"] == "assistant":
                prompt, completion = self._answer(turns[: place + 1])
                if not prompt.startswith(written):
                    raise PromptError("the chat template writes an earlier turn differently once others follow")
                parts += [prompt.removeprefix(written), completion]
                written = prompt + completion
        return parts

    def messages(self, messages: Sequence[str]) -> list[list[int]]:
        """Token ids of a user's messages, verbatim, up to where the answers begin.

        Raises PromptError without a chat template.
        """
        if not self.template:
            raise PromptError("its tokenizer has no chat template, so it is not a chat model")
        turns = [[{"role": "user", "content": message}] for message in messages]
        return self._begun([self._chat(conversation, add_generation_prompt=True) for conversation in turns])

    def _prompts(self, examples: Sequence[Example]) -> list[list[int]]:
        return self._begun([self.prompt_text(example) for example in examples])

    def _begun(self, texts: list[str]) -> list[list[int]]:
        """Token ids of texts, with the model's beginning-of-sequence token once."""
        return [self.begun(ids) for ids in self.ids(texts)]

    def _shortened(self, example: Example, ids: list[int], limit: int) -> tuple[Example, list[int]]:
        """The example with as much of its text as fits, and the token ids of its prompt."""
        if len(ids) <= limit:
            return example, ids
        fitting, too_long = 0, len(example.prompt)
        short = replace(example, prompt="")
        ids = self._prompts([short])[0]
        if len(ids) > limit and example.history:
            shorter = replace(example, history=example.history[1:])
            return self._shortened(shorter, self._prompts([shorter])[0], limit)
        if len(ids) > limit:
            raise PromptError(
                f"the words around a {example.task} prompt in {example.language!r} have {len(ids)} tokens alone, "
                f"and no more than {limit} are allowed"
            )
        while too_long - fitting > 1:
            middle = (fitting + too_long) // 2
            tried = replace(example, prompt=example.prompt[:middle].rstrip())
            tried_ids = self._prompts([tried])[0]
            if len(tried_ids) <= limit:
                fitting, short, ids = middle, tried, tried_ids
            else:
                too_long = middle
        return short, ids

    def text(self, ids: Sequence[int]) -> str:
        """What token ids say, special tokens included."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=False)

    def begun(self, ids: list[int]) -> list[int]:
        """Token ids with the model's beginning-of-sequence token before them, once, if it has one."""
        bos = self.tokenizer.bos_token_id
        return ids if bos is None or ids[:1] == [bos] else [bos, *ids]

    def ids(self, texts: list[str]) -> list[list[int]]:
        """Token ids of texts, nothing added."""
        return self.tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []

    def turns(self, example: Example) -> list[dict[str, str]]:
        """The conversation as a chat template wants it, up to the prompt."""
        return turns_of(example, self.words, chat=bool(self.template), verbatim=self.verbatim)

    def _chat(self, turns: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        _ = self._tried
        try:
            return self._templated(turns, add_generation_prompt)
        except PromptError:
            raise
        except Exception as error:  # templates are programs, and raise whatever
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise PromptError(f"the chat template refuses a user's turn and its answer: {reason}") from None

    @cached_property
    def _tried(self) -> None:
        """Tries the template on a word. Raises PromptError for one that no prompt should be put into."""
        texts = self.template.values() if isinstance(self.template, dict) else [self.template or ""]
        turns = [{"role": "user", "content": "?"}]
        if problem := template_problem(list(texts), lambda: self._templated(turns, True)):
            raise PromptError(f"the chat template {problem}")

    def _templated(self, turns: list[dict[str, str]], add_generation_prompt: bool) -> str:
        """The turns in the template. Raises PromptError after a while, and whatever the template does."""
        late = PromptError(f"the chat template is not done with a prompt in {limits.SECONDS:.0f} s; mend its loops")
        with limits.within_seconds(limits.SECONDS, late):
            return self.tokenizer.apply_chat_template(
                turns,
                chat_template=self.chat_template,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                **NO_TODAY,
            )


def turns_of(
    example: Example, words: Mapping[str, Mapping[str, str]], *, chat: bool, verbatim: bool = False
) -> list[dict[str, str]]:
    """A conversation up to its prompt, each prompt in its task's words: for a chat, or to be put as plain text.

    A prompt is left as it is if `verbatim` is wanted, or it is of a conversation and put as a chat, which says who
    speaks.
    """

    def in_words(prompt: str) -> str:
        if verbatim or (example.conversation and chat):
            return prompt
        return task_prompt(replace(example, prompt=prompt), words)

    turns: list[dict[str, str]] = []
    if example.system and chat:
        turns.append({"role": "system", "content": example.system})
    elif example.system:
        example = with_system_in_prompt(example)
    for earlier in example.history:
        turns.append({"role": "user", "content": in_words(earlier.prompt)})
        turns.append({"role": "assistant", "content": earlier.target})
    return [*turns, {"role": "user", "content": in_words(example.prompt)}]


def as_text(turns: Sequence[Mapping[str, str]]) -> str:
    """Turns as plain text."""
    return "".join(turn["content"] + (BETWEEN_EXEMPLARS if turn["role"] == "assistant" else "") for turn in turns)


def with_system_in_prompt(example: Example) -> Example:
    """The conversation for plain text: what the system says is put before the first prompt."""
    if not example.history:
        return replace(example, system=None, prompt=f"{example.system}\n\n{example.prompt}")
    first, *others = example.history
    opened = first._replace(prompt=f"{example.system}\n\n{first.prompt}")
    return replace(example, system=None, history=(opened, *others))
