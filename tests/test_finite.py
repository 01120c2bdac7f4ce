"""What is no finite number leaves no command: not as JSON, CSV, LaTeX or a chart, nor does it take others with it."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from eval.analysis.groups import LanguageGroups
from eval.analysis.stats import estimate
from eval.analysis.summary import summarize
from eval.finite import finite_scores
from eval.report import files
from eval.report.files import write_report
from eval.scorers.metrics import metric_of
from harness.commands.report import ReportSummary, SummaryRow
from tests.synthetic import study_page

NOT_FINITE = re.compile(r"(?<![A-Za-z])(?:nan|inf|infinity)(?![A-Za-z])", re.IGNORECASE)
GROUPS = LanguageGroups(("en", "fr"), ("ja",))


def scores(**values: list[float]) -> pl.DataFrame:
    """Scores of one cell by length ratio, by language."""
    return pl.DataFrame([
        {"cell": "a", "task": "summarization", "metric": "length_ratio", "language": language, "item": f"{item}",
         "id": f"{item}/{language}", "value": value, "version": "v/1", "reason": None, "main": True}
        for language, given in values.items() for item, value in enumerate(given)
    ], schema_overrides={"reason": pl.String})  # fmt: skip


@pytest.mark.parametrize("value", [0.0, 0.7])
@pytest.mark.parametrize("runs", [1, 3])
def test_a_metric_without_a_best_value_has_no_interval_of_shares_at_its_ends(value: float, runs: int) -> None:
    found = estimate(np.full((runs, 5, 1), value), ends=metric_of("length_ratio").ends)
    assert found.mean == pytest.approx(value) and (found.low, found.high) == (None, None)


def test_a_language_of_empty_answers_leaves_no_nan_in_the_summary() -> None:
    summary = summarize(scores(en=[1.0, 1.2, 0.9], fr=[0.0, 0.0, 0.0], ja=[0.0, 0.5, 0.0]), GROUPS)
    for name in ("mean", "low", "high"):
        assert summary[name].drop_nulls().is_finite().all(), name
    rows = tuple(SummaryRow(**row, of="setting") for row in summary.to_dicts())
    assert not NOT_FINITE.search(ReportSummary(study="s", findings=(), notes=(), summary=rows).as_json())


def test_scores_that_are_no_numbers_are_unscored_and_said_to_be() -> None:
    table = finite_scores(scores(en=[1.0, math.nan], fr=[math.inf, 2.0]))
    assert table.select("value", "reason").rows() == [
        (1.0, None), (None, "the score is nan"), (None, "the score is inf"), (2.0, None),
    ]  # fmt: skip


def spoilt(page: Any) -> Any:
    """The page with figures that are no numbers, of one cell in one language."""
    here = (pl.col("cell") == "amount-0") & (pl.col("group") == "en")
    summary = page.summary.with_columns(
        mean=pl.when(here).then(math.inf).otherwise("mean"), low=pl.when(here).then(math.nan).otherwise("low")
    )
    wrong = page.scores.with_columns(value=pl.when(pl.col("language") == "fr").then(math.nan).otherwise("value"))
    (first, *others) = page.cells
    cells = [dataclasses.replace(first, loss=[1.0, math.nan, math.inf]), *others]
    return dataclasses.replace(page, summary=summary, scores=wrong, cells=cells)


def test_one_nan_takes_no_chart_and_leaves_in_no_file(tmp_path: Path) -> None:
    shown = write_report(tmp_path, spoilt(study_page(cells=2)))
    assert not shown.broken
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    held = re.findall(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert held

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    for text in held:
        json.loads(text, parse_constant=refuse)
    for file in [tmp_path / "summary.csv", *(tmp_path / "tables").iterdir()]:
        assert not NOT_FINITE.search(file.read_text(encoding="utf-8")), file
    assert (tmp_path / "figures" / "math-curves.svg").is_file()


def test_a_chart_that_cannot_be_drawn_takes_no_other_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = files.as_svg

    def fails(spec: Any) -> str:
        if "math-heatmap" in json.dumps(spec.get("datasets", {})) or spec.get("mark") == "breaks":
            raise ValueError("no such mark")
        return draw(spec)

    monkeypatch.setattr(files, "as_svg", fails)
    gallery = files.gallery

    def with_a_broken_one(page: Any) -> Any:
        shown = gallery(page)
        first, *others = shown.tasks["math"]
        shown.tasks["math"] = [dataclasses.replace(first, spec=first.spec | {"mark": "breaks"}), *others]
        return shown

    monkeypatch.setattr(files, "gallery", with_a_broken_one)
    shown = write_report(tmp_path, study_page(cells=2))
    assert shown.broken == {"math-curves": "no such mark"}
    assert (tmp_path / "figures" / "math-heatmap.svg").is_file() and (tmp_path / "report.html").is_file()
    assert not (tmp_path / "figures" / "math-curves.svg").exists()
