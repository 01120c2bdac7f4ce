"""What models of a study wrote to be trained on, for the report: tables on disk, and what cells are compared with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as parquet

from data_mixes.storage import DamagedError, verify_once
from eval.analysis.generated import SelfTrained, kept_table
from harness.planning.generated import ABOUT
from harness.planning.kept_plan import PlannedStudy
from harness.planning.plan import PlannedCell
from harness.recipe.generated_section import BASE_MODEL
from harness.recipe.grid import name_of
from harness.runs.folder import StudyFolder

USED = ("language", "item_id", "cluster", "reason", "score")


def kept_of(study: PlannedStudy) -> pl.DataFrame:
    """What became of the prompts that models were asked: see `eval.analysis.generated.kept_table`."""
    paths = [StudyFolder(study.folder).written(name, cell.identity["sources"][name])
             for cell in study.kept.cells for name in study.recipe.generated
             if name in cell.identity.get("sources", {})]  # fmt: skip
    tables = [table for path in dict.fromkeys(paths) for table in written_in(path)]
    return kept_table(pl.concat(tables)) if tables else pl.DataFrame()


def written_in(path: Path) -> Iterator[pl.DataFrame]:
    """What a model wrote; nothing where it has not, or the table is damaged, which is reported elsewhere."""
    try:
        verify_once(path)
        table = parquet.read_table(path)
    except (FileNotFoundError, DamagedError):
        return
    about = json.loads((table.schema.metadata or {})[ABOUT])
    rows = pl.from_arrow(table.select(USED))
    assert isinstance(rows, pl.DataFrame)
    yield rows.with_columns(pl.lit(about[name]).alias(name) for name in ("source", "written_by", "metric"))


def self_trained(study: PlannedStudy) -> list[SelfTrained]:
    """The settings that are trained on what a model wrote, each with one on the source's own targets."""
    pairs = [(setting, name) for setting in study.design.settings for name in study.recipe.generated]
    return [found for setting, name in pairs if (found := compared_with_gold(study, setting, name))]


def compared_with_gold(study: PlannedStudy, setting: str, source: str) -> SelfTrained | None:
    """A setting with what it is compared with; None where it has no rows of the source, or there is no such setting."""
    planned = {cell.name: cell for cell in study.kept.overview.cells}
    settings = {name: tuple(runs) for name, runs in study.design.settings.items() if runs[0] in planned}
    if setting not in settings or not (languages := languages_of(planned[settings[setting][0]], source)):
        return None
    runs = settings[setting]
    alike = {name: own for name, own in settings.items() if len(own) == len(runs)}
    cell = planned[runs[0]]
    gold = next((name for name, own in alike.items() if is_gold(study, cell, planned[own[0]], source)), None)
    if gold is None:
        return None
    writers = tuple(dict.fromkeys(writer_of(study, run, source) for run in runs))
    zero_shot = next((name for name, own in settings.items() if own == writers), writers[0])
    return SelfTrained(setting, runs, gold, settings[gold], zero_shot, writers, languages)


def languages_of(cell: PlannedCell, source: str) -> tuple[str, ...]:
    """The languages in which a cell takes rows of a source."""
    return tuple(dict.fromkeys(rows.variant for rows in cell.allotments if rows.source == source and rows.examples))


def is_gold(study: PlannedStudy, cell: PlannedCell, other: PlannedCell, source: str) -> bool:
    """Whether another cell differs on one axis, and its components take the prompts' source in place of this one."""
    places = [next(each for each in study.cells if each.name == name).place for name in (cell.name, other.name)]
    apart = [axis for axis in places[0] if places[0][axis] != places[1].get(axis)]
    asked = study.recipe.generated[source].prompts.source
    parts, gold = ({(rows.component, rows.source, rows.variant) for rows in each.allotments if rows.examples}
                   for each in (cell, other))  # fmt: skip
    wanted = {(component, asked if name == source else name, variant) for component, name, variant in parts}
    return len(apart) == 1 and gold == wanted


def writer_of(study: PlannedStudy, run: str, source: str) -> str:
    """The model that wrote the rows of a cell, as scores name it."""
    cell = next(each for each in study.cells if each.name == run)
    if cell.stage and source in cell.stage.writers:
        return name_of(study.cells, cell.stage.writers[source])
    by = study.recipe.generated[source].by
    return study.base_names[run] if by == BASE_MODEL else by
