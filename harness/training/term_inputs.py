"""What terms beside the likelihood are computed of: texts in batches, and the model as it was."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from data_mixes.order import seeded_order
from harness.recipe.objectives_section import Reference
from harness.training.pooled import retrieval_by_layer


class Beginning:
    """What a cell begins with: the weights that learn, as they are now, and the base model below an adapter."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.weights = {name: weight.detach().clone() for name, weight in self.learning().items()}

    def learning(self) -> dict[str, Any]:
        """The weights that learn, by name."""
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}

    def as_it_was(self, to: Reference) -> AbstractContextManager[Any]:
        """The model as the cell began, or as the base model, while the block lasts."""
        return self.model.disable_adapter() if to == "base" else self._swapped()

    @contextmanager
    def _swapped(self) -> Generator[None]:
        now = {name: weight.data for name, weight in self.learning().items()}
        for name, weight in self.learning().items():
            weight.data = self.weights[name]
        try:
            yield
        finally:
            for name, weight in self.learning().items():
                weight.data = now[name]


class Texts:
    """The texts, or pairs of them, of a term: those to learn from in batches, and those held out."""

    def __init__(self, file: Path, first: int, seed: int) -> None:
        """`first` is how many tokens begin a text, and are not of it."""
        rows: list[Any] = list(Dataset.from_file(str(file)))
        self.learned = [row for row in rows if not row["held_out"]]
        self.first, self._seed = first, seed
        self.held_out: dict[str, list[Any]] = {}
        for row in rows:
            if row["held_out"]:
                self.held_out.setdefault(row["languages"], []).append((row["first"], row["second"]))

    def batch(self, size: int, step: int) -> list[Any]:
        """The rows of a step, from 0: all rows in turn, each time in another order."""
        count = len(self.learned)
        places = range(step * min(size, count), (step + 1) * min(size, count))
        keys = np.arange(count, dtype=np.uint64)
        orders = {turn: seeded_order(keys, f"{self._seed} {turn}") for turn in {place // count for place in places}}
        return [self.learned[orders[place // count][place % count]] for place in places]

    def retrieval(self, model: Any) -> dict[str, list[float]]:
        """Pair of languages → how often held-out translations are found, by layer."""
        return {languages: retrieval_by_layer(model, pairs, self.first) for languages, pairs in self.held_out.items()}
