"""harness report: tables and pages from the stored scores alone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from eval.analysis.groups import Kind
from eval.report.validation import selection_table
from harness.console import output
from harness.planning.kept_plan import planned_study
from harness.recipe.mothello import is_mothello
from harness.reporting.report import report_study
from harness.results import Answer, Result

Of = Literal["model", "run", "setting"]
WRITTEN = ("generated", "recovered", "objectives", "retrieval")
"""Tables of `eval.analysis.generated.WrittenAndLearned`."""


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


class WrittenRows(Result):
    """What became of the prompts of one source in one language, whose targets a model wrote."""

    source: str
    written_by: str
    language: str
    prompts: int
    kept: int
    share: float
    """Kept of the prompts, with its 95 % interval."""
    share_low: float
    share_high: float
    metric: str
    score: float | None
    """Of the targets kept, by the hidden ones."""
    score_low: float | None
    score_high: float | None
    scored: int
    score_of_all: float | None
    """Of what would be the targets if none were left out."""
    score_of_all_low: float | None
    score_of_all_high: float | None
    scored_of_all: int
    left_out: str
    """How many for which reason."""


class GapRecovered(Result):
    """What training on a model's own targets gains, of what gold targets gain."""

    task: str
    metric: str
    cell: str
    gold: str
    """The setting on the source's own targets."""
    zero_shot: str
    """The model that wrote."""
    languages: str
    runs: int
    items: int
    gained: float | None
    gained_low: float | None
    gained_high: float | None
    by_gold: float | None
    by_gold_low: float | None
    by_gold_high: float | None
    recovered: float | None
    """The first over the second; null where the second is within noise."""
    recovered_low: float | None
    recovered_high: float | None


class TermLoss(Result):
    """What a term beside the likelihood came to, without its weight."""

    cell: str
    term: str
    steps: int
    averaged: int
    """Over how many steps each mean is."""
    first: float
    last: float


class Retrieval(Result):
    """How often translations of held-out pairs are found in the layer that is aligned."""

    cell: str
    layer: int
    languages: str
    pairs: int
    before: float
    before_low: float
    before_high: float
    after: float
    after_low: float
    after_high: float


class Compared(Result):
    """What chose the step whose weights a cell has, at one step in one language."""

    cell: str
    task: str
    """The task whose validation prompts were answered; blank where losses chose."""
    metric: str
    """By which answers were scored; or `loss`, in nats per supervised token."""
    language: str
    step: int
    value: float
    rows: int | None
    """Validation rows that it is over; null in records of earlier versions."""
    kept: bool
    """Whether this is the step whose weights are kept."""


class ReportSummary(Answer):
    """All figures of a report."""

    study: str
    findings: tuple[str, ...]
    notes: tuple[str, ...]
    """What to know before the figures are read: cells without scores, completions cut off, and so on."""
    summary: tuple[SummaryRow, ...]
    generated: tuple[WrittenRows, ...] = ()
    """What models wrote to be trained on, where a study has such rows."""
    recovered: tuple[GapRecovered, ...] = ()
    objectives: tuple[TermLoss, ...] = ()
    """Terms beside the likelihood, where cells have them."""
    retrieval: tuple[Retrieval, ...] = ()
    validation: tuple[Compared, ...] = ()
    """What chose the steps whose weights are kept, where a study has `selection`."""


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
        written = {name: getattr(page.written, name).to_dicts() for name in WRITTEN}
        written["validation"] = selection_table(page.cells).to_dicts()
        summary = {"study": study.recipe.study, "findings": findings, "notes": notes, "summary": rows}
        print(ReportSummary.model_validate(summary | written).as_json())
