"""A study of mOthello: its cells, their runs on disk, and what is measured of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from data_mixes.storage import is_whole_or_set_aside, sealed_file
from harness.recipe.mothello import Mothello, MothelloCell, load_mothello
from harness.runs.cells import open_cells
from harness.runs.folder import CellFolder, StudyFolder
from harness.runs.record import CellRun

IDENTIFYING = ("world", "languages", "shared", "model", "pretrain", "finetune", "seed")
"""The keys that decide what is trained."""
OF_MEASURES = 1
"""The version of the measures: raised when a figure can change."""


@dataclass(frozen=True)
class MothelloStudy:
    """A study and its folder."""

    recipe: Mothello
    cells: list[MothelloCell]
    folder: Path

    @classmethod
    def of(cls, recipe: Path, runs: Path) -> MothelloStudy:
        """The study of a recipe. Raises UserError with every mistake found."""
        parsed, cells = load_mothello(recipe)
        return cls(parsed, cells, runs / parsed.study)

    @cached_property
    def runs(self) -> Mapping[str, CellRun]:
        """The cells' runs. Raises UserError for a folder that holds another experiment."""
        return open_cells(self.folder, {cell.name: identity_of(cell.recipe) for cell in self.cells})

    @property
    def settings(self) -> dict[str, tuple[str, ...]]:
        """Setting → the cells that are its runs."""
        settings: dict[str, tuple[str, ...]] = {}
        for cell in self.cells:
            settings[cell.setting] = (*settings.get(cell.setting, ()), cell.name)
        return settings

    def measured(self, cell: MothelloCell) -> bool:
        """Whether a cell's models are measured as the recipe asks for."""
        run = self.runs[cell.name]
        return run.record.get("measured") == measuring(cell.recipe) and measures_file(run.files).is_file()

    def measures(self) -> pl.DataFrame:
        """What is measured of all cells that are: the columns of `MEASURES` after `cell` and `setting`."""
        return pl.concat([*self._measures(), pl.DataFrame(schema=STUDY_MEASURES)])

    def _measures(self) -> Iterator[pl.DataFrame]:
        for cell in self.cells:
            if self.measured(cell) and (table := read_measures(self.runs[cell.name].files)) is not None:
                yield table.select(pl.lit(cell.name).alias("cell"), pl.lit(cell.setting).alias("setting"), pl.all())

    @property
    def report_folder(self) -> StudyFolder:
        """The study's files by name."""
        return StudyFolder(self.folder)


STUDY_MEASURES = {
    "cell": pl.String, "setting": pl.String, "step": pl.Int64, "metric": pl.String, "source": pl.String,
    "language": pl.String, "game": pl.Int64, "value": pl.Float64,
}  # fmt: skip


def identity_of(recipe: Mothello) -> dict[str, Any]:
    """What decides a cell's weights; games for probes and tests do not."""
    stated = recipe.model_dump(mode="json", include={*IDENTIFYING})
    for purpose in ("probe", "test"):
        del stated["world"]["games"][purpose]
    return {"kind": recipe.kind, "version": 1} | stated


def measuring(recipe: Mothello) -> str:
    """A hash of how a cell is measured."""
    stated = recipe.model_dump(mode="json", include={"probe", "world"})
    return hashlib.sha256(json.dumps([OF_MEASURES, stated], sort_keys=True).encode()).hexdigest()[:16]


def measures_file(cell: CellFolder) -> Path:
    """What was measured of a cell."""
    return cell.path / "measures.parquet"


def write_measures(cell: CellFolder, table: pl.DataFrame) -> None:
    """Keeps what was measured of a cell."""
    with sealed_file(measures_file(cell)) as unfinished, unfinished.open("wb") as file:
        table.write_parquet(file)


def read_measures(cell: CellFolder) -> pl.DataFrame | None:
    """What was measured of a cell; None where the file is damaged, which is set aside and made anew by the next run."""
    path = measures_file(cell)
    return pl.read_parquet(path) if is_whole_or_set_aside(path) else None
