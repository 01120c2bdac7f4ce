"""The report stage: from the stored scores to tables, a page and a summary."""

from __future__ import annotations

from typing import Any

import polars as pl
from rich.console import Console

from data_mixes.storage import write_text
from eval.report.html import html_page
from eval.report.tables import task_tables
from eval.report.terminal import print_tables
from eval.transfer import LanguageGroups, summarize
from harness.errors import Problem, UserError
from harness.evaluation import BASE, SCORES
from harness.progress import say
from harness.runs import provenance
from harness.study import Study


def report_study(study: Study, console: Console | None) -> pl.DataFrame:
    """Writes report.html and summary.parquet, prints the tables, and returns the summary.

    Raises UserError if nothing was scored yet.
    """
    path = study.folder / SCORES
    if not path.is_file():
        raise UserError([Problem(str(path), "no scores yet; run: harness eval RECIPE")])
    scores, stale = current_scores(study)
    groups = LanguageGroups(study.recipe.languages.seen, study.recipe.languages.unseen)
    summary = summarize(scores, groups)
    summary.write_parquet(study.folder / "summary.parquet")
    cells = [BASE, *(cell.name for cell in study.cells)]
    tables = task_tables(summary, groups, cells)
    page = html_page(
        study.recipe.study, study.model.identity, tables, groups, mixtures(study), study.cards(), page_provenance(study)
    )
    write_text(study.folder / "report.html", page)
    if console:
        print_tables(tables, groups, console)
        say(f"report: {study.folder / 'report.html'}, scores: {path}")
        if stale:
            say(f"scores of other adapters are left out: {', '.join(stale)}; run: harness eval RECIPE")
        unscored = [cell.name for cell in study.cells if cell.name not in set(scores["cell"])]
        if unscored:
            say(f"not evaluated: {', '.join(unscored)}")
    return summary


def current_scores(study: Study) -> tuple[pl.DataFrame, list[str]]:
    """The stored scores of the base and of the adapters there are now; and cells whose scores are of others."""
    scores = pl.read_parquet(study.folder / SCORES)
    now = {plan.name: plan.run.record.get("adapter") for plan in study.plans} | {BASE: None}
    stored = scores.select("cell", "adapter").unique(maintain_order=True).iter_rows()
    stale = [cell for cell, adapter in stored if cell not in now or now[cell] != adapter]
    return scores.filter(~pl.col("cell").is_in(stale)), stale


def mixtures(study: Study) -> list[dict[str, Any]]:
    """What each cell was trained on, one row a cell."""
    rows: list[dict[str, Any]] = []
    for plan in study.plans:
        per_language: dict[str, int] = {}
        for count in plan.counts:
            per_language[count.language] = per_language.get(count.language, 0) + count.examples
        record = plan.run.record
        rows.append(
            {"cell": plan.name}
            | {language: per_language.get(language, 0) for language in study.recipe.languages.seen}
            | {
                "tokens": sum(count.tokens for count in plan.counts),
                "supervised tokens": sum(count.supervised_tokens for count in plan.counts),
                "steps": plan.steps,
                "seconds": record.get("seconds", ""),
                "last loss": f"{record['loss'][-1]:.3f}" if record.get("loss") else "",
            }
        )
    return rows


def page_provenance(study: Study) -> dict[str, object]:
    """Versions, states and fingerprints, for the foot of the page."""
    found = provenance()
    return {
        "base model": study.model.identity,
        "prompts": study.renderer.template_hash,
        "made": found["time"],
        "code": found["git"] or "not a git checkout",
        "packages": ", ".join(f"{name} {number}" for name, number in found["packages"].items()),
    } | {f"cell {plan.name}": plan.run.record.get("fingerprint", "not trained") for plan in study.plans}


def status_data(study: Study) -> dict[str, Any]:
    """State, steps done and items scored per cell, as plain data."""
    scored: dict[str, int] = {}
    if (study.folder / SCORES).is_file():
        scores, _ = current_scores(study)
        examples = scores.filter(pl.col("value").is_not_null()).unique(["cell", "task", "id"])
        scored = dict(examples.group_by("cell").len().iter_rows())
    wanted = sum(len(each.examples) for each in study.evaluation_sets)
    wanted += sum(len(each.items) for each in study.lm_eval_sets)
    cells = [
        {
            "name": plan.name,
            "state": plan.run.record.get("state", "new"),
            "steps": f"{steps_done(plan.run, plan.steps)}/{plan.steps}",
            "scored": scored.get(plan.name, 0),
            "wanted": wanted,
        }
        for plan in study.plans
    ]
    if study.recipe.evaluation.base:
        cells = [
            {"name": BASE, "state": "untuned", "steps": "", "scored": scored.get(BASE, 0), "wanted": wanted},
            *cells,
        ]
    return {"study": study.recipe.study, "folder": str(study.folder), "cells": cells}


def steps_done(run: Any, steps: int) -> int:
    """Steps of a trained cell, or those of its last whole checkpoint."""
    if run.trained:
        return steps
    found = [int(folder.name.rpartition("-")[2]) for folder in run.checkpoints.glob("checkpoint-*")]
    return max(found, default=0)
