"""What a recipe says of rows that are no prompt and answer: their form, and the lexicons that switch words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from data_mixes.makers.lexicons import FileLexicon, LearnedLexicon, Lexicon
from data_mixes.makers.maker import Maker, Of, PairMaker, RestoreMaker, SwitchMaker, TextMaker
from data_mixes.makers.switching import Switching
from data_mixes.source import Source
from harness.recipe.section import Section

Share = Annotated[float, Field(ge=0, le=1)]
Names = Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
"""Not strict: where a form may be a name alone, lists come as lists of Python's."""
MOST_ROWS = 20_000
"""Rows that a lexicon may be learned from: all that stand in one sentence and its translation are counted in memory."""


class TextRows(Section):
    """A text alone, every token of which is learned; neither words nor a chat template are put around it."""

    of: Of = "prompt"
    """Which text: the example's prompt, as a question or an article, or its target."""


class PairRows(Section):
    """The prompts of two translations of an item, one after the other: `prompts_in` first, then `answers_in`."""

    order: Literal["given", "both"] = "given"
    """`both` makes a second row of each pair, the other way round."""
    loss: Literal["both", "second"] = "both"
    """Which of the texts are learned."""
    separator: str = "\n"
    """What stands between them, without a loss."""


class RestoreRows(Section):
    """A text with words in other languages as the prompt, and the text as it was as the target."""

    share: Share
    """The share of all words that is to be switched, rounded up in each text; words without an entry stay."""
    into: Names
    """Languages of the words: of each text one, other than its own."""
    of: Of = "prompt"
    """Which text: the example's prompt or its target."""
    spans: Annotated[float, Field(gt=0, le=100)] | None = None
    """The mean length of spans whose words are switched together, drawn from a Poisson distribution without 0, as 3.5
    in mBART; by default each word is switched for itself."""


class SwitchRows(Section):
    """Examples with some words in other languages."""

    share: Share
    """The share of all words that is to be switched, rounded up in each text; words without an entry stay."""
    into: Names
    """Languages of the words: of each text one, other than its own."""
    of: Literal["prompt", "target", "text"] = "prompt"
    """Where: in the example's prompt, or its target; or in its prompt as a text alone, of which what is read is
    switched, and not what is learned."""


class RowMaker(Section):
    """How rows are made of a component's examples: one of the following."""

    text: TextRows | None = None
    """A text alone."""
    pair: PairRows | None = None
    """A text and its translation, one after the other."""
    restore: RestoreRows | None = None
    """A text with words in other languages, to be written in its own."""
    switch: SwitchRows | None = None
    """The task's own rows, or their texts, with words in other languages."""

    @property
    def switching(self) -> RestoreRows | SwitchRows | None:
        """What of it switches words."""
        return self.restore or self.switch

    def maker(self, seed: int, lexicons: Iterable[Lexicon]) -> Maker:
        """What makes the rows, with those of the lexicons that it needs."""
        if self.text:
            return TextMaker(self.text.of)
        if self.pair:
            return PairMaker(self.pair.loss, self.pair.separator)
        assert self.switching
        spans = self.restore.spans if self.restore else None
        switching = Switching(self.switching.share, self.switching.into, tuple(lexicons), seed, spans)
        if self.restore:
            return RestoreMaker(switching, self.restore.of)
        assert self.switch
        return SwitchMaker(switching, self.switch.of)


class LexiconSettings(Section):
    """Translations of words between the two languages that its name says, as en-es: a file, or learned."""

    file: Annotated[str, Field(min_length=1)] | None = None
    """A file in MUSE's format: a word and its translation to the line."""
    learned_from: str | tuple[str, ...] | None = None
    """A source with translations, or several, whose training rows teach which words translate which (IBM model 1)."""
    rows: Annotated[int, Field(gt=0, le=MOST_ROWS)] = 2000
    """How many rows of each source it is learned from."""

    @property
    def teachers(self) -> tuple[str, ...]:
        """The sources that it is learned from."""
        return (self.learned_from,) if isinstance(self.learned_from, str) else self.learned_from or ()

    def made(self, name: str, languages: tuple[str, str], sources: Mapping[str, Source]) -> Lexicon:
        """The lexicon, the same object for the same settings."""
        if self.file is not None:
            return _file_lexicon(name, languages, self.file)
        return _learned_lexicon(name, languages, tuple(sources[source] for source in self.teachers), self.rows)


@lru_cache(maxsize=64)
def _file_lexicon(name: str, languages: tuple[str, str], file: str) -> Lexicon:
    return FileLexicon(name, languages, Path(file))


@lru_cache(maxsize=64)
def _learned_lexicon(name: str, languages: tuple[str, str], sources: tuple[Source, ...], rows: int) -> Lexicon:
    return LearnedLexicon(name, languages, sources, rows)


def languages_of(name: str, known: Iterable[str]) -> tuple[str, str] | None:
    """The two languages in the name of a lexicon, as en and zh-Hant of en-zh-Hant; None where it does not say which."""
    codes, parts = {*known}, name.split("-")
    cuts = [("-".join(parts[:cut]), "-".join(parts[cut:])) for cut in range(1, len(parts))]
    found = [(first, second) for first, second in cuts if {first, second} <= codes and first != second]
    return found[0] if len(found) == 1 else None
