"""What every part of a recipe is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(gt=0)]


Amount = Annotated[int, Field(ge=0)]


Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""What NumPy takes for a seed, and so does transformers."""


class Section(BaseModel):
    """A part of a recipe: no unknown keys, no changes, no guessing of types."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
