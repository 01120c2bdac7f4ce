"""A term of the user's own beside the likelihood: a function of a file that the recipe names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch

from harness.errors import Problem, UserError
from harness.models.reinitialise import blocks_of
from harness.recipe.objectives_section import OWN_TERM, Layer, Own
from harness.recipe.own_code import own_loss
from harness.training.pooled import layer_number, pooled_states
from harness.training.term_inputs import Beginning, Texts

Of = Literal["now", "base", "beginning"]


class Batch:
    """The rows of a step, as a term of one's own is given them."""

    def __init__(self, model: Any, rows: Sequence[Any], first: int, beginning: Beginning) -> None:
        self._model, self._rows, self._first, self._beginning = model, rows, first, beginning
        self.items: list[str] = [row["item"] for row in rows]
        """The id of each row's item, which its translations share."""
        self.languages: list[str] = [row["languages"] for row in rows]
        """The language of each row; of a pair both, as in en>fr."""

    def states(self, layer: Layer, side: Literal["first", "second"] = "first", of: Of = "now") -> torch.Tensor:
        """The mean state of each text after a block: rows × width, in float32.

        `layer` is the block's number from 1, or a share of all. `side` is which of a pair's texts. Those of the model
        as it is `now` have gradients; of the `base` model and of what the cell had at its `beginning` they have none.
        """
        number = layer_number(layer, len(blocks_of(self._model)))
        texts = [row[side] for row in self._rows]
        if of == "now":
            return pooled_states(self._model, texts, number, self._first)
        earlier = self._beginning.as_it_was("base" if of == "base" else "previous")
        with torch.no_grad(), earlier:
            return pooled_states(self._model, texts, number, self._first)


class OwnTerm:
    """What the file's function makes of each step's rows."""

    def __init__(self, model: Any, texts: Texts, settings: Own, beginning: Beginning, digest: str) -> None:
        """`digest` is that of the file when the cell was planned. Raises UserError where it has changed."""
        self.function: Callable[[Batch], Any]
        self.function, now = own_loss(settings.code)
        if now != digest:
            message = f"{settings.code} has changed since the cell was planned; run the command again"
            raise UserError([Problem(OWN_TERM, message)])
        self.model, self.texts, self.settings, self.beginning, self.digest = model, texts, settings, beginning, digest

    def loss(self, step: int) -> torch.Tensor:
        """The loss of a step's batch. Raises ValueError for what is no loss."""
        rows = self.texts.batch(self.settings.batch, step)
        loss = self.function(Batch(self.model, rows, self.texts.first, self.beginning))
        if not isinstance(loss, torch.Tensor) or loss.ndim or not loss.requires_grad:
            found = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else type(loss).__name__
            has = "" if getattr(loss, "requires_grad", False) else " without gradients"
            raise ValueError(f"loss in {self.settings.code} returned {found}{has}; return one number with gradients")
        return loss

    def measured(self) -> dict[str, Any]:
        """Which code it was."""
        return {"code": self.digest}
