"""What a log says of a long piece of work: the first step, the pace, and that it still goes on."""

from __future__ import annotations

import time

import pytest

from harness import console as told
from harness.console import LineProgress, progress, waiting


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds on a clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_the_first_step_is_said_and_the_pace_is_that_of_the_others(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = LineProgress("training", 10)
    clock[0] += 60
    lines.advance(1, "loss 2.0")
    for _ in range(9):
        clock[0] += 5
        lines.advance(1)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "training: 1/10 after 0:01:00, loss 2.0"
    assert said[1] == "training: 4/10, 0:00:30 left"
    assert said[-1] == "training: 10/10, 0:00:00 left"


def test_a_long_step_gives_a_sign_of_life(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    lines = LineProgress("training", 10)
    lines.say("starting the engine")
    clock[0] += 20
    lines.sign_of_life()
    clock[0] += 11
    lines.sign_of_life()
    lines.sign_of_life()
    lines.advance(1)
    clock[0] += 31
    lines.sign_of_life()
    assert capsys.readouterr().err.splitlines() == [
        "starting the engine",
        "starting the engine: 0:00:31 so far",
        "training: 1/10 after 0:00:31",
        "training: 1/10, the next step: 0:00:31 so far",
    ]


def test_resumed_steps_say_nothing_of_the_pace(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    lines = LineProgress("training", 100)
    lines.resume(90)
    for _ in range(10):
        clock[0] += 10
        lines.advance(1)
    said = capsys.readouterr().err.splitlines()
    assert said[:3] == [
        "training: goes on after 90/100",
        "training: 91/100 after 0:00:10",
        "training: 93/100, 0:01:10 left",
    ]


def test_the_sign_comes_by_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(told, "SECONDS_OF_SILENCE", 0.5)
    with progress("training", 3), waiting("loading"):
        time.sleep(2.5)
    said = capsys.readouterr().err
    assert "loading: 0:00:01 so far" in said and "training: 0/3, the next step: 0:00:0" in said


def test_other_processes_keep_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RANK", "1")
    with waiting("loading"):
        pass
    assert capsys.readouterr().err == ""
