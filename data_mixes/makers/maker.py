"""What a row is made of an example: its text alone, two texts, or a text with words of other languages."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_mixes.example import Example, Span, to_table
from data_mixes.makers.switching import Mixed, Switching
from data_mixes.source import Pool

TEXT, PAIR, RESTORE = "text", "pair", "restore"
"""Tasks of rows that are no task of a source."""
BATCH = 4096
Of: TypeAlias = Literal["prompt", "target"]
"""Which text of an example is taken: what the source calls prompt, or the answer."""


class Maker(ABC):
    """Makes a row of each example. It is a value: equal ones make equal rows."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What tells rows made so from others, in words."""

    @abstractmethod
    def made(self, example: Example) -> Example:
        """The row, under the example's id."""

    def task(self, task: str) -> str:
        """The task of rows made of examples of a task."""
        return task

    @property
    def switches(self) -> Switching | None:
        """How it switches words, if it does."""
        return None

    def mixed(self, example: Example) -> Mixed | None:
        """The text that it switches words of, if it does."""
        return None


@dataclass(frozen=True)
class TextMaker(Maker):
    """A text without a prompt; every token of it is learned, and where it ends."""

    of: Of = "prompt"

    @property
    def name(self) -> str:
        """E.g. "text"."""
        return TEXT if self.of == "prompt" else f"{TEXT} of {self.of}"

    def task(self, task: str) -> str:
        """A task of its own."""
        return TEXT

    def made(self, example: Example) -> Example:
        """The text."""
        text = text_of(example, self.of)
        return plain_row(example, TEXT, "", text, (Span(text),))


@dataclass(frozen=True)
class PairMaker(Maker):
    """A text and its translation, one after the other; of both, or of the second alone, every token is learned.

    A proxy for translation language modelling (VECO, arXiv 2010.16046) in causal models: the second text is written
    with the whole first one in view. Examples are translations: prompt and target are the two texts.
    """

    loss: Literal["both", "second"] = "both"
    separator: str = "\n"

    @property
    def name(self) -> str:
        """E.g. "pair"."""
        apart = "" if self.separator == "\n" else f", apart by {self.separator!r}"
        return PAIR + (" learned in the second" if self.loss == "second" else "") + apart

    def task(self, task: str) -> str:
        """A task of its own."""
        return PAIR

    def made(self, example: Example) -> Example:
        """The two texts."""
        spans = (Span(example.prompt, self.loss == "both"), Span(self.separator, False), Span(example.target))
        return plain_row(example, PAIR, example.prompt, example.target, spans)


@dataclass(frozen=True)
class LabelledMaker(Maker):
    """A prompt and its target as two texts, both learned: what the one is like is compared with what the other is."""

    @property
    def name(self) -> str:
        """What it makes."""
        return "prompt and target"

    def task(self, task: str) -> str:
        """A task of its own."""
        return PAIR

    def made(self, example: Example) -> Example:
        """The two texts."""
        return PairMaker().made(example)


@dataclass(frozen=True)
class RestoreMaker(Maker):
    """A prompt with some words in other languages, to be written again in its own (arXiv 2204.07834)."""

    switching: Switching
    of: Of = "prompt"

    @property
    def name(self) -> str:
        """E.g. "restore 0.35 into en, es"."""
        return f"{RESTORE} {share_in_words(self.switching)}" + ("" if self.of == "prompt" else f" of {self.of}")

    def task(self, task: str) -> str:
        """A task of its own."""
        return RESTORE

    @property
    def switches(self) -> Switching:
        """How it switches words."""
        return self.switching

    def mixed(self, example: Example) -> Mixed:
        """The text with words of other languages."""
        language = example.language if self.of == "target" else example.prompt_language or example.language
        return self.switching.mixed(text_of(example, self.of), language, example.id)

    def made(self, example: Example) -> Example:
        """The mixed text as the prompt, and the text as it was."""
        return plain_row(example, RESTORE, self.mixed(example).text, text_of(example, self.of))


@dataclass(frozen=True)
class SwitchMaker(Maker):
    """Words of other languages in a task's prompt or answer, or in a plain text that is to be learned without them.

    Of `text`, what the model reads has the other word, and what it learns to write there is the first token of the
    word that it stands for (PreAlign's input-only code-switching, arXiv 2407.16222).
    """

    switching: Switching
    of: Literal["prompt", "target", "text"] = "prompt"

    @property
    def name(self) -> str:
        """E.g. "switch 0.35 into en, es"."""
        return f"switch {share_in_words(self.switching)}" + ("" if self.of == "prompt" else f" of {self.of}")

    def task(self, task: str) -> str:
        """The examples' own, unless their text alone is learned."""
        return TEXT if self.of == "text" else task

    @property
    def switches(self) -> Switching:
        """How it switches words."""
        return self.switching

    def mixed(self, example: Example) -> Mixed:
        """The text with words of other languages."""
        text = example.target if self.of == "target" else example.prompt
        return self.switching.mixed(text, example.language, example.id)

    def made(self, example: Example) -> Example:
        """The example with the mixed text, or that text alone."""
        mixed = self.mixed(example)
        if self.of == "text":
            return plain_row(example, TEXT, "", example.prompt, spans_of(mixed))
        return dataclasses.replace(example, **{self.of: mixed.text})


def spans_of(mixed: Mixed) -> tuple[Span, ...]:
    """The spans of a mixed text, in whose switched words the first token of the original one is learned.

    A space before such a word belongs to it, as tokenizers have it.
    """
    spans: list[Span] = []
    for piece in mixed.pieces:
        if piece.original is None:
            joined = spans.pop().text if spans and spans[-1].instead is None else ""
            spans.append(Span(joined + piece.text))
        else:
            before = spans[-1].text if spans and spans[-1].instead is None else ""
            space = " " if before.endswith(" ") else ""
            if space:
                spans[-1] = Span(before[:-1])
            spans.append(Span(space + piece.text, False, space + piece.original))
    return tuple(span for span in spans if span.text) or (Span(""),)


def text_of(example: Example, of: Of) -> str:
    """One of an example's texts."""
    return example.prompt if of == "prompt" else example.target


def plain_row(example: Example, task: str, prompt: str, target: str, spans: tuple[Span, ...] = ()) -> Example:
    """A row of an example in another form, without what its own task says."""
    return dataclasses.replace(
        example,
        task=task,
        prompt=prompt,
        target=target,
        answer=None,
        constraints=(),
        history=(),
        conversation=False,
        system=None,
        spans=spans,
    )


def share_in_words(switching: Switching) -> str:
    """E.g. "0.35 into en, es"."""
    together = "" if switching.spans is None else f" in spans of {switching.spans:g}"
    return f"{switching.share:g}{together} into {', '.join(switching.into)}"


class MadePool(Pool):
    """The rows that a maker makes of a pool's."""

    def __init__(self, base: Pool, maker: Maker, variant: str) -> None:
        self.base, self.maker, self.variant = base, maker, variant
        seed = f" under {maker.switches.seed}" if maker.switches else ""
        self.name, self.source = f"{base.name} as {maker.name}{seed}", base.source
        self.language, self.items, self.task = base.language, base.items, maker.task(base.task)

    @property
    def originals(self) -> Pool:
        """The examples that the rows are made of."""
        return self.base

    def tables(self, places: NDArray[np.int64]) -> Iterator[pa.Table]:
        """The rows at the places, as Arrow."""
        for start in range(0, len(places), BATCH):
            yield to_table(map(self.maker.made, self.base.examples(places[start : start + BATCH])))
