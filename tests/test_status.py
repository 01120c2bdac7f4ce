"""What `harness status` prints of few cells and of many."""

from __future__ import annotations

import pytest

from harness.commands import status as command
from harness.commands.status import CellStatus, StudyStatus, show_status


def cell(name: str, state: str, **others: object) -> CellStatus:
    given = {"name": name, "state": state, "steps_done": 0, "steps": 10, "scored": 0, "wanted": 4} | others
    return CellStatus.model_validate(given)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> StudyStatus:
    """A study of 1,000 cells, of which half are trained, one is being trained, and one failed."""
    cells = [cell(f"amount-{number}", "trained" if number < 500 else "new", scored=4 * (number < 500))
             for number in range(998)]  # fmt: skip
    cells += [cell("amount-998", "training", held_by="process 7"), cell("amount-999", "failed", reason="no memory")]
    status = StudyStatus(study="large", folder="runs/large", cells=tuple(cells))
    monkeypatch.setattr(command, "is_mothello", lambda recipe: False)
    monkeypatch.setattr(command, "planned_study", lambda recipe, runs: None)
    monkeypatch.setattr(command, "status_of", lambda study: status)
    return status


@pytest.mark.usefixtures("many")
def test_of_many_cells_those_are_shown_that_something_happens_to(capfd: pytest.CaptureFixture[str]) -> None:
    show_status(command.Path("large.yaml"), command.Path("runs"), as_json=False)
    shown = capfd.readouterr().out
    assert "amount-998  training by process 7" in shown and "amount-999" in shown and "amount-7 " not in shown
    assert "large: 500 trained, 498 new, 1 training, 1 failed; 2,000 of 4,000 test items scored" in shown
    assert "Every cell: harness status RECIPE -v" in shown and "amount-999: failed: no memory" in shown


@pytest.mark.usefixtures("many")
def test_all_cells_are_shown_where_that_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    show_status(command.Path("large.yaml"), command.Path("runs"), as_json=False, verbose=True)
    shown = capfd.readouterr().out
    assert all(f"amount-{number} " in shown for number in (0, 7, 997)) and "Every cell" not in shown
