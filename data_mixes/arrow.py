"""What all tables of this package share: one text type, and functions on columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute

compute: Any = pyarrow.compute
"""pyarrow's functions on columns; they are created at import time and carry no type hints."""

TEXT = pa.large_string()
"""The type of every text: a column of it may be longer than 2 GiB."""


def joined(separator: str, *parts: Any) -> Any:
    """Joins texts row by row with a separator; a part may be a single text for all rows."""
    parts = tuple(pa.scalar(part, TEXT) if isinstance(part, str) else part for part in parts)
    return compute.binary_join_element_wise(*parts, pa.scalar(separator, TEXT))
