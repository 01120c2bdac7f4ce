"""What training leaves of a cell: an adapter on its base model, or a whole model. Both go by the name of weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data_mixes.storage import DamagedError, read_sealed, sha256_once, verify_once

KINDS = ("adapter", "model")
"""Of weights; each is the name of the folder that holds them."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The folder of a cell's weights."""

    kind: Literal["adapter", "model"]
    """An adapter in PEFT's format; or a model that transformers and vLLM load as any other."""
    folder: Path

    @property
    def config(self) -> Path:
        """The settings of the adapter or the model."""
        return self.folder / ("adapter_config.json" if self.kind == "adapter" else "config.json")

    @property
    def tensors(self) -> list[Path]:
        """The files that hold the numbers."""
        if self.kind == "adapter":
            return [self.folder / "adapter_model.safetensors"]
        return sorted(self.folder.glob("*.safetensors"))

    @property
    def hash(self) -> str:
        """Names the weights by their content, and an adapter by its scale too: what engines key their caches by.

        Raises DamagedError or FileNotFoundError where the files cannot be read.
        """
        config = read_sealed(self.config)
        if self.kind == "adapter":
            given = json.loads(config)
            scale = json.dumps([given["r"], given["lora_alpha"], given["use_rslora"]])
            return sha256_once(self.tensors[0], scale)[:16]
        digest = hashlib.sha256(config)
        for file in self.tensors:
            digest.update(bytes.fromhex(sha256_once(file)))
        return digest.hexdigest()[:16]

    def damage(self) -> Iterator[tuple[Path, str]]:
        """What is missing or not as it was written."""
        if not self.folder.is_dir():
            yield self.folder, "a file stands in its place" if self.folder.exists() else "it is missing"
            return
        sealed = [path.with_name(path.name[1 : -len(".sha256")]) for path in self.folder.glob(".*.sha256")]
        for path in sorted({self.config, *self.tensors, *sealed}):
            try:
                verify_once(path)
            except FileNotFoundError:
                yield path, "it is missing"
            except DamagedError as error:
                yield path, error.reason


def weights_in(folder: Path, identity: Mapping[str, Any]) -> Weights:
    """The weights in a cell's folder, of the kind that its identity says."""
    if identity["training"].get("method", "lora") == "full" or identity["model"].get("reinitialise"):
        return Weights("model", folder / "model")
    return Weights("adapter", folder / "adapter")
