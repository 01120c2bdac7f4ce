"""Tuning all weights of a model, or all but some: which of them learn, and what is written to disk."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from data_mixes.storage import seal, sha256_of, whole_folder
from harness.errors import Problem, UserError
from harness.training.zero3 import whole_models


def let_learn(model: Any, freeze: Sequence[str]) -> Any:
    """The model with every weight learning but those whose names match a pattern. Raises UserError."""
    names = [name for name, _ in model.named_parameters()]
    problems = [
        Problem("training.freeze", f"{pattern!r} is the name of no weight of this model; one is {names[-1]!r}")
        for pattern in freeze
        if not any(fnmatchcase(name, pattern) for name in names)
    ]
    for name, weight in model.named_parameters():
        weight.requires_grad_(not any(fnmatchcase(name, pattern) for pattern in freeze))
    if not problems and not any(weight.requires_grad for weight in model.parameters()):
        problems = [Problem("training.freeze", "leaves no weight to learn")]
    if problems:
        raise UserError(problems)
    return model


def save_model(
    model: Any, state: dict[str, torch.Tensor], tokenizer: Any, dtype: torch.dtype, folder: Path, trusted: bool
) -> None:
    """Writes a model's state in a number format, with its tokenizer, whole or not at all, a checksum beside each file.

    The model itself, of which this process may hold a part alone, gives no more than its configuration.
    """
    cast: dict[int, torch.Tensor] = {}  # by address: weights that are tied stay one
    state = {name: cast.setdefault(weight.data_ptr(), weight.detach().to(dtype)) for name, weight in state.items()}
    config = copy.deepcopy(model.config)
    with torch.device("meta"), whole_models():
        whole: Any = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=trusted)
    whole.generation_config = model.generation_config
    with whole_folder(folder) as unfinished:
        whole.save_pretrained(str(unfinished), state_dict=state)
        tokenizer.save_pretrained(str(unfinished))
        for file in sorted(unfinished.iterdir()):
            seal(file, sha256_of(file))
