"""LoRA adapters that others trained: found, looked through, and named by what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data_mixes.storage import expanded, is_file, is_folder, sha256_once
from eval.engines.engine import Adapter
from harness.errors import Problem, UserError
from harness.models.broken import LARGEST_CONFIG, is_whole

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
LARGEST_RANK = 512
"""What vLLM serves."""
REFUSED = {
    "use_dora": "is a DoRA adapter",
    "modules_to_save": "holds whole layers beside LoRA's (modules_to_save)",
    "trainable_token_indices": "holds tokens of its own (trainable_token_indices)",
}
"""Keys of a configuration → what an adapter is that engines do not serve."""


def find_adapter(name: str, where: str) -> Adapter:
    """An adapter in a folder, without loading it. Raises UserError, at the key `where`, for what cannot be served."""
    folder = expanded(name)
    if not is_folder(folder):
        message = (
            f"no folder {name[:200]!r}; a path is seen from the recipe's folder. From a hub: hf download OWNER/ADAPTER"
        )
        raise UserError([Problem(where, f"{message} --local-dir FOLDER, then name FOLDER")])
    tensors = folder / TENSORS
    if not is_file(tensors) and any(folder.glob("*.bin")):
        message = f"{folder} holds pickled weights (*.bin), which can run code when they are read"
        raise UserError([Problem(where, f"{message}; save the adapter as safetensors: {TENSORS}")])
    if not is_file(folder / CONFIG) or not is_file(tensors):
        raise UserError([Problem(where, f"{folder} holds no adapter of PEFT's: it needs {CONFIG} and {TENSORS}")])
    if not is_whole(tensors):
        raise UserError([Problem(where, f"{tensors} is cut off, or no safetensors file; download it again")])
    config = _config(folder / CONFIG, where)
    if problem := _problem(config):
        raise UserError([Problem(where, f"{folder} {problem}; name a plain LoRA adapter, or merge it into its base")])
    scale = json.dumps([config["r"], config.get("lora_alpha"), config.get("use_rslora", False)])
    return Adapter(sha256_once(tensors, scale)[:16], folder.resolve(), config["r"])


def _config(path: Path, where: str) -> dict[str, Any]:
    """The settings of an adapter. Raises UserError."""
    try:
        config = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= LARGEST_CONFIG else None
    except (OSError, ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        message = f"{path} is no JSON object of at most {LARGEST_CONFIG:,} bytes; download it again"
        raise UserError([Problem(where, message)])
    return config  # pyright: ignore[reportUnknownVariableType]


def _problem(config: dict[str, Any]) -> str | None:
    """Why engines cannot serve an adapter of these settings; None if they can."""
    if config.get("peft_type") != "LORA":
        return f"is of the kind {str(config.get('peft_type'))[:50]!r}, and LORA is what engines serve"
    rank = config.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or not 0 < rank <= LARGEST_RANK:
        return f"has the rank {str(rank)[:50]!r}, and a rank is 1 to {LARGEST_RANK}"
    if config.get("bias", "none") != "none":
        return f"trains biases too ({str(config['bias'])[:50]!r})"
    return next((told for key, told in REFUSED.items() if config.get(key)), None)
