"""Tables of the report on what cells learned besides given targets: terms of the loss, and rows that models wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eval.analysis.generated import WrittenAndLearned, recovered_table
from eval.report.files import write_page
from eval.report.gallery import gallery
from harness.reporting.objectives import held_out_retrieval, objective_losses
from tests.synthetic import study_page

RECORD = {
    "loss": [2.0] * 8,
    "objective_align": [3.0, 2.0, None, 1.0, 1.0, 1.0, 1.0, 0.5],
    "objectives": {"align": {"layer": 9, "retrieval": {"en>es": {"pairs": 48, "before": 0.5, "after": 0.25}}}},
}


def study(*records: dict[str, Any]) -> Any:
    """Cells with these records."""
    return SimpleNamespace(
        plans=[SimpleNamespace(name=f"cell-{number}", run=SimpleNamespace(record=record))
               for number, record in enumerate(records)]
    )  # fmt: skip


def test_the_loss_of_a_term_is_averaged_over_its_first_and_last_steps() -> None:
    (row,) = objective_losses(study(RECORD, {"loss": [1.0]})).to_dicts()
    assert (row["cell"], row["term"], row["steps"], row["averaged"]) == ("cell-0", "align", 7, 5), "one is unknown"
    assert row["first"] == pytest.approx(8 / 5) and row["last"] == pytest.approx(4.5 / 5)


def test_held_out_retrieval_stands_beside_the_loss_with_its_interval(tmp_path: Path) -> None:
    losses, retrieval = objective_losses(study(RECORD)), held_out_retrieval(study(RECORD))
    (row,) = retrieval.to_dicts()
    assert (row["layer"], row["languages"], row["pairs"], row["before"], row["after"]) == (9, "en>es", 48, 0.5, 0.25)
    assert row["after_low"] < 0.25 < row["after_high"] < row["before_high"]
    page = replace(study_page(cells=2), written=WrittenAndLearned(objectives=losses, retrieval=retrieval))
    write_page(tmp_path, page, gallery(page))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Terms beside the likelihood" in text and "Held-out translations found" in text and "en and es" in text
    assert "25.0 (14.9 to 38.8)" in text and "Rows that models wrote" not in text


def test_a_study_without_them_shows_none(tmp_path: Path) -> None:
    page = replace(study_page(cells=2), written=WrittenAndLearned(recovered=recovered_table([], [])))
    write_page(tmp_path, page, gallery(page))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Terms beside the likelihood" not in text and "Rows that models wrote" not in text
    assert objective_losses(study({})).is_empty() and held_out_retrieval(study({})).is_empty()
