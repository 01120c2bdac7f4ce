"""What a recipe says of trainings that follow one another, and of cells that are made of others' weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field

from harness.recipe.mixture_section import Mixture
from harness.recipe.section import Amount, Section
from harness.recipe.training_section import Adapter, Training

Start: TypeAlias = Literal["continue", "fresh", "stack"]
OWN = ".own"
"""Ends what `compose` names of a stacked stage to mean its last adapter alone."""


class Stage(Section):
    """One training of several in order: a cell of its own, named after it.

    Optimizer and schedule begin anew in each stage.
    """

    mixture: Mixture
    """What the stage trains on."""
    training: Training | None = None
    """Keys that differ from the recipe's `training`."""
    adapter: Adapter | None = None
    """Keys that differ from the recipe's `adapter`."""
    start: Start = "continue"
    """What the stage begins with. `continue` goes on with the weights of the stage before, `fresh` begins with the base
    model, and `stack` trains a new adapter on top of those before, which stay as they are; what is evaluated then is
    their sum. The first stage begins with the base model."""
    after: str | None = None
    """The stage that it goes on from, where that is not the one before it in order."""
    replay: Amount = 0
    """How much of each component of the stages that it goes on from is trained on again, in the component's unit: the
    rows that come first there."""


class Stages(Section):
    """Trainings in order, by name; or, with `each: language`, one for every language in `order`, all alike.

    In a component that names no languages, such a stage trains on its own language. A recipe with one training has a
    `mixture` in place of stages.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Stage]  # pyright: ignore[reportIncompatibleVariableOverride]
    order: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The names of the stages in their order; without it they come as they are written."""
    each: Literal["language"] | None = None
    """Makes a stage for every language in `order`, by the keys below."""
    mixture: Mixture | None = None
    """What each of these stages trains on."""
    training: Training | None = None
    """Keys that differ from the recipe's `training`."""
    adapter: Adapter | None = None
    """Keys that differ from the recipe's `adapter`."""
    start: Start = "continue"
    """What each of these stages begins with, as a stage's own `start`."""
    replay: Amount = 0
    """What each of these stages trains on again, as a stage's own `replay`."""
    joint: bool = False
    """Whether each of these stages trains on the languages of those before it too, rather than on its own alone."""

    @property
    def in_order(self) -> dict[str, Stage]:
        """The stages by name."""
        named = self.__pydantic_extra__
        if self.each is None:
            return {name: named[name] for name in self.order if name in named} if self.order else dict(named)
        order, mixture = self.order or (), self.mixture or Mixture.model_validate({})
        return {
            language: Stage(
                mixture=mixture.of_languages(order[: place + 1] if self.joint else (language,)),
                training=self.training,
                adapter=self.adapter,
                start=self.start,
                replay=self.replay,
            )
            for place, language in enumerate(order)
        }


LayerRange: TypeAlias = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(gt=0)]]


class Composition(Section):
    """A cell that is made of the weights of others, and not trained: `sum`, `ties`, or `take` with `layers` of others.

    A stage goes by its name; NAME.own is the last adapter of a stacked stage without those below it.
    """

    sum: dict[str, float] | None = Field(default=None, min_length=1)
    """Stages with the weight of each: what they changed in the base model is added up. Weights may be negative."""
    ties: dict[str, float] | None = Field(default=None, min_length=2)
    """Stages with the weight of each, merged by TIES (arXiv 2306.01708): the largest changes of each are kept, and of
    those that differ in sign the ones of the larger sum are averaged."""
    density: Annotated[float, Field(gt=0, le=1)] = 0.2
    """The share of changes that `ties` keeps of each stage."""
    rank: Annotated[int, Field(gt=0, le=512)] = 64
    """The rank of the adapter that what `ties` makes is brought to, by singular values; the record has the error."""
    take: str | None = None
    """The stage whose weights are taken, but for `layers`."""
    layers: dict[str, tuple[LayerRange, ...]] | None = Field(default=None, min_length=1)
    """Stages with ranges of layers that are theirs instead: [0, 6] is the first six."""

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages that it is made of."""
        named = [*(self.sum or {}), *(self.ties or {}), *filter(None, [self.take]), *(self.layers or {})]
        return tuple(dict.fromkeys(name.removesuffix(OWN) for name in named))


def predecessors(stages: Mapping[str, Stage]) -> dict[str, str | None]:
    """Stage → the one that it goes on from; None where it begins with the base model."""
    before: dict[str, str | None] = {}
    last = None
    for name, stage in stages.items():
        before[name] = None if stage.start == "fresh" else stage.after or last
        last = name
    return before


def ancestors(stages: Mapping[str, Stage], name: str) -> list[str]:
    """The stages that one goes on from, the first one first."""
    before, chain = predecessors(stages), list[str]()
    while (earlier := before.get(name)) is not None and earlier not in chain:
        chain.append(earlier)
        name = earlier
    return chain[::-1]
