"""Adapters merged into their base model: a folder that transformers and engines load as any other model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from eval.engines.engine import EngineSettings, ModelFiles
from eval.engines.transformers_engine import TransformersEngine
from eval.generation.canary import EFFECT_ALLOWANCE, CanaryError
from harness.models.base import load_tokenizer
from harness.training.lora import with_trained

ROUNDING = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.1}
"""By number format: by how much log-probabilities may differ because weights are rounded to it."""
ROWS, TOKENS = 4, 64
"""What models are compared on."""


@dataclass(frozen=True, slots=True)
class Merging:
    """What merging an adapter changed: mean absolute differences of log-probability per token, in nats."""

    gap: float
    """The folder that was written, loaded again, to the base model with the adapter on it."""
    effect: float
    """The base model with the adapter to the base model without."""

    def in_words(self, dtype: str) -> str:
        """The figures in a line."""
        return (
            f"log-probabilities differ from base + adapter by {self.gap:.2g} nats a token on average "
            f"({dtype}; the adapter changes them by {self.effect:.2g})"
        )


def write_merged(base: ModelFiles, dtype: str, trusted: bool, adapter: Path, folder: Path) -> Merging:
    """Writes the base model with an adapter merged into it, and its tokenizer; then loads it and compares.

    Raises CanaryError for a merged model that is another than the base model with the adapter.
    """
    tokenizer = load_tokenizer(base.location, base.revision, trusted)
    model = loaded(base, dtype, trusted)
    plain = log_probabilities(model)
    adapted = with_trained(model, adapter).eval()
    wanted = log_probabilities(adapted)
    merged: Any = adapted.merge_and_unload()  # a weight is summed in float32, and rounded once
    merged.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    del model, adapted, merged
    again = log_probabilities(loaded(ModelFiles(str(folder), None, ""), dtype, trusted))
    merging = Merging(distance(again, wanted), distance(wanted, plain))
    if not merging.gap <= ROUNDING[dtype] + (EFFECT_ALLOWANCE * merging.effect if dtype != "float32" else 0.0):
        raise CanaryError(f"{adapter} cannot be merged: {merging.in_words(dtype)}; use the adapter on its base model")
    return merging


def loaded(files: ModelFiles, dtype: str, trusted: bool) -> Any:
    """A model in a number format."""
    return TransformersEngine(EngineSettings(files.location, files.revision, dtype, trusted, (), 0)).model_with(None)


@torch.inference_mode()
def log_probabilities(model: Any) -> torch.Tensor:
    """How likely a model finds the tokens of a few rows that are drawn at random, the same for every model."""
    drawn = torch.Generator().manual_seed(0)
    ids = torch.randint(model.get_input_embeddings().num_embeddings, (ROWS, TOKENS), generator=drawn)
    ids = ids.to(model.device)
    likely = torch.log_softmax(model(ids).logits[:, :-1].float(), -1)
    return likely.gather(-1, ids[:, 1:, None]).cpu()


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """The mean absolute difference."""
    return float((one - other).abs().mean())
