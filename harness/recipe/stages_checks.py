"""Whether the stages of a recipe can follow one another, and whether its composed cells can be made of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from harness.errors import Problem, suggestion
from harness.recipe.schema import STAGE, Recipe
from harness.recipe.stages import adapter_of, training_of
from harness.recipe.stages_section import OWN, Composition, Stage, Stages, predecessors

LARGEST_RANK = 512
"""What vLLM serves."""


def check_stages(recipe: Recipe) -> list[Problem]:
    """All mistakes in `stages` and `compose`."""
    if recipe.stages is None:
        told = "needs stages, whose weights it puts together; add them, or remove the key"
        return [Problem("compose", told)] if recipe.compose else []
    problems = list(_form_problems(recipe, recipe.stages))
    if problems:
        return problems
    stages = recipe.stages.in_order
    if problems := [problem for name in stages for problem in _order_problems(recipe, stages, name)]:
        return problems
    problems = [problem for name in stages for problem in _link_problems(recipe, stages, name)]
    problems += [
        Problem(f"compose.{name}", f"a stage is called {name!r} too; call the cell otherwise")
        for name in recipe.compose
        if name in stages
    ]
    if not problems:
        problems = [problem for name in recipe.compose for problem in _composition_problems(recipe, stages, name)]
    return problems


def _form_problems(recipe: Recipe, given: Stages) -> Iterator[Problem]:
    """Keys that exclude each other, or are missing."""
    if recipe.ingredients:
        yield Problem("mixture", "a recipe with stages names the components of each stage; give one of both")
    if STAGE in recipe.grid:
        yield Problem(f"grid.{STAGE}", "stages are an axis of this name already; call yours otherwise")
    if recipe.training.keep != "weights":
        yield Problem("training.keep", "stages go on from the weights of others, which have to stay; remove the key")
    if recipe.reinitialised:
        yield Problem("model.reinitialise", "goes with one training alone; remove it, or stages")
    named = [*given.__pydantic_extra__]
    if given.each:
        yield from (Problem(f"stages.{key}", f"missing; each: {given.each} needs it")
                    for key in ("order", "mixture") if getattr(given, key) is None)  # fmt: skip
        yield from (Problem(f"stages.{name}", "each: language makes the stages; remove one of both") for name in named)
    else:
        alike = given.model_fields_set - {"order", *named}
        yield from (Problem(f"stages.{key}", "goes with each: language; give it in a stage, or add each")
                    for key in sorted(alike))  # fmt: skip
        if not named:
            yield Problem("stages", "names no stage; see recipes/continual.yaml")
        elif given.order is not None and {*given.order} != {*named}:
            yield Problem("stages.order", f"got {', '.join(given.order)}; name each stage once: {', '.join(named)}")
    if given.order is not None and len({*given.order}) < len(given.order):
        yield Problem("stages.order", f"got {', '.join(given.order)}; each stage comes once")


def _where(recipe: Recipe, name: str) -> str:
    """The key of a stage."""
    return "stages" if recipe.stages and recipe.stages.each else f"stages.{name}"


def _order_problems(recipe: Recipe, stages: dict[str, Stage], name: str) -> Iterator[Problem]:
    """Stages that a stage is to come after, and does not."""
    stage, earlier, where = stages[name], list(stages)[: list(stages).index(name)], _where(recipe, name)
    if stage.after is not None and stage.start == "fresh":
        yield Problem(f"{where}.after", "a fresh stage begins with the base model; remove after, or start")
    elif stage.after is not None and stage.after not in earlier:
        yield Problem(f"{where}.after", f"no stage {stage.after!r} comes before; {suggestion(stage.after, earlier)}")
    if stage.replay and stage.start == "fresh":
        yield Problem(f"{where}.replay", "a fresh stage goes on from none whose rows could come again; remove the key")


def _link_problems(recipe: Recipe, stages: dict[str, Stage], name: str) -> Iterator[Problem]:
    """Why a stage cannot begin with the weights of the one before it."""
    stage, where, before = stages[name], _where(recipe, name), predecessors(stages)[name]
    method = training_of(recipe, stage).method
    if stage.start == "stack" and method == "full":
        yield Problem(f"{where}.start", "stack puts an adapter on top of others, and method: full trains none")
    if before is None:
        return
    if method != training_of(recipe, stages[before]).method:
        yield Problem(f"{where}.training.method", f"got {method}, and {before!r} is trained otherwise; use one method")
    own, other = adapter_of(recipe, stage), adapter_of(recipe, stages[before])
    shape = ("targets", "layers") if stage.start == "stack" else ("rank", "alpha", "targets", "layers")
    yield from (
        Problem(f"{where}.adapter.{key}", f"got {getattr(own, key)}, and {before!r}, which it goes on from, has "
                f"{getattr(other, key)}; use the same")
        for key in shape if method == "lora" and getattr(own, key) != getattr(other, key)
    )  # fmt: skip
    if stage.start == "continue" and _is_stacked(stages, before) and method == "lora":
        message = f"{before!r} is a stack, and a sum of adapters is not trained on; use start: stack"
        yield Problem(f"{where}.start", message)
    if stage.start == "stack" and _rank(recipe, stages, name) > LARGEST_RANK:
        yield Problem(f"{where}.adapter.rank", f"the stack has rank {_rank(recipe, stages, name)}, and vLLM serves "
                      f"{LARGEST_RANK}; use smaller ones")  # fmt: skip


def _composition_problems(recipe: Recipe, stages: dict[str, Stage], name: str) -> Iterator[Problem]:
    """Why a composed cell cannot be made."""
    made, where = recipe.compose[name], f"compose.{name}"
    if sum(way is not None for way in (made.sum, made.ties, made.take)) != 1:
        yield Problem(where, "give either sum, or ties, or take with layers")
        return
    if made.ties is None:
        yield from (Problem(f"{where}.{key}", "goes with ties; remove it")
                    for key in ("density", "rank") if key in made.model_fields_set)  # fmt: skip
    if (made.take is None) != (made.layers is None):
        yield Problem(where, "take and layers go together: take: STAGE, layers: {OTHER: [[0, 6]]}")
    unknown = [stage for stage in made.stages if stage not in stages]
    yield from (Problem(where, f"no stage {stage!r}; {suggestion(stage, stages)}") for stage in unknown)
    if unknown:
        return
    yield from _part_problems(where, made, stages)
    methods = {training_of(recipe, stages[stage]).method for stage in made.stages}
    adapters = [adapter_of(recipe, stages[stage]) for stage in made.stages]
    if len(methods) > 1:
        yield Problem(where, "is of adapters and of fully tuned models; use stages of one method")
    elif methods == {"lora"} and len({(adapter.targets, adapter.layers) for adapter in adapters}) > 1:
        yield Problem(where, "its stages have different adapter.targets or layers; use the same for all of them")
    rank = sum(_rank(recipe, stages, stage) for stage in made.sum or {})
    if methods == {"lora"} and rank > LARGEST_RANK:
        yield Problem(where, f"has the rank {rank}, and vLLM serves {LARGEST_RANK}; use smaller ones")


def _part_problems(where: str, made: Composition, stages: dict[str, Stage]) -> Iterator[Problem]:
    """Parts that a stage does not have, and ranges of layers that hold none or come twice."""
    for part in (*(made.sum or {}), *(made.ties or {}), *filter(None, [made.take]), *(made.layers or {})):
        if part.endswith(OWN) and stages[part.removesuffix(OWN)].start != "stack":
            yield Problem(where, f"{part!r}: the adapter of a stage that is no stack is its own; leave out {OWN}")
    ranges = sorted(span for spans in (made.layers or {}).values() for span in spans)
    yield from (Problem(f"{where}.layers", f"[{first}, {end}] holds no layer; [0, 6] is the first six")
                for first, end in ranges if first >= end)  # fmt: skip
    if any(earlier[1] > later[0] for earlier, later in pairwise(ranges)):
        yield Problem(f"{where}.layers", "a layer is named twice; each is taken from one stage")


def _is_stacked(stages: dict[str, Stage], name: str) -> bool:
    """Whether a stage is a sum of adapters: one on top of another."""
    return stages[name].start == "stack" and predecessors(stages)[name] is not None


def _rank(recipe: Recipe, stages: dict[str, Stage], part: str) -> int:
    """The rank of a stage's adapter, what it is stacked on included."""
    name = part.removesuffix(OWN)
    rank = adapter_of(recipe, stages[name]).rank
    below = predecessors(stages)[name] if stages[name].start == "stack" and not part.endswith(OWN) else None
    return rank + (_rank(recipe, stages, below) if below else 0)
