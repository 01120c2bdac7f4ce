"""The models of a study opened one after another, and the states of what they read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from data_mixes.storage import whole_file
from eval.engines.engine import EngineSettings, ModelFiles, Progress
from eval.engines.transformers_engine import TransformersEngine
from eval.generation.requests import ModelUnderTest
from eval.representations.hidden_states import Encoded, Pooling, States, states_of
from harness.errors import Problem, UserError
from harness.evaluation.cells import evaluations_of
from harness.planning.bases import Base
from harness.planning.study import Study
from harness.recipe.grid import choose
from harness.runs.folder import StudyFolder

VERSION = 1
"""Raised when the states of a text change."""


def models_of(study: Study, cells: str | None) -> dict[Base, list[ModelUnderTest]]:
    """By base model: itself and the chosen trained cells whose weights are kept, with steps that are evaluated.

    Raises UserError where there is none.
    """
    chosen = {cell.name for cell in choose(study.cells, cells)}
    kept = [plan for plan in study.plans if plan.run.trained and plan.cell.is_evaluated
            and not plan.run.weights_removed]  # fmt: skip
    trained = [plan for plan in kept if plan.name in chosen]
    parts = evaluations_of(study, trained)
    models = {base: list(part.models) for base, part in parts.items() if part.models}
    if not models:
        raise UserError([Problem("", "no chosen cell is trained, and evaluation.base is false; first: harness run")])
    return models


class OpenedModels:
    """One model at a time, the base model loaded once for all its adapters."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._engine: TransformersEngine | None = None
        self._files: ModelFiles | None = None

    def model(self, base: Base, model: ModelUnderTest) -> Any:
        """The model, which is a base model or was trained on it, in transformers, ready to be run."""
        files = model.whole or base.files
        if self._engine is None or files != self._files:
            self.close()
            trusted = base.settings.trust_remote_code
            dtype = self.study.precision.dtype
            settings = EngineSettings(
                files.location, files.revision, dtype, trusted, (), 0, quantization=files.quantization
            )
            self._engine, self._files = TransformersEngine(settings), files
        return self._engine.model_with(model.adapter)

    def close(self) -> None:
        """Frees the model."""
        if self._engine:
            self._engine.close()
        self._engine = None

    def states(
        self, base: Base, model: ModelUnderTest, texts: Sequence[Encoded], pooling: Pooling, progress: Progress
    ) -> States:
        """The states of some texts, memory-mapped; made once for the same weights and texts."""
        decided_by = {
            "version": VERSION,
            "base": base.files.identity,
            "weights": model.weights,
            "dtype": self.study.precision.dtype,
            "pooling": pooling,
            "texts": [[text.ids, text.parts] for text in texts],
        }
        key = hashlib.sha256(json.dumps(decided_by).encode()).hexdigest()[:24]
        path = StudyFolder(self.study.folder).states / f"{key}.npy"
        if not is_whole(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            states = states_of(self.model(base, model), texts, pooling, progress)
            with whole_file(path) as unfinished, unfinished.open("wb") as file:
                np.save(file, states)
        else:
            progress(len(texts))
        return np.load(path, mmap_mode="r")


@contextmanager
def opened(study: Study) -> Generator[OpenedModels]:
    """Models that are freed at the end."""
    models = OpenedModels(study)
    try:
        yield models
    finally:
        models.close()


def is_whole(path: Path) -> bool:
    """Whether a file of states is there and can be read; a damaged one is made again."""
    try:
        np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        return False
    return True
