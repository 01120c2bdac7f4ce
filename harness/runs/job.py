"""A cell to be trained, as a value on disk: whatever process trains it needs the study's folder and nothing else.

Rows stand once in the study's `plan/`, whichever cells train on them; a cell has their places in training order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from data_mixes.storage import write_text
from harness.errors import Problem, UserError
from harness.recipe.schema import Adapter, Training

JOB, ORDER, PLAN = "job.json", "order.npy", "plan"
IGNORED = -100
"""The label of a token that carries no loss."""
ROW_SCHEMA = pa.schema([("input_ids", pa.list_(pa.int32())), ("labels", pa.list_(pa.int32()))])


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
    adapter: Adapter
    training: Training
    rows: str
    """The file of rows in the study's `plan/`."""
    steps: int
    tokens: int
    supervised_tokens: int
    recorded: dict[str, Any]
    """What the record says besides: the prompts' template, where sources come from."""

    def write(self, study: Path, order: NDArray[np.int32]) -> None:
        """Puts the job and its rows' places into the cell's folder."""
        folder = study / self.name
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{ORDER}.unfinished"
        with unfinished.open("wb") as file:
            np.save(file, order)
        unfinished.replace(folder / ORDER)
        write_text(folder / JOB, self.model_dump_json(indent=1) + "\n")


def read_job(study: Path, name: str) -> CellJob:
    """The job of a planned cell. Raises UserError if there is none."""
    try:
        return CellJob.model_validate_json((study / name / JOB).read_text(encoding="utf-8"))
    except FileNotFoundError:
        message = f"{name} is not planned; train it by its recipe: accelerate launch harness/train.py RECIPE"
        raise UserError([Problem(str(study), message)]) from None
