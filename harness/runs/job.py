"""A cell to be trained, as a value on disk: whatever process trains it needs the study's folder and nothing else.

A row is stored once in the study's `plan/`, whichever cells train on it; a cell has the positions of its rows, in
training order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from data_mixes.prompts import IGNORED as IGNORED
from data_mixes.storage import DamagedError, read_sealed, sealed_file, write_sealed
from eval.engines.engine import Quantization
from harness.errors import Problem, UserError
from harness.recipe.models_section import Reinitialise
from harness.recipe.schema import Adapter, Training
from harness.recipe.selection_section import Selection
from harness.recipe.stages_section import Composition, Start
from harness.recipe.training_section import Execution
from harness.runs.folder import StudyFolder

ROW_SCHEMA = pa.schema([("input_ids", pa.list_(pa.int32())), ("labels", pa.list_(pa.int32()))])

TEXTS_SCHEMA = pa.schema(
    [("first", pa.list_(pa.int32())), ("second", pa.list_(pa.int32())), ("item", pa.string()),
     ("languages", pa.string()), ("held_out", pa.bool_())]
)  # fmt: skip
"""Texts, or pairs of them, that a term beside the likelihood sees; the second of a text alone is empty."""


class Questions(BaseModel):
    """Validation prompts to be answered, and how: the prompts of the validation rows, in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    examples: dict[str, str]
    """Language → the file of its examples in the study's `plan/`."""
    max_tokens: int
    stop: tuple[str, ...]


class CellJob(BaseModel):
    """What training a cell depends on, and what its record is to say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: str
    identity: dict[str, Any]
    location: str
    """Of the base model: a folder, or a Hugging Face id with its revision."""
    revision: str | None
    trust_remote_code: bool
    dtype: Literal["bfloat16", "float32"]
    quantization: Quantization = "none"
    adapter: Adapter
    training: Training
    execution: Execution = Execution()
    """How the recipe spreads work, as it was planned."""
    reinitialise: Reinitialise | None = None
    """The blocks that begin with new random weights."""
    rows: str
    """The file of rows in the study's `plan/`."""
    selection: Selection | None = None
    validation: dict[str, str] = {}
    """Language → the file of its validation rows in the study's `plan/`."""
    questions: Questions | None = None
    """What the model answers on the way, where a task's metric chooses the step."""
    asides: dict[str, str] = {}
    """Term beside the likelihood → the file of its rows in the study's `plan/`."""
    steps: int
    tokens: int
    supervised_tokens: int
    axes: dict[str, str] = {}
    """What the cell is called on each axis of the grid."""
    start: Start | Literal["made"] = "fresh"
    """What it begins with: see `harness.recipe.stages_section.Stage`."""
    parents: dict[str, str] = {}
    """Stages that must be there first, each with the name of its cell."""
    made_of: Composition | None = None
    """What it is made of, where nothing is trained."""
    recorded: dict[str, Any]
    """What the record says besides: the prompts' template, where sources come from."""

    @property
    def trains_whole_model(self) -> bool:
        """Whether what is trained is a whole model, rather than an adapter."""
        return self.training.method == "full" or self.reinitialise is not None

    def write(self, study: Path, order: NDArray[np.int32]) -> None:
        """Puts the job and the positions of its rows into the cell's folder."""
        cell = StudyFolder(study).cell(self.name)
        with sealed_file(cell.order) as unfinished, unfinished.open("wb") as file:
            np.save(file, order)
        write_sealed(cell.job, self.model_dump_json(indent=1) + "\n")


def read_job(study: Path, name: str) -> CellJob:
    """The job of a planned cell. Raises UserError if there is none."""
    try:
        return CellJob.model_validate_json(read_sealed(StudyFolder(study).cell(name).job))
    except FileNotFoundError:
        message = f"{name} is not planned; train it from its recipe: harness train RECIPE"
        raise UserError([Problem(str(study), message)]) from None
    except DamagedError as error:
        raise UserError(
            [Problem(str(error.path), f"is damaged: {error.reason}; plan again: harness run RECIPE")]
        ) from None
