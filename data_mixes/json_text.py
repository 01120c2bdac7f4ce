"""JSON for files that others read: valid, whatever values are like."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def json_text(value: Any) -> str:
    """A value as JSON, in its own letters. NaN and infinity are null: JSON has neither. Dates and the like are text."""
    try:
        return compact(value)
    except ValueError:  # there is one among them
        return compact(finite(value))


def compact(value: Any) -> str:
    """A value as JSON without spaces. Raises ValueError for NaN and infinity."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str, separators=(",", ":"))


def finite(value: Any) -> Any:
    """The value with None for NaN and infinity, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(part) for key, part in value.items()}
    return [finite(part) for part in value] if isinstance(value, list | tuple) else value
