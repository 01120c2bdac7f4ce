"""What `harness similarity` and `harness probe` have measured of the models there are now, for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from eval.analysis.checkpoints import Course
from eval.analysis.layers import Layers
from harness.planning.kept_plan import PlannedStudy
from harness.reporting.current import weights_now
from harness.runs.folder import StudyFolder


def layers_of(study: PlannedStudy, courses: Sequence[Course]) -> Layers:
    """The tables beside the report, without the rows of models that were trained anew since, and of others."""
    files, now = StudyFolder(study.folder), weights_now(study)
    return Layers(
        current(files.table("similarity"), now), current(files.table("probe"), now),
        {course.setting: course.models for course in courses},
    )  # fmt: skip


def current(path: Path, now: Mapping[str, str | None]) -> pl.DataFrame:
    """The rows of a table that are of these models; none where there is no such table, or it names no weights."""
    table = read(path)
    if not {"model", "weights"} <= {*table.columns}:
        return pl.DataFrame()
    known = [model in now and now[model] == weights for model, weights in table.select("model", "weights").rows()]
    return table.filter(pl.Series(known, dtype=pl.Boolean))


def read(path: Path) -> pl.DataFrame:
    """A table that a command wrote as CSV; an empty one where it cannot be read."""
    try:
        return pl.read_csv(path.read_bytes(), schema_overrides={"weights": pl.String}, infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError):
        return pl.DataFrame()


def mexa_of_pairs(study: PlannedStudy) -> dict[tuple[str, str, str], float]:
    """Base model, language and language → their MEXA in it, the mean over layers; empty where it was not measured."""
    table = current(StudyFolder(study.folder).table("similarity_pairs"), weights_now(study))
    if not table.height:
        return {}
    rows = table.filter(measure="mexa").select("model", "one", "other", "mean").iter_rows()
    return {(model, *pair): mean for model, one, other, mean in rows for pair in ((one, other), (other, one))}
