"""The report stage: from the stored scores and records to what a report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from data_mixes.storage import DamagedError, is_writable, set_aside, write_text
from data_mixes.templates.embedded import EmbeddedSource
from eval.analysis.design import BASE, Design
from eval.analysis.noise import generation_noise, noise_notes
from eval.analysis.panel import CLUSTER
from eval.finite import finite_table
from eval.generation.generate import CANARY, kept_verdicts
from eval.labels import label_notes
from eval.predictions_and_scores import cut_off_notes, endings, first_samples
from eval.report.files import gallery_of, write_report
from eval.report.findings import sentences
from eval.report.headlines import headlines
from eval.report.page import CellFacts, Page, Selection
from eval.report.terminal import print_tables
from eval.report.validation import selection_table
from eval.scorers.language import candidates_of
from eval.tasks import TASKS
from harness.console import say
from harness.errors import Problem, UserError
from harness.planning.design import is_scale, other_places, setting_places
from harness.planning.kept_plan import PlannedCell, PlannedStudy
from harness.recipe.grid import only_evaluated
from harness.recipe.schema import Recipe
from harness.recipe.tested import tested_source_name
from harness.recipe.yaml_files import as_yaml
from harness.reporting.analysis import Analysis, analysed
from harness.reporting.current import read_compact, read_table, scores_with_steps, without_steps
from harness.runs.folder import StudyFolder
from harness.runs.provenance import provenance
from harness.runs.record import read_json


def report_study(study: PlannedStudy, console: Console | None) -> Page:
    """Writes the report (see eval.report.files), prints the tables, and returns all of it.

    Where the study's folder can only be read, nothing is written. Raises UserError if nothing was scored yet, or only
    weights that are gone.
    """
    path = StudyFolder(study.folder).scores
    everything, stale = scores_with_steps(study)
    scores = without_steps(everything)
    if scores.is_empty():
        message = f"holds no scores of the weights there are now, only of {', '.join(stale)}; run: harness eval RECIPE"
        raise UserError([Problem(str(path), message)])
    analysis = analysed(study, scores, everything)
    predictions, noise = current_predictions(study, stale), noise_of(study, stale, analysis.summary)
    page = replace(study_page(study, scores, stale, analysis, predictions), noise=noise)
    if noise is not None:
        page = replace(page, notes=[*page.notes, *noise_notes(noise, study.groups)])
    kept = is_writable(study.folder)
    if kept:
        make_way(study)
        tables = analysis.tables | {"validation": selection_table(page.cells)}
        write_tables(StudyFolder(study.folder), tables, predictions, noise)
    shown = write_report(study.folder, page) if kept else gallery_of(page)
    for name, reason in shown.broken.items():
        say(f"figures/{name} could not be drawn: {reason}")
    if console:
        print_tables(shown.primary, page.groups, console)
        tell_where(StudyFolder(study.folder), kept)
        for note in page.notes:
            say(note)
    return page


def make_way(study: PlannedStudy) -> None:
    """Sets aside folders that stand where a report has files, and the reverse; they were named already."""
    files = StudyFolder(study.folder)
    for path in {*files.report_files, *files.report_folders, *files.path.glob("*.csv")}:
        if path in {damage.path for damage in study.damage}:
            set_aside(path)


def write_tables(
    files: StudyFolder, tables: Mapping[str, pl.DataFrame], predictions: pl.DataFrame | None, noise: pl.DataFrame | None
) -> None:
    """Writes the tables as CSV, and removes those without rows."""
    for name, table in tables.items():
        if len(table):
            write_text(files.table(name), table.write_csv())
        else:
            files.table(name).unlink(missing_ok=True)
    if predictions is not None:
        write_text(files.table("endings"), endings(predictions).write_csv())
    if noise is not None:
        write_text(files.table("noise"), noise.write_csv())


def tell_where(files: StudyFolder, kept: bool) -> None:
    """Says where the report is, if anything could be written."""
    if kept:
        say(f"report: {files.report}, scores: {files.scores}")
        say(f"for papers: {files.tables} (LaTeX), {files.figures} (SVG, PNG, PDF)")
    else:
        say(f"{files.path} can only be read, so no page, tables or figures are written there")


def study_page(
    study: PlannedStudy, scores: pl.DataFrame, stale: list[str], analysis: Analysis, predictions: pl.DataFrame | None
) -> Page:
    """All that the report shows."""
    groups, design, comparisons = study.groups, study.design, analysis.comparisons
    seconds = training_seconds(study)
    cards = headlines(scores, analysis.summary, comparisons, groups, design)
    told = sentences(
        analysis.summary, comparisons, analysis.curves, groups, design, seconds, analysis.transfer, analysis.highest
    )
    return Page(
        study=study.recipe.study,
        model=study.kept.model,
        base=BASE if BASE in set(scores["cell"]) else None,
        bases={name: base for name, base in design.bases.items() if base in set(scores["cell"])},
        groups=groups,
        cells=[cell_facts(plan, design) for plan in study.plans if plan.name in study.evaluated],
        settings=setting_places(study.recipe, only_evaluated(study.cells)) or {name: {} for name in design.settings},
        outside=list(study.outside),
        axis=axis_of_numbers(study.recipe),
        also=other_places(study.recipe, only_evaluated(study.cells)),
        summary=analysis.summary,
        scores=scores,
        predictions=None if predictions is None else first_samples(predictions),
        endings=None if predictions is None else endings(predictions),
        cards={cell.name: [asdict(row) for row in cell.card] for cell in study.kept.cells if cell.card},
        provenance=page_provenance(study),
        recipe=as_yaml(study.raw),
        notes=notes_on_cells(study, scores, stale)
        + notes_on_clusters(scores)
        + notes_on_embedded(study.recipe)
        + ([] if predictions is None else [*cut_off_notes(endings(predictions)), *label_notes(predictions)]),
        headlines=cards,
        sentences=told,
        labels=study.recipe.report.labels,
        amounts=study.recipe.report.amounts,
        prompts=stored_table(StudyFolder(study.folder).prompts) if len(study.kept.hosts) == 1 else None,
        candidates=answer_languages(scores),
        comparisons=comparisons if len(comparisons) else None,
        transfer=analysis.transfer,
        consistency=analysis.consistency,
        checkpoints=analysis.along,
        blocks=analysis.blocks,
        layers=analysis.layers,
        few_shot=analysis.few_shot,
        stages=analysis.stages,
        continual=analysis.continual,
        conditions=analysis.conditions,
        written=analysis.written,
        reference=study.references if len(study.references) else None,
    )


def training_seconds(study: PlannedStudy) -> dict[str, float]:
    """Setting → the mean seconds that its runs took to train, where that is recorded of all of them."""
    recorded = {plan.name: plan.run.record.get("seconds") for plan in study.plans}
    taken = {name: [recorded.get(run) for run in runs] for name, runs in study.design.settings.items()}
    return {name: sum(filter(None, values)) / len(values) for name, values in taken.items() if all(values)}


def axis_of_numbers(recipe: Recipe) -> str | None:
    """The first axis of amounts that curves can run along."""
    return next((name for name, axis in recipe.axes.items() if is_scale(axis)), None)


def notes_on_clusters(scores: pl.DataFrame) -> list[str]:
    """Tasks whose items are in clusters, and how many these are."""
    if CLUSTER not in scores.columns:
        return []
    known = scores.filter(pl.col(CLUSTER).is_not_null())
    counts = known.group_by("task", maintain_order=True).agg(pl.col("item", CLUSTER).n_unique())
    told = [f"{task} has {items:,} items in {clusters:,} clusters" for task, items, clusters in counts.iter_rows()
            if clusters < items]  # fmt: skip
    if not told:
        return []
    return [
        f"{'; '.join(told)}. Items of one cluster, such as a template, are alike, so intervals, tests and the n of "
        "differences count clusters"
    ]


def notes_on_embedded(recipe: Recipe) -> list[str]:
    """Tasks that are tested on items that ship with the harness, and what these can show."""
    sources = {task: recipe.known_sources[tested_source_name(recipe, task)] for task in recipe.evaluation.tasks}
    tasks = [task for task, source in sources.items() if isinstance(source, EmbeddedSource)]
    shown = (
        "short items made of a few templates, which show what carries over between languages, not how good a model is"
    )
    return [f"{', '.join(tasks)}: {shown}"] if tasks else []


def notes_on_cells(study: PlannedStudy, scores: pl.DataFrame, stale: list[str]) -> list[str]:
    """Cells that the report has no scores of, and why."""
    notes: list[str] = []
    if stale:
        notes.append(f"scores of other weights are left out: {', '.join(stale)}; run: harness eval RECIPE")
    diverged = [plan.name for plan in study.plans if plan.run.record.get("state") == "diverged"]
    if diverged:
        notes.append(f"diverged in training, and left out: {', '.join(diverged)}")
    shared = [" = ".join(cell.names) for cell in study.cells if cell.also]
    if shared:
        notes.append(f"the same training on the same rows, run once: {'; '.join(shared)}")
    scored, wanted = (
        set(scores["cell"]),
        [*(plan.name for plan in study.plans if plan.name in study.evaluated), *study.outside],
    )
    missing = [name for name in wanted if name not in {*scored, *stale, *diverged}]
    if missing:
        notes.append(f"not evaluated: {', '.join(missing)}")
    return notes


def current_predictions(study: PlannedStudy, stale: list[str]) -> pl.DataFrame | None:
    """The stored predictions that the scores are of, if there are any."""
    stored = stored_table(StudyFolder(study.folder).predictions)
    return None if stored is None else without_steps(stored.filter(~pl.col("cell").is_in(stale)))


def stored_table(path: Path) -> pl.DataFrame | None:
    """A table of the study, if it is there and can be read; that it is damaged was already reported."""
    try:
        return read_compact(path)
    except (FileNotFoundError, DamagedError):
        return None


def answer_languages(scores: pl.DataFrame) -> list[str]:
    """The languages that the scorer of languages told answers to be in, by the versions of its scores."""
    versions = scores.filter(metric="language_pass")["version"].unique().sort()
    return list(dict.fromkeys(name for version in versions for name in candidates_of(version)))


def noise_of(study: PlannedStudy, stale: list[str], summary: pl.DataFrame) -> pl.DataFrame | None:
    """What generating again changed, where the study does."""
    path = StudyFolder(study.folder).repeats
    if study.recipe.evaluation.repeats == 1 or not path.is_file():
        return None
    try:
        repeats = without_steps(read_table(path).filter(~pl.col("cell").is_in(stale)))
    except DamagedError:  # it was already reported
        return None
    return finite_table(generation_noise(repeats, study.groups, summary))


def cell_facts(plan: PlannedCell, design: Design) -> CellFacts:
    """What the plan and the run's record say of a cell."""
    examples: dict[str, int] = {}
    for count in plan.counts:
        examples[count.language] = examples.get(count.language, 0) + count.examples
    record = plan.run.record
    return CellFacts(
        name=plan.name,
        examples=examples,
        tokens=sum(count.tokens for count in plan.counts),
        supervised_tokens=sum(count.supervised_tokens for count in plan.counts),
        steps=plan.steps,
        state=record.get("state", "new"),
        seconds=record.get("seconds"),
        tokens_per_second=record.get("tokens_per_second"),
        model_flops_utilization=record.get("model_flops_utilization"),
        device=record.get("device", ""),
        processes=record.get("processes"),
        loss=record.get("loss", ()),
        learning_rate=record.get("learning_rate", ()),
        gradient_norm=record.get("gradient_norm", ()),
        selection=selection_of(record),
        setting=next(name for name, runs in design.settings.items() if plan.name in runs),
    )


def selection_of(record: Mapping[str, Any]) -> Selection | None:
    """How the step whose weights a cell has was chosen; None where it is the last one."""
    chosen = record.get("selection")
    if chosen is None:
        return None
    selection = Selection(chosen["step"], chosen["curve"], rows=record.get("validation_rows", {}))
    task, _, metric = chosen.get("by", "loss").partition(" ")
    return selection if task == "loss" else replace(selection, task=task, metric=metric or TASKS[task].metric)


def page_provenance(study: PlannedStudy) -> dict[str, str]:
    """Versions, states and fingerprints, for the foot of the page: of the report, then of each cell."""
    versions = provenance()
    verdicts = kept_verdicts(StudyFolder(study.folder).evaluation / CANARY)
    return {
        "base models"
        if len(study.kept.bases) > 1
        else "base model": f"{study.kept.model}, in {study.kept.dtype}: {study.kept.dtype_reason}",
        "engine": (read_json(StudyFolder(study.folder).study) or {}).get("engine", "not recorded"),
        "prompts": ", ".join(dict.fromkeys(base.prompts for base in study.kept.bases)),
        "report made": f"{versions['time']}, {code_and_machine(versions)}",
        "packages": ", ".join(f"{name} {number}" for name, number in versions["packages"].items()),
    } | {plan.name: provenance_of(plan, verdicts) for plan in study.plans}


def code_and_machine(versions: Mapping[str, Any]) -> str:
    """The state of the code, the Python and the machine of a provenance."""
    code = f"code {versions['git']}" if versions["git"] else "not a git checkout"
    return f"{code}, Python {versions['python']}, {versions['machine']}, {versions['cores']} cores"


def provenance_of(plan: PlannedCell, canary: Mapping[str, Any]) -> str:
    """A cell's fingerprint, where and when it was trained, and whether the engine passed the gate with its weights."""
    record = plan.run.record
    if "provenance" not in record:
        return f"fingerprint {record['fingerprint']}, not finished" if record else "not trained"
    where = f"fingerprint {record['fingerprint']}, {record['provenance']['time']}, "
    where += code_and_machine(record["provenance"])
    where += f", begun {plan.run.earlier}" if plan.run.earlier else ""
    of_weights = (verdict for verdict in canary.values() if plan.run.weights_hash in (verdict.get("of") or ()))
    verdict = next(of_weights, canary.get(plan.name))  # a cell may have had another name then
    if verdict is None:
        return where
    gate = "passed" if verdict["conclusive"] else "passed, but the weights change too little to tell"
    return f"{where}; canary gate {gate if verdict['passed'] else 'failed'}"
