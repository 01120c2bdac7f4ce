"""What a recipe says of steps of training that are evaluated as models of their own."""

from __future__ import annotations

from typing import Literal

from harness.recipe.section import PositiveInt, Section


class Checkpoints(Section):
    """Evaluates steps of cells as models of their own, named CELL@STEP; the report says when languages are learned.

    Cells keep these steps, as with `training.keep_checkpoints`. The untuned model is step 0, and a cell's own weights
    are the last one. Not part of the fingerprint.
    """

    of: Literal["cells"] = "cells"
    """Whose steps: those of all cells that are evaluated."""
    every: PositiveInt
    """Steps from one that is evaluated to the next."""
