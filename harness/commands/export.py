"""The export stage: predictions, scores and trained models in the formats of other programs."""

from __future__ import annotations

import shlex
import shutil
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from data_mixes.storage import whole_file, whole_folder, write_text
from eval.analysis.summary import summarize
from eval.predictions_and_scores import PROMPT_SCHEMA, first_samples
from harness.console import in_groups, progress, say, waiting
from harness.errors import Problem, UserError, suggestion
from harness.models.base import find_model
from harness.planning.kept_plan import KeptBase, PlannedCell, PlannedStudy
from harness.recipe.grid import choose
from harness.recipe.schema import Recipe
from harness.reporting.current import current_scores, read_table
from harness.reporting.model_card import is_of_hub, model_card
from harness.runs.folder import StudyFolder
from harness.runs.provenance import provenance

if TYPE_CHECKING:
    from eval.interop.inspect_logs import Origin

RESULTS, MODELS = ("inspect", "csv"), ("hf", "merged")
FORMATS = (*RESULTS, *MODELS)
"""Of what models wrote and scored, and of the trained models themselves."""
NAMED_BY_PATH = (
    "adapter_config.json names the base model by its folder on this machine; before you give it to others, set "
    "base_model_name_or_path there, and base_model in README.md, to its id on the Hugging Face hub"
)
PLACE = ["cell", "weights", "task", "language", "item", "id"]
"""What tells one prediction from another."""


def export_study(study: PlannedStudy, to: str, cells: str | None, out: Path | None) -> None:
    """Writes the chosen cells in a format of FORMATS; results with those of the base model, as far as there are any.

    Raises UserError for another format, one whose library is not installed, a folder that cannot be written to, and
    where nothing chosen was scored or trained.
    """
    if to not in FORMATS:
        raise UserError([Problem("--to", f"no format {to!r}; {suggestion(to, FORMATS)}")])
    if to == "inspect" and find_spec("inspect_ai") is None:
        raise UserError([Problem("--to", "inspect_ai is not installed: pip install '.[inspect]'")])
    folder = out or StudyFolder(study.folder).exports / to
    try:
        if to in MODELS:
            write_models(study, folder, to == "merged", cells, replace=out is None)
        else:
            scores = chosen_scores(study, cells)
            predictions = first_samples(read_table(StudyFolder(study.folder).predictions))
            write = {"inspect": write_inspect_logs, "csv": write_csv}[to]
            write(study, folder, predictions, scores)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        message = f"cannot write to {folder}: {error.strerror or error}; choose another folder with --out DIR"
        raise UserError([Problem("--out", message)]) from None


def write_inspect_logs(study: PlannedStudy, folder: Path, predictions: pl.DataFrame, scores: pl.DataFrame) -> None:
    """A log for every cell and task."""
    from eval.interop.inspect_logs import write_logs

    samples = scores.n_unique(["cell", "task", "id"])
    with progress("exporting", samples) as bar:
        summary = summarize(scores, study.groups, study.design)
        paths: list[Path] = []
        for base in study.kept.bases:
            part = scores.filter(pl.col("cell").is_in(study.models_of(base)))
            paths += write_logs(
                folder, origin_of(study, base), prompts_of(study, base), predictions, part, summary, bar.advance
            )
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


def write_models(study: PlannedStudy, folder: Path, merged: bool, cells: str | None, replace: bool) -> None:
    """A folder per trained cell, with a model card: what was trained, or the base model with its adapter merged in.

    Folders of the same names are replaced, if that is wanted, or else refused. Raises UserError.
    """
    plans, recipes = trained_cells(study, cells), {cell.name: cell.recipe for cell in study.cells}
    if merged and (rounded := [plan.name for plan in plans if recipes[plan.name].base_model.quantization != "none"]):
        message = "adapters on a base of four bits cannot be merged into it; export them with --to hf"
        raise UserError([Problem(name, message) for name in rounded])
    there = [folder / plan.name for plan in plans if not replace and (folder / plan.name).exists()]
    if there:
        raise UserError(
            [Problem("--out", f"{path} is there already; remove it, or name another folder") for path in there]
        )
    summary = summary_of(study)
    for plan in plans:
        weights, recipe = plan.run.weights, recipes[plan.name]
        merges = merged and weights.kind == "adapter"
        with whole_folder(folder / plan.name) as unfinished:
            if merges:
                told = merge(study, recipe, weights.folder, unfinished)
            else:
                shutil.copytree(weights.folder, unfinished, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)
                told = "the adapter" if weights.kind == "adapter" else "a whole model, as it was trained"
            card = model_card(study, plan, recipe, "merged" if merges else weights.kind, summary.get(plan.name))
            write_text(unfinished / "README.md", card)
        say(f"{folder / plan.name}: {told}, with a model card")
        if weights.kind == "adapter" and not merges and not is_of_hub(study, plan.name, recipe):
            say(NAMED_BY_PATH)


def merge(study: PlannedStudy, recipe: Recipe, adapter: Path, folder: Path) -> str:
    """Writes the base model with an adapter merged into it; what to tell of that."""
    from harness.training.merging import write_merged

    model, dtype = recipe.base_model, study.kept.dtype
    with waiting(f"merging {adapter}"):
        base = find_model(model.name, model.revision)
        return f"merged; {write_merged(base, dtype, model.trust_remote_code, adapter, folder).in_words(dtype)}"


def trained_cells(study: PlannedStudy, cells: str | None) -> list[PlannedCell]:
    """The chosen cells whose weights are here; says which are not trained. Raises UserError if none is."""
    chosen = {cell.name for cell in choose(study.cells, cells)}
    plans = [plan for plan in study.plans if plan.name in chosen]
    damaged = {damage.cell for damage in study.damage}
    reasons = {
        plan.name: "removed after evaluation, as training.keep says" if plan.run.weights_removed
        else "damaged" if plan.name in damaged or (plan.run.trained and plan.run.weights.hash != plan.run.weights_hash)
        else "" if plan.run.trained else plan.run.record.get("state", "not trained")
        for plan in plans
    }  # fmt: skip
    for told in in_groups([(name, reason) for name, reason in reasons.items() if reason]):
        say(f"{told}, so not exported")
    there = [plan for plan in plans if not reasons[plan.name]]
    if not there:
        raise UserError([Problem(str(study.folder), "no weights of the chosen cells; run: harness train RECIPE")])
    return there


def summary_of(study: PlannedStudy) -> dict[str, pl.DataFrame]:
    """Cell → its scores and the base model's, of the cells that are scored with the weights they have."""
    if not StudyFolder(study.folder).scores.is_file():
        return {}
    scores, _ = current_scores(study)
    summary = summarize(scores, study.groups, study.design)
    cells = [cell for cell in scores["cell"].unique() if cell in study.base_names]
    return {cell: summary.filter(pl.col("cell").is_in([study.base_names[cell], cell])) for cell in cells}


def chosen_scores(study: PlannedStudy, cells: str | None) -> pl.DataFrame:
    """The scores of the chosen cells and the base; says which cells have none. Raises UserError if none has."""
    names = [cell.name for cell in choose(study.cells, cells)]
    path = StudyFolder(study.folder).scores
    if not path.is_file():
        raise UserError([Problem(str(path), "no scores yet; run: harness eval RECIPE")])
    current, stale = current_scores(study)
    scores = current.filter(pl.col("cell").is_in([*study.untuned, *names, *study.outside]))
    if scores.is_empty():
        raise UserError([Problem(str(path), "no scores of the chosen cells; run: harness eval RECIPE")])
    reasons = {True: "scores of other weights only", False: "not evaluated"}
    left_out = [(name, reasons[name in stale]) for name in names if name not in set(scores["cell"])]
    for told in in_groups(left_out):
        say(f"{told}, so not exported; run: harness eval RECIPE")
    return scores


def prompts_of(study: PlannedStudy, base: KeptBase) -> pl.DataFrame:
    """The test prompts as the models of a base get them; none of a study evaluated before they were kept."""
    path = StudyFolder(study.folder).prompts
    table = read_table(path) if path.is_file() else pl.DataFrame(schema=PROMPT_SCHEMA)
    return table.filter(base=base.name) if "base" in table.columns else table


def origin_of(study: PlannedStudy, base: KeptBase) -> Origin:
    """What the logs say of where they come from; packages and commit are those of the export."""
    from eval.interop.inspect_logs import Origin

    evaluation, tasks, versions = study.recipe.evaluation, study.recipe.known_tasks, provenance()
    return Origin(
        study=study.recipe.study,
        base_identity=base.model,
        created=datetime.fromtimestamp(StudyFolder(study.folder).scores.stat().st_mtime, UTC),
        packages=versions["packages"],
        git=versions["git"],
        sources={name: evaluation.sources.get(name, task.source) for name, task in tasks.items()},
        max_tokens={name: evaluation.decoded(name).max_tokens or task.max_tokens for name, task in tasks.items()},
        stop={name: evaluation.decoded(name).stop or () for name in tasks},
        temperature={name: evaluation.decoded(name).temperature for name in tasks},
    )
