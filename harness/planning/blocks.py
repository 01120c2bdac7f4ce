"""Whether a model has the decoder blocks that cells begin anew, or put adapters on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.errors import Problem
from harness.models.base import load_config
from harness.planning.bases import Base
from harness.planning.problems import problems_of
from harness.recipe.grid import Cell


def block_problems(cells: Sequence[Cell], base_of: Callable[[Cell], Base]) -> list[Problem]:
    """Blocks that a base model does not have, and a control that leaves no place for what is begun anew."""
    problems: list[Problem] = []
    depths: dict[str, int] = {}
    for cell in cells:
        new, adapter, base = cell.recipe.reinitialised, cell.recipe.adapter.layers, base_of(cell)
        if new is None and adapter is None:
            continue
        if base.name not in depths:
            wrong = problems_of(lambda base=base, depths=depths: depths.setdefault(base.name, depth_of(base)))
            if wrong:
                return wrong
        depth = depths[base.name]
        for where, layers in (("model.reinitialise.layers", new and new.layers), ("adapter.layers", adapter)):
            if layers and layers[1] > depth:
                message = f"got {list(layers)}; {base.settings.name} has blocks 0 to {depth - 1}, so up to [0, {depth}]"
                problems.append(Problem(where, message))
        if new and new.elsewhere and new.layers == (0, depth):
            problems.append(Problem("model.reinitialise.elsewhere", "there are no other blocks; name fewer in layers"))
    return list(dict.fromkeys(problems))


def depth_of(base: Base) -> int:
    """How many decoder blocks a model has. Raises UserError where its configuration cannot be loaded."""
    config = load_config(base.files.location, base.files.revision, base.settings.trust_remote_code, base.where)
    return int(config.get_text_config().num_hidden_layers)
