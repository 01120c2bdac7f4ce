"""Ctrl-C: answered at once, obeyed within seconds whatever the step is doing, immediately the second time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.interrupts import answering_interrupts
from tests.support import REPOSITORY, small_recipe, train_here

# a step that no signal ends: a lock taken twice; it lets go of the interpreter's own, as a product of matrices does
SLOW = (
    "import ctypes; libc, lock = ctypes.CDLL(None), ctypes.create_string_buffer(128); "
    "libc.pthread_mutex_init(lock, None); [libc.pthread_mutex_lock(lock) for _ in range(2)]"
)
ANY_COMMAND = f"""
import sys, threading
from harness import interrupts
from harness.exits import reporting_mistakes
interrupts.GRACE = float(sys.argv[1])
with reporting_mistakes():
    threading.Timer(1.0, lambda: print("begun", file=sys.stderr, flush=True)).start()
    {SLOW}
"""
SLOW_STEP = f"""
import os, sys
from harness.executors import local as launching
child = '''
import sys
sys.argv = sys.argv[1:]
import harness.training.trainer
def slow(*arguments, **options):
    print("in a step", file=sys.stderr, flush=True)
    {SLOW}
harness.training.trainer.SupervisedPositionsTrainer.compute_loss = slow
import typer
from harness.train import main
app = typer.Typer(pretty_exceptions_enable=False)
app.command()(main)
app()
'''
started = launching.subprocess.Popen
def start(command, **options):
    return started([sys.executable, "-c", child, *command[1:]], **options)
launching.subprocess.Popen = start
from harness.cli import app
app()
"""


class Running:
    """A program that was started, and what it says."""

    def __init__(self, code: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def until(self, text: str) -> list[str]:
        """What it says up to a line with this text."""
        assert self.process.stderr is not None
        said: list[str] = []
        for line in self.process.stderr:
            said.append(line)
            if text in line:
                return said
        raise AssertionError("".join(said))

    def rest(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()


def interrupt(process: subprocess.Popen[str], everyone: bool) -> None:
    """Ctrl-C in a terminal reaches a program with all that it started; `kill -INT` the one alone."""
    if everyone:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)


def test_a_command_that_hears_nothing_ends_all_the_same() -> None:
    running = Running(ANY_COMMAND, 2.0)
    running.until("begun")
    interrupt(running.process, everyone=True)
    running.until("Stopping: ")
    assert "Stopped. What was finished is kept" in running.rest()
    assert running.process.wait() == 130


def test_the_second_time_is_the_last() -> None:
    running = Running(ANY_COMMAND, 1_000_000.0)  # the grace of the first would outlast any test
    running.until("begun")
    interrupt(running.process, everyone=True)
    running.until("Stopping: ")
    interrupt(running.process, everyone=True)
    assert running.process.wait() == 130


@pytest.mark.parametrize("everyone", [True, False], ids=["from-a-terminal", "by-kill"])
def test_a_training_step_that_hears_nothing(everyone: bool, tiny_model: Path, tmp_path: Path) -> None:
    recipe, runs = tmp_path / "recipe.yaml", tmp_path / "runs"
    recipe.write_text(json.dumps(small_recipe(tiny_model)))
    running = Running(SLOW_STEP, "run", recipe, "--runs", runs, "--cells", "amount-0")
    running.until("in a step")
    trainers = psutil.Process(running.process.pid).children()
    interrupt(running.process, everyone)
    said = "".join(running.until("Stopped.")) + running.rest()
    assert said.count("Stopping: ") == said.count("Stopped.") == 1, "one process speaks for all"
    assert running.process.wait() == 130
    assert trainers and not any(trainer.is_running() for trainer in trainers)
    record = json.loads((runs / "small" / "amount-0" / "record.json").read_text())
    assert record["state"] == "training", "and the same command goes on from there"
    again = train_here(recipe, runs, "--cells", "amount-0")
    assert again.returncode == 0, again.stderr
    assert json.loads((runs / "small" / "amount-0" / "record.json").read_text())["state"] == "trained"


def test_an_interrupt_that_python_cannot_raise_is_not_printed_as_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It reached a finalizer, which may not raise. What else fails there is printed as ever."""

    class Finalized:
        def __init__(self, raised: BaseException) -> None:
            self.raised = raised

        def __del__(self) -> None:
            raise self.raised

    with answering_interrupts():
        Finalized(KeyboardInterrupt())
        assert capsys.readouterr().err == ""
        Finalized(ValueError("something else"))
        assert "something else" in capsys.readouterr().err
