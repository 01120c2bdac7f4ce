"""harness report: tables and pages from the stored scores alone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from eval.analysis.groups import Kind
from harness.console import output
from harness.planning.kept_plan import planned_study
from harness.recipe.mothello import is_mothello
from harness.reporting.report import report_study
from harness.results import Answer, Result

Of = Literal["model", "run", "setting"]


class SummaryRow(Result):
    """A figure: of a run or a setting, by one metric, in one language or group of them."""

    cell: str
    of: Of
    """A model that the study did not train, one of a setting's runs, or a setting: the mean of its runs."""
    runs: int
    """How many runs it is over."""
    task: str
    metric: str
    main: bool
    """Whether this is the task's main metric."""
    group: str
    """A language, a group of languages, or a figure made of two groups."""
    kind: Kind
    languages: str
    mean: float | None
    low: float | None
    high: float | None
    """The ends of the 95 % interval."""
    scored: int
    """Predictions that it is over."""
    unscored: int
    no_answer: int
    """Scored predictions in which no answer was found."""
    version: str
    """Of the scorers."""


class ReportSummary(Answer):
    """All figures of a report."""

    study: str
    findings: tuple[str, ...]
    notes: tuple[str, ...]
    """What to know before the figures are read: cells without scores, completions cut off, and so on."""
    summary: tuple[SummaryRow, ...]


def write_report(recipe: Path, runs: Path, as_json: bool) -> None:
    """Writes the report and prints its tables, or its summary as JSON. Raises UserError."""
    if is_mothello(recipe):
        from harness.othello.answers import report_mothello

        report_mothello(recipe, runs, as_json)
        return
    study = planned_study(recipe, runs)
    page = report_study(study, None if as_json else output)
    if as_json:
        settings = study.design.settings if study.design.trains else {}
        cells = {plan.name for plan in study.plans}

        def of(name: str) -> Of:
            return "setting" if name in settings else "run" if name in cells else "model"

        rows = tuple(SummaryRow(**row, of=of(row["cell"])) for row in page.summary.to_dicts())
        findings, notes = tuple(page.sentences), tuple(page.notes)
        print(ReportSummary(study=study.recipe.study, findings=findings, notes=notes, summary=rows).as_json())
