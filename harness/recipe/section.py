"""What every part of a recipe is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LARGEST = 2**31 - 1
"""What libraries that count in 32 bits can take."""
PositiveInt = Annotated[int, Field(gt=0, le=LARGEST)]


Amount = Annotated[int, Field(ge=0, le=LARGEST)]


Batch = Annotated[int, Field(gt=0, le=65_536)]
"""Rows of a step; a batch is filled up to this size however few rows there are."""


Written = Annotated[int, Field(gt=0, le=1_000_000)]
"""Tokens of a completion."""


Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""What NumPy takes for a seed, and so does transformers."""


class Section(BaseModel):
    """A part of a recipe: no unknown keys, no changes, no guessing of types."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        serialize_by_alias=True,  # a key that is a word of Python's own is written as in the recipe
    )
