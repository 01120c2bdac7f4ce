"""From plans to jobs on disk, so that nobody plans twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.feather as feather
from numpy.typing import NDArray

from data_mixes.example import from_table, to_table
from data_mixes.holds import holding
from data_mixes.mixture import batches_by_length
from data_mixes.prompts import Rendering
from data_mixes.storage import sealed_file
from harness.planning.aside_files import write_asides
from harness.planning.cells import CellPlan
from harness.planning.row_files import is_whole, write_rows
from harness.planning.validation import how_answered
from harness.recipe.grid import name_of
from harness.runs.folder import StudyFolder
from harness.runs.job import CellJob, Questions

if TYPE_CHECKING:
    from harness.planning.bases import Base
    from harness.planning.study import Study


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a cell's rows stand in the file of rows, and which of them no cell before it has."""

    order: NDArray[np.int32]
    """Places in training order: each global batch sorted by length, the last one filled up."""
    fresh: NDArray[np.int64]
    """The rows of the plan that the file gets, in this order."""
    filler: int | None
    """The row of the plan that the file gets without its labels, to fill up batches."""


def write_jobs(study: Study, plans: Sequence[CellPlan]) -> None:
    """Writes the rows of these cells, each once, and a job per cell, but for cells that are being trained already.

    Cells that failed are to be tried again.
    """
    places: dict[tuple[int, bool], int] = {}
    placed = [place_rows(plan, places) for plan in plans]
    name = f"rows-{hashlib.sha256(repr(list(places)).encode()).hexdigest()[:16]}.arrow"
    path = StudyFolder(study.folder).rows / name
    if not is_whole(path):
        rows = (row for plan, taken in zip(plans, placed, strict=True) for row in fresh_rows(study, plan, taken))
        write_rows(path, rows)
    validation = {base.name: (write_validation(study, base), write_questions(study, base)) for base in study.bases}
    for plan, taken in zip(plans, placed, strict=True):
        with holding(plan.run.files.lock) as other:
            if other is None and not plan.run.finished:
                plan.run.forget_failure()
                job = job_of(study, plan, name, *validation[study.base_of(plan.cell).name])
                asides = write_asides(study, study.base_of(plan.cell), plan)
                job.model_copy(update={"asides": asides}).write(study.folder, taken.order)


def write_validation(study: Study, base: Base) -> dict[str, str]:
    """Writes the validation rows for a base model, and returns the file of each language."""
    files: dict[str, str] = {}
    for language, rows in base.validation.items():
        files[language] = f"validation-{base.name}-{language}.arrow"
        write_rows(StudyFolder(study.folder).rows / files[language], ((row, True) for row in rows))
    return files


def write_questions(study: Study, base: Base) -> Questions | None:
    """Writes the validation examples for a base model, where a step is chosen by what the model answers to them."""
    selection = study.recipe.selection
    if selection is None or selection.task is None:
        return None
    files: dict[str, str] = {}
    for language, examples in base.validation_examples.items():
        files[language] = f"questions-{base.name}-{language}.arrow"
        with sealed_file(StudyFolder(study.folder).rows / files[language]) as unfinished:
            feather.write_feather(to_table(examples), str(unfinished))
    return Questions(examples=files, **how_answered(study.recipe, selection.task, base.renderer.template is not None))


def place_rows(plan: CellPlan, places: dict[tuple[int, bool], int]) -> Placed:
    """Places for a cell's rows, added to those of the cells before it: by the hash of a row's token ids, and its loss.

    The rows that fill up the last global batch carry no label and so no loss. With them every process of a launch has
    as many rows, and accelerate repeats none to make it so.
    """
    training = plan.cell.recipe.training
    order = batches_by_length(plan.lengths.tokens, training.global_batch)
    numbers: list[int] = []
    fresh: list[int] = []
    for row, key in zip(order.tolist(), plan.lengths.content[order].tolist(), strict=True):
        if (key, True) not in places:
            fresh.append(row)
        numbers.append(places.setdefault((key, True), len(places)))
    filler = None
    if fillers := -len(order) % training.global_batch:
        shortest = int(order[np.argmin(plan.lengths.tokens[order])])
        key = (int(plan.lengths.content[shortest]), False)
        filler = None if key in places else shortest
        numbers += [places.setdefault(key, len(places))] * fillers
    return Placed(np.array(numbers, dtype=np.int32), np.array(fresh, dtype=np.int64), filler)


def fresh_rows(study: Study, plan: CellPlan, placed: Placed) -> Iterator[tuple[Rendering, bool]]:
    """What the file gets of a cell's rows, as token ids, and whether it carries a loss."""
    tokens = study.base_of(plan.cell).tokens
    for table in plan.rows.take(placed.fresh).tables():
        yield from ((row, True) for row in tokens.render(list(from_table(table))))
    if placed.filler is not None:
        yield tokens.render([plan.rows[placed.filler]])[0], False


def job_of(study: Study, plan: CellPlan, rows: str, validation: dict[str, str], questions: Questions | None) -> CellJob:
    """Everything that a process needs to train a cell."""
    recipe, base, stage = plan.cell.recipe, study.base_of(plan.cell), plan.cell.stage
    return CellJob(
        name=plan.name,
        identity=dict(plan.run.identity),
        location=base.files.location,
        revision=base.files.revision,
        trust_remote_code=recipe.base_model.trust_remote_code,
        dtype=study.precision.dtype,
        quantization=base.settings.quantization,
        adapter=recipe.adapter,
        training=recipe.training.effective,
        execution=recipe.execution,
        reinitialise=recipe.reinitialised,
        rows=rows,
        selection=recipe.selection,
        validation=validation,
        questions=questions,
        steps=plan.steps,
        tokens=int(plan.lengths.tokens.sum()),
        supervised_tokens=int(plan.lengths.supervised_tokens.sum()),
        start=stage.start if stage else "fresh",
        parents={name: name_of(study.cells, cell) for name, cell in stage.parents.items()} if stage else {},
        made_of=stage.made_of if stage else None,
        axes=dict(zip(plan.cell.place, plan.cell.labels, strict=True)),
        recorded={
            "prompts": base.renderer.template_hash,
            "sources": sorted({part.origin_name for component in recipe.components for part in component.sources}),
            **({"validation_rows": {code: len(rows) for code, rows in base.validation.items()}} if validation else {}),
        },
    )
