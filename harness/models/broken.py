"""What is wrong with the files of a model's folder, as far as it shows without loading the model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

LARGEST_CONFIG, LARGEST_HEADER = 10_000_000, 100_000_000
"""Bytes of a configuration that are read, and of the header of a safetensors file (its own limit)."""
SIZE = re.compile(r"num_\w+|\w+_(size|dim|layers|heads)|max_position_embeddings")
"""Keys of sizes; of some, -1 says that there is none."""
POSITIVE = {
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
    "vocab_size", "max_position_embeddings",
}  # fmt: skip
DTYPE = re.compile(r"auto|b?float\d+\w*|half|double|u?int\d+|bool")


def broken_files(folder: Path, weights: Sequence[Path]) -> Iterator[str]:
    """What there is to tell of them, a line each; nothing where all is well."""
    irregular = [
        path for path in sorted(folder.iterdir()) if path.exists() and not path.is_file() and not path.is_dir()
    ]
    if irregular:  # to open one could last for ever
        yield f"{irregular[0]} is a device or a pipe; a model is made of files"
        return
    yield from (
        f"{path} is cut off, or no safetensors file; download it again" for path in weights if not is_whole(path)
    )
    path = folder / "config.json"
    try:
        size = path.stat().st_size
        config = json.loads(path.read_text(encoding="utf-8")) if size <= LARGEST_CONFIG else None
    except (OSError, ValueError, RecursionError):
        config = None
    if isinstance(config, dict):
        yield from (f"{path}: {problem}" for problem in config_problems(config))  # pyright: ignore[reportUnknownArgumentType]
    else:
        yield f"{path} is no JSON object of at most {LARGEST_CONFIG:,} bytes; download it again"


def config_problems(config: Mapping[str, Any], section: str = "") -> Iterator[str]:
    """Sizes that no model can have, and number formats that there are not."""
    for key, value in config.items():
        name = f"{section}{key}"
        if isinstance(value, dict):
            yield from config_problems(value, f"{name}.")  # pyright: ignore[reportUnknownArgumentType]
        elif (
            SIZE.fullmatch(key) and isinstance(value, int | float) and (value < -1 or (value <= 0 and key in POSITIVE))
        ):
            yield f"{name} is {value}, and a size is positive"
        elif key in ("torch_dtype", "dtype") and value is not None and not is_dtype(value):
            yield f"{name} is {value!r}, which is no number format such as bfloat16"


def is_dtype(value: Any) -> bool:
    """Whether a configuration's value names one of torch's number formats."""
    return isinstance(value, str) and DTYPE.fullmatch(value.removeprefix("torch.")) is not None


def is_whole(path: Path) -> bool:
    """Whether a file of safetensors ends where its header says: a length in 8 bytes, then JSON, then the tensors."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= LARGEST_HEADER else {}
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        return bool(ends) and path.stat().st_size == 8 + length + max(ends)
    except (OSError, ValueError, RecursionError, AttributeError, KeyError, TypeError, IndexError):
        return False
