"""Revisions of a public suite of checkpoints: chosen by a pattern, and the steps that their names tell."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import Field

from harness.recipe.section import Section

STEP = re.compile(r"(?:^|[-_])(?:step-?|global_step|iter_)0*(\d+)(?!\d)")
"""How suites name steps: stage1-step-40000, step1000-tokens4B, global_step1000, iter_0124800."""


TOKENS = re.compile(r"tokens(\d+(?:\.\d+)?)([BT])")
"""How some tell tokens beside: step2627139-tokens15T, step1000-tokens4B."""


class Revisions(Section):
    """Branches and tags of a Hugging Face repository whose names match a pattern and tell a step."""

    pattern: Annotated[str, Field(min_length=1)]
    """What their names match, such as `stage1-step-*`."""
    take: Annotated[int, Field(ge=2, le=1000)] | None = None
    """How many of them, the first and the last among them; by default all."""
    spacing: Literal["linear", "log"] = "linear"
    """How those that are taken are spread over the steps."""

    def chosen(self, names: Iterable[str]) -> list[str]:
        """The names that match, and of these as many as are to be taken, by step."""
        steps = {
            name: step for name in names if fnmatchcase(name, self.pattern) and (step := step_of(name)) is not None
        }
        matching = sorted(steps, key=lambda name: (steps[name], name))
        if self.take is None or self.take >= len(matching):
            return matching
        positions = [self._position(steps[name]) for name in matching]
        first, last = positions[0], positions[-1]
        wanted = [first + (last - first) * number / (self.take - 1) for number in range(self.take)]
        places: list[int] = []
        for number, position in enumerate(wanted):
            lowest = places[-1] + 1 if places else 0
            highest = len(matching) - (self.take - number)
            places.append(min(range(lowest, highest + 1), key=lambda place: abs(positions[place] - position)))
        return [matching[place] for place in places]

    def _position(self, step: int) -> float:
        """Where a step stands; on a logarithmic scale 0 stands beside 1."""
        return math.log(max(step, 0.5)) if self.spacing == "log" else float(step)


def tokens_of(name: str) -> float | None:
    """The tokens, in billions, that the name of a revision tells; None where it tells none."""
    told = TOKENS.search(name)
    return float(told[1]) * {"B": 1, "T": 1000}[told[2]] if told else None


def step_of(name: str) -> int | None:
    """The step that the name of a revision tells; None where it tells none."""
    told = STEP.search(name)
    return int(told[1]) if told else None
