"""What was measured of the layers of a study's models, for a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True, slots=True)
class Layers:
    """What was measured of the layers of the models there are now."""

    similarity: pl.DataFrame = field(default_factory=pl.DataFrame)
    """The columns of similarity.csv."""
    probes: pl.DataFrame = field(default_factory=pl.DataFrame)
    """The columns of probe.csv."""
    steps: Mapping[str, Mapping[int, Sequence[str]]] = field(default_factory=dict[str, Mapping[int, Sequence[str]]])
    """Setting → step → the models that its runs were after it, the untuned one first."""

    @property
    def on_the_way(self) -> set[str]:
        """The models that are steps of others."""
        return {model for models in self.steps.values() for step in models.values() for model in step if "@" in model}
