"""What a recipe says of rows whose targets a model writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from data_mixes.generated import GeneratedSource
from data_mixes.mixture import Component, ItemPolicy
from data_mixes.pairs import Variant
from data_mixes.source import Source
from harness.recipe.section import PositiveInt, Section, Written

BASE_MODEL = "base"
"""What `by` calls the base model."""
Share = Annotated[float, Field(gt=0, le=1)]


class GeneratedPrompts(Section):
    """The prompts that are put to the model: training rows of a source, whose own targets are hidden."""

    source: str
    """The source of the prompts."""
    languages: tuple[str, ...] = Field(min_length=1)
    """The languages that it is asked in."""
    amount: PositiveInt
    """How many prompts in each language: the first of those that a component of the mixture would take."""
    items: ItemPolicy | None = None
    """Which items the languages take, as in a component of the mixture."""


class Keep(Section):
    """Which of the answers become targets. Each that does not is counted, by language and reason."""

    agree: Share | None = None
    """The least share of a prompt's completions that come to the same answer, which the target is then one of; of math
    problems alone, whose answers are read."""
    language: bool = False
    """Whether an answer that is told to be in another language than asked is left out; one too short to tell stays."""
    most_likely: Share | None = None
    """The share of each language's targets that are kept: those whose tokens are on average likeliest to the model."""


class Generated(Section):
    """A source of rows whose targets a model writes, before the stages that train on them begin."""

    by: str
    """Who writes them: a stage that comes earlier, `base` for the base model, or one of `models`."""
    prompts: GeneratedPrompts
    """What it is asked."""
    samples: Annotated[int, Field(ge=0, le=1024)] = 0
    """How many completions are drawn of each prompt, beside the greedy one."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 0.7
    """What logits are divided by before a token is drawn."""
    max_tokens: Written | None = None
    """The longest completion in tokens; by default that of the task's tests. One that is cut off is left out."""
    keep: Keep = Keep()
    """Which of the answers become targets; without it all that end by themselves and are not empty."""
    short: Literal["refuse", "allow"] = "refuse"
    """What happens where fewer rows are kept than a component asks for: the error names the largest amount, or with
    `allow` the component takes what there is, which the plan and the cell's identity record."""

    def made(self, name: str, sources: Mapping[str, Source], seed: int) -> GeneratedSource:
        """The source, before it is known which model writes it; `seed` draws the prompts."""
        given = self.prompts
        variants = tuple(map(Variant, given.languages))
        prompts = Component(
            f"generated.{name}.prompts", [sources[given.source]], variants, given.amount, items=given.items
        )
        return GeneratedSource(name, prompts, seed, self.short == "allow")
