"""The export stage: predictions and scores in the formats of other programs."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from data_mixes.storage import whole_file
from eval.analysis.design import BASE
from eval.analysis.summary import summarize
from eval.predictions_and_scores import PROMPT_SCHEMA, first_samples
from harness.console import in_groups, progress, say
from harness.errors import Problem, UserError, suggestion
from harness.planning.kept_plan import PlannedStudy
from harness.recipe.grid import choose
from harness.reporting.current import current_scores, read_table
from harness.runs.folder import StudyFolder
from harness.runs.provenance import provenance

if TYPE_CHECKING:
    from eval.interop.inspect_logs import Origin

FORMATS = ("inspect", "csv")
PLACE = ["cell", "weights", "task", "language", "item", "id"]
"""What tells one prediction from another."""


def export_study(study: PlannedStudy, to: str, cells: str | None, out: Path | None) -> None:
    """Writes the chosen cells and the base, as far as they are evaluated, in a format of FORMATS.

    Raises UserError for another format, one whose library is not installed, a folder that cannot be written to, and
    where nothing chosen was scored.
    """
    if to not in FORMATS:
        raise UserError([Problem("--to", f"no format {to!r}; {suggestion(to, FORMATS)}")])
    if to == "inspect" and find_spec("inspect_ai") is None:
        raise UserError([Problem("--to", "inspect_ai is not installed: pip install '.[inspect]'")])
    scores = chosen_scores(study, cells)
    predictions = first_samples(read_table(StudyFolder(study.folder).predictions))
    folder = out or StudyFolder(study.folder).exports / to
    write = {"inspect": write_inspect_logs, "csv": write_csv}[to]
    try:
        write(study, folder, predictions, scores)
    except OSError as error:
        message = f"cannot write to {folder}: {error.strerror or error}; choose another folder with --out DIR"
        raise UserError([Problem("--out", message)]) from None


def write_inspect_logs(study: PlannedStudy, folder: Path, predictions: pl.DataFrame, scores: pl.DataFrame) -> None:
    """A log for every cell and task."""
    from eval.interop.inspect_logs import write_logs

    samples = scores.n_unique(["cell", "task", "id"])
    with progress("exporting", samples) as bar:
        summary = summarize(scores, study.groups, study.design)
        paths = write_logs(folder, origin_of(study), prompts_of(study), predictions, scores, summary, bar.advance)
    say(f"logs: {len(paths)}, samples: {samples:,}; to look at them: inspect view --log-dir {shlex.quote(str(folder))}")


def write_csv(study: PlannedStudy, folder: Path, predictions: pl.DataFrame, scores: pl.DataFrame) -> None:
    """A row per prediction, with a column for each metric, blank where there is no score, and the scorers' versions."""
    metrics = scores.pivot(on="metric", index=PLACE, values="value", aggregate_function="first", maintain_order=True)
    versions = scores.group_by(PLACE, maintain_order=True).agg(
        versions=pl.col("version").drop_nulls().unique(maintain_order=True).str.join("; ")
    )
    table = predictions
    for more in (metrics, versions):
        table = table.join(more, on=PLACE, how="inner", nulls_equal=True, maintain_order="left")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{study.recipe.study}.csv"
    with whole_file(path) as unfinished:
        table.write_csv(unfinished)
    say(f"rows: {table.height:,}, a column for each of {metrics.width - len(PLACE)} metrics: {path}")


def chosen_scores(study: PlannedStudy, cells: str | None) -> pl.DataFrame:
    """The scores of the chosen cells and the base; says which cells have none. Raises UserError if none has."""
    names = [cell.name for cell in choose(study.cells, cells)]
    path = StudyFolder(study.folder).scores
    if not path.is_file():
        raise UserError([Problem(str(path), "no scores yet; run: harness eval RECIPE")])
    current, stale = current_scores(study)
    scores = current.filter(pl.col("cell").is_in([BASE, *names]))
    if scores.is_empty():
        raise UserError([Problem(str(path), "no scores of the chosen cells; run: harness eval RECIPE")])
    reasons = {True: "scores of other weights only", False: "not evaluated"}
    left_out = [(name, reasons[name in stale]) for name in names if name not in set(scores["cell"])]
    for told in in_groups(left_out):
        say(f"{told}, so not exported; run: harness eval RECIPE")
    return scores


def prompts_of(study: PlannedStudy) -> pl.DataFrame:
    """The test prompts as models get them; none of a study evaluated before they were kept."""
    path = StudyFolder(study.folder).prompts
    return read_table(path) if path.is_file() else pl.DataFrame(schema=PROMPT_SCHEMA)


def origin_of(study: PlannedStudy) -> Origin:
    """What the logs say of where they come from; packages and commit are those of the export."""
    from eval.interop.inspect_logs import Origin

    evaluation, tasks, versions = study.recipe.evaluation, study.recipe.known_tasks, provenance()
    return Origin(
        study=study.recipe.study,
        base_identity=study.kept.model,
        created=datetime.fromtimestamp(StudyFolder(study.folder).scores.stat().st_mtime, UTC),
        packages=versions["packages"],
        git=versions["git"],
        sources={name: evaluation.sources.get(name, task.source) for name, task in tasks.items()},
        max_tokens={name: evaluation.decoded(name).max_tokens or task.max_tokens for name, task in tasks.items()},
        stop={name: evaluation.decoded(name).stop or () for name in tasks},
        temperature={name: evaluation.decoded(name).temperature for name in tasks},
    )
