"""The stages of a recipe, each as the recipe of one training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.recipe.mixture_section import Ingredient, Mixture
from harness.recipe.schema import Adapter, Recipe, Training
from harness.recipe.stages_section import Composition, Stage, Start, ancestors, predecessors

LENGTHS = ("epochs", "steps", "supervised_tokens")


@dataclass(frozen=True, slots=True)
class Staged:
    """Which stage of a recipe a cell is, or what it is made of."""

    name: str
    start: Start | Literal["made"]
    parents: Mapping[str, str]
    """Stages that must be there first, each with the name of its cell."""
    order: tuple[str, ...]
    """All stages of the recipe that are trained, in their order."""
    by_language: bool
    """Whether these are called by the languages that they train on."""
    given: Mapping[str, Any]
    """Of the recipe's `stages` and `compose` what it depends on, for what cells differ in."""
    made_of: Composition | None = None
    writers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Generated sources of its rows that stages write, each with the name of that stage's cell."""


def one_stage(recipe: Recipe, name: str) -> Recipe:
    """The recipe of one stage, as if it were all of it: with its own mixture, training and adapter."""
    assert recipe.stages is not None
    stages = recipe.stages.in_order
    stage = stages[name]
    training = training_of(recipe, stage)
    if not ancestors(stages, name):  # nothing came before
        objectives = training.objectives.without(training.objectives.of_before)
        training = training.model_copy(update={"objectives": objectives})
    mixture = replayed(stages, name, training)
    if "seed" not in mixture.model_fields_set and "seed" in recipe.mixture.model_fields_set:
        mixture = mixture.model_copy(update={"seed": recipe.mixture.seed})
    own = {"mixture": mixture, "training": training, "adapter": adapter_of(recipe, stage)}
    return without_stages(recipe, own)


def nothing_trained(recipe: Recipe) -> Recipe:
    """The recipe of a cell that is composed."""
    return without_stages(recipe, {"mixture": Mixture.model_validate({})})


def without_stages(recipe: Recipe, own: Mapping[str, Any]) -> Recipe:
    """The recipe of a single cell."""
    kept = {**{name: getattr(recipe, name) for name in Recipe.model_fields}, **own, "stages": None, "compose": {}}
    return Recipe.model_construct((recipe.model_fields_set | own.keys()) - {"stages", "compose"}, **kept)


def training_of(recipe: Recipe, stage: Stage) -> Training:
    """A stage's training: the recipe's, with the stage's own keys. One length takes the place of another."""
    return Training.model_validate(merged(recipe.training, stage.training))


def adapter_of(recipe: Recipe, stage: Stage) -> Adapter:
    """A stage's adapter: the recipe's, with the stage's own keys."""
    return Adapter.model_validate(merged(recipe.adapter, stage.adapter))


def merged(common: Training | Adapter, own: Training | Adapter | None) -> dict[str, Any]:
    """The keys that the recipe gives for all stages, with a stage's own in their place."""
    given, changed = (section.model_dump(exclude_unset=True) if section else {} for section in (common, own))
    if not changed.keys().isdisjoint(LENGTHS):
        given = {key: value for key, value in given.items() if key not in LENGTHS}
    return given | changed


def replayed(stages: Mapping[str, Stage], name: str, training: Training) -> Mixture:
    """A stage's mixture, with the first rows of the components of the stages that it goes on from.

    They stand first, so that they take the rows that come first in their sources, as they did in their own stage. So do
    those that are only there to say which weights matter to them.
    """
    stage, ewc = stages[name], training.objectives.active.ewc
    if not stage.replay and not ewc:
        return stage.mixture
    earlier = {
        f"{before}-{component}": part
        for before in ancestors(stages, name)
        for component, part in stages[before].mixture.ingredients.items()
        if part.only_for is None
    }
    again = {f"replay-{key}": replayed_part(part, stage.replay) for key, part in earlier.items() if stage.replay}
    if ewc:
        again |= {f"ewc-{key}": replayed_part(part, ewc.rows).model_copy(update={"only_for": "ewc"})
                  for key, part in earlier.items()}  # fmt: skip
    whole = stage.mixture.model_dump(exclude_unset=True, exclude={*stage.mixture.ingredients})
    return Mixture.model_validate(whole | again | stage.mixture.ingredients)


def replayed_part(part: Ingredient, amount: int) -> Ingredient:
    """A component with no more than so much of it."""
    key = "total" if part.amount is None else "amount"
    return part.model_copy(update={key: min(amount, getattr(part, key) or 0)})


def stages_before(recipe: Recipe, name: str) -> tuple[str, ...]:
    """The stages that must be trained before one, or before a composed cell can be made."""
    assert recipe.stages is not None
    if name in recipe.compose:
        return recipe.compose[name].stages
    return tuple(filter(None, [predecessors(recipe.stages.in_order)[name]]))


def stages_that_write(recipe: Recipe, name: str) -> dict[str, str]:
    """Generated source → the stage that writes it, of the sources that a stage trains on."""
    assert recipe.stages is not None
    stages = recipe.stages.in_order
    parts = one_stage(recipe, name).ingredients.values() if name in stages else ()
    used = {source for part in parts for source in part.sources}
    return {source: given.by for source, given in recipe.generated.items() if source in used and given.by in stages}


def is_last(recipe: Recipe, name: str) -> bool:
    """Whether no stage comes after this one in order."""
    assert recipe.stages is not None
    return list(recipe.stages.in_order)[-1] == name


def stated(recipe: Recipe, name: str) -> dict[str, Any]:
    """What a recipe says of stages that a cell depends on: its own, and those before it; keys that cells may differ in.

    `name` is a stage, or a composed cell.
    """
    assert recipe.stages is not None
    stages = recipe.stages.in_order
    own = recipe.compose[name].stages if name in recipe.compose else (name,)
    needed = {*own, *(earlier for stage in own for earlier in ancestors(stages, stage))}
    given = recipe.model_dump(mode="json", include={"stages", "compose"}, exclude_unset=True)
    compose = {cell: made for cell, made in given.get("compose", {}).items() if cell == name}
    kept = {key: told for key, told in given["stages"].items() if key not in stages or key in needed}
    return {"stages": kept, **({"compose": compose} if compose else {})}
