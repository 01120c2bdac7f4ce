"""Sums of LoRA adapters, and adapters with layers of others, made from their files alone: exact, and LoRA again.

An adapter changes a weight by ΔW = s · B · A, with s = α / r, or α / √r where it is rank-stabilised. A weighted sum of
such changes is one adapter of the summed rank, whose A are those of the parts on top of one another, and whose B are
those side by side, each times its weight and scale (arXiv 2106.09685, section 4.1, where the products add up).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file

from data_mixes.storage import seal, sha256_of, whole_folder
from harness.training.ties import ties

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
DOWN, UP = ".lora_A.weight", ".lora_B.weight"
LAYER = re.compile(r"\.(?:layers|h|blocks)\.(\d+)\.")
"""Where the name of a weight says which layer it is of."""
Weight = TypeVar("Weight")


@dataclass(frozen=True, slots=True)
class Factors:
    """The change of one weight: `up` @ `down`, the scale included."""

    down: torch.Tensor
    """rank × inputs."""
    up: torch.Tensor
    """outputs × rank."""

    @property
    def rank(self) -> int:
        """The rank of the change."""
        return self.down.shape[0]


@dataclass(frozen=True, slots=True)
class LowRank:
    """What an adapter changes, by the names of modules, with its configuration."""

    factors: Mapping[str, Factors]
    config: Mapping[str, Any]


def read_adapter(folder: Path) -> LowRank:
    """An adapter in PEFT's format. Raises ValueError for one that holds more than plain LoRA."""
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    unlike = [key for key in ("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern") if config.get(key)]
    tensors = {name: tensor.float() for name, tensor in load_file(folder / TENSORS).items()}
    modules = dict.fromkeys(name.removesuffix(DOWN).removesuffix(UP) for name in tensors)
    if unlike or {*tensors} != {module + end for module in modules for end in (DOWN, UP)}:
        raise ValueError(f"{folder} holds more than a plain LoRA adapter: {', '.join(unlike) or 'other tensors'}")
    rank = config["r"]
    scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
    factors = {module: Factors(tensors[module + DOWN], tensors[module + UP] * scale) for module in modules}
    return LowRank(factors, config)


def added(parts: Sequence[tuple[float, LowRank]]) -> LowRank:
    """The weighted sum of what adapters change. Raises ValueError where they change other modules."""
    first = parts[0][1]
    for _, part in parts[1:]:
        refuse_other_modules(first, part)
    factors = {
        module: Factors(
            torch.cat([part.factors[module].down for _, part in parts]),
            torch.cat([weight * part.factors[module].up for weight, part in parts], dim=1),
        )
        for module in first.factors
    }
    return LowRank(factors, first.config)


def merged_by_ties(parts: Sequence[tuple[float, LowRank]], density: float, rank: int) -> tuple[LowRank, float]:
    """Adapters merged by TIES, brought to a rank module by module, and the share of the change that this leaves out.

    The share is of Frobenius norms over all modules. Raises ValueError where they change other modules.
    """
    first = parts[0][1]
    for _, part in parts[1:]:
        refuse_other_modules(first, part)
    changes = [(weight, {name: partial(torch.matmul, factors.up, factors.down)
                         for name, factors in part.factors.items()}) for weight, part in parts]  # fmt: skip
    factors: dict[str, Factors] = {}
    left_out = whole = 0.0
    for name, change in ties(changes, density):
        left, sizes, right = torch.linalg.svd(change, full_matrices=False)
        root = sizes[:rank].sqrt()
        factors[name] = Factors((root[:, None] * right[:rank]).contiguous(), (left[:, :rank] * root).contiguous())
        left_out, whole = left_out + float((sizes[rank:] ** 2).sum()), whole + float((sizes**2).sum())
    return LowRank(factors, first.config), math.sqrt(left_out / whole) if whole else 0.0


def with_layers(own: LowRank, others: Mapping[int, LowRank]) -> LowRank:
    """An adapter with some layers of others, by their number. Raises ValueError where they change other modules."""
    for other in others.values():
        refuse_other_modules(own, other)
    return LowRank(swapped(own.factors, {layer: other.factors for layer, other in others.items()}), own.config)


def swapped(own: Mapping[str, Weight], others: Mapping[int, Mapping[str, Weight]]) -> dict[str, Weight]:
    """Weights by name, those of some layers from elsewhere. Raises ValueError for layers that no name mentions."""
    numbers = {name: int(found[1]) for name in own if (found := LAYER.search(name))}
    if missing := sorted(set(others) - set(numbers.values())):
        raise ValueError(f"no weight is of layer {', '.join(map(str, missing))}")
    return {
        name: others[numbers[name]][name] if numbers.get(name) in others else weight for name, weight in own.items()
    }


def refuse_other_modules(one: LowRank, other: LowRank) -> None:
    """Raises ValueError where two adapters do not change the same modules."""
    if apart := sorted(one.factors.keys() ^ other.factors.keys()):
        raise ValueError(f"one adapter changes {apart[0]}, and another one does not")


def write_adapter(adapter: LowRank, folder: Path) -> None:
    """Writes an adapter in PEFT's format, whole or not at all, with a checksum beside each file.

    Its rank is the largest of its modules', and the factors of others are filled up with zeros.
    """
    rank = max(factors.rank for factors in adapter.factors.values())
    tensors: dict[str, torch.Tensor] = {}
    for module, factors in adapter.factors.items():
        missing = rank - factors.rank
        tensors[module + DOWN] = torch.nn.functional.pad(factors.down, (0, 0, 0, missing)).contiguous()
        tensors[module + UP] = torch.nn.functional.pad(factors.up, (0, missing)).contiguous()
    config = {**adapter.config, "r": rank, "lora_alpha": rank, "use_rslora": False, "lora_dropout": 0.0}
    with whole_folder(folder) as unfinished:
        (unfinished / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        save_file(tensors, unfinished / TENSORS, metadata={"format": "pt"})
        for file in sorted(unfinished.iterdir()):
            seal(file, sha256_of(file))
