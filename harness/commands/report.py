"""harness report: tables and pages from the stored scores alone."""

from __future__ import annotations

from pathlib import Path

from eval.analysis.groups import Kind
from harness.console import output
from harness.planning.kept_plan import planned_study
from harness.recipe.mothello import is_mothello
from harness.reporting.report import report_study
from harness.results import Answer, Result


class SummaryRow(Result):
    """A figure: of a run or a setting, by one metric, in one language or group of them."""

    cell: str
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
    summary: tuple[SummaryRow, ...]


def write_report(recipe: Path, runs: Path, as_json: bool) -> None:
    """Writes the report and prints its tables, or its summary as JSON. Raises UserError."""
    if is_mothello(recipe):
        from harness.othello.answers import report_mothello

        report_mothello(recipe, runs, as_json)
        return
    study = planned_study(recipe, runs)
    summary = report_study(study, None if as_json else output)
    if as_json:
        rows = tuple(SummaryRow(**row) for row in summary.to_dicts())
        print(ReportSummary(study=study.recipe.study, summary=rows).as_json())
