"""Full and read-only disks, terminals without UTF-8, closed pipes, too little memory: a line each, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from data_mixes.storage import free_bytes, is_writable
from harness.cli import app
from harness.planning.overview import disk_in_words
from harness.planning.time_left import TimeLeft
from tests.attacks import no_hang, read_only, small_disk, train_in_this_process
from tests.support import REPOSITORY, Ended, harness, small_recipe


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A recipe's folder with a whole study; its training ran in this process."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "recipe.yaml").write_text(json.dumps(small_recipe(tiny_model)), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        train_in_this_process(patched)
        done = harness("run", folder / "recipe.yaml", "--runs", folder / "runs")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def trained_here(monkeypatch: pytest.MonkeyPatch) -> None:
    train_in_this_process(monkeypatch)


def same_scores(one: Path, other: Path) -> bool:
    return pl.read_parquet(one / "small" / "scores.parquet").equals(pl.read_parquet(other / "small" / "scores.parquet"))


def refused_in_a_line(ended: Ended, *words: str) -> None:
    assert ended.returncode == 1, ended.stderr
    told = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert told and "Traceback" not in ended.stderr
    for word in words:
        assert word in ended.stderr, ended.stderr


@pytest.mark.usefixtures("trained_here")
def test_full_disks_are_told_and_the_study_ends_the_same_with_more_room(finished: Path, tmp_path: Path) -> None:
    recipe, sizes = finished / "recipe.yaml", (64, 200, 400, 20_000)
    ends: list[int] = []
    with small_disk(tmp_path / "disk", sizes[0]) as disk:
        for kilobytes in sizes:
            subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(disk)], check=True)
            with no_hang(120):
                ended = harness("run", recipe, "--runs", disk / "runs")
            ends.append(ended.returncode)
            if ended.returncode:
                refused_in_a_line(ended)
        assert ends[0] == 1 and ends[-1] == 0, ends
        assert same_scores(disk / "runs", finished / "runs")
        assert not list(disk.rglob("*.unfinished"))


def test_a_full_disk_is_known_beforehand(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.training.forecast.free_bytes", lambda folder: 1000)
    plan = harness("plan", finished / "recipe.yaml", "--runs", tmp_path)
    assert plan.returncode == 0 and f"but 1.0 kB free in {tmp_path / 'small'}; free some, or choose" in plan.stdout
    assert (
        json.loads(harness("plan", finished / "recipe.yaml", "--runs", tmp_path, "--json").stdout)["time"]["free"]
        == 1000
    )
    run = harness("run", finished / "recipe.yaml", "--runs", tmp_path)
    refused_in_a_line(run, "kB for weights", "but 1.0 kB free in")
    assert not (tmp_path / "small" / "amount-0").exists(), "nothing was trained"


def test_the_need_and_what_is_free() -> None:
    assert disk_in_words(TimeLeft(disk=2_000_000, free=3_000_000, folder="runs/x")) == (
        "about 2.0 MB for weights, and for the checkpoints of one cell while it trains; 3.0 MB free in runs/x"
    )
    assert not TimeLeft(disk=2, free=1).fits and TimeLeft(disk=2).fits and TimeLeft(disk=2, free=2).fits


def test_what_is_free_where_no_folder_is_yet(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "a" / "b") == shutil.disk_usage(tmp_path).free
    assert is_writable(tmp_path / "a" / "b")


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_full_cache(command: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(tmp_path / "cache", 4) as cache:
        monkeypatch.setenv("HARNESS_CACHE", str(cache))
        with no_hang(60):
            ended = harness(command, finished / "recipe.yaml", "--runs", tmp_path / "runs")
        refused_in_a_line(ended, str(cache))


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_cache_that_cannot_be_written(
    command: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    with read_only(tmp_path / "cache"):
        monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
        with no_hang(60):
            ended = harness(command, finished / "recipe.yaml", "--runs", tmp_path / "runs")
        refused_in_a_line(ended, str(tmp_path / "cache"))


READING = (
    ("status",), ("status", "--json"), ("report",), ("report", "--json"), ("compare", "amount-3", "base"),
    ("compare", "amount-3", "base", "--json"), ("plan",), ("plan", "--json"), ("plan", "--card"),
)  # fmt: skip


def read(recipe: Path, runs: Path, command: tuple[str, ...]) -> Ended:
    with no_hang(60):
        return harness(command[0], recipe, *command[1:], "--runs", runs)


def test_reading_needs_no_writing(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "runs", tmp_path / "runs")
    recipe, runs = finished / "recipe.yaml", tmp_path / "runs"
    before = {path: path.stat().st_mtime_ns for path in sorted(runs.rglob("*"))}
    with read_only(runs):
        for command in READING:
            ended = read(recipe, runs, command)
            assert ended.returncode == 0, (command, ended.stderr)
            assert ended.stdout, command
        report = read(recipe, runs, ("report",))
        assert "can only be read, so no page, tables or figures are written there" in report.stderr
        refused = read(recipe, runs, ("run",))
        assert refused.returncode in (1, 2) and "Traceback" not in refused.stderr
    assert before == {path: path.stat().st_mtime_ns for path in sorted(runs.rglob("*"))}


def test_reading_needs_no_writing_where_the_plan_is_another(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "runs", tmp_path / "runs")
    (tmp_path / "runs" / "small" / "plan.json").unlink()
    with read_only(tmp_path / "runs"):
        for command in (("status",), ("plan",)):
            ended = read(finished / "recipe.yaml", tmp_path / "runs", command)
            assert ended.returncode == 0, (command, ended.stderr)


def in_ascii(*arguments: object) -> Ended:
    """A command in this process, with a terminal that shows ASCII alone."""
    result = CliRunner(charset="ascii").invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    lines = [{"prompt": "Combien ? – 日本語", "completion": "五 → 5", "reference": "5", "language": "ja", "id": "é"}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def test_every_command_prints_on_a_terminal_without_utf_8(finished: Path, rows: Path, tmp_path: Path) -> None:
    recipe, runs = finished / "recipe.yaml", finished / "runs"
    commands: list[tuple[object, ...]] = [
        *((command[0], recipe, *command[1:], "--runs", runs) for command in READING),
        ("plan", recipe, "-v", "--runs", runs), ("eval", recipe, "--runs", runs), ("list",), ("schema", "recipe"),
        ("score", rows, "--task", "math"), ("score", rows, "--task", "math", "--json"),
        ("plan", tmp_path / "日本語.yaml"), ("compare", recipe, "日本語", "base", "--runs", runs),
    ]  # fmt: skip
    for command in commands:
        ended = in_ascii(*command)
        assert ended.returncode in (0, 2), (command, ended.stderr)
        assert ended.stdout.isascii() and ended.stderr.isascii() and (ended.stdout or ended.stderr), command
    for name in ("plan", "score", "analyze", "explain", "agree", "judge", "export"):
        assert in_ascii(name, "--help").returncode == 0, name


C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    harness_here = f"{sys.executable} -m harness.cli"
    return subprocess.run(
        ["bash", "-c", "set -o pipefail\n" + line.replace("harness", harness_here, 1)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120, env=os.environ | environment,
    )  # fmt: skip


def test_the_c_locale_in_a_process_of_its_own(finished: Path) -> None:
    done = shell(f"harness report {finished / 'recipe.yaml'} --runs {finished / 'runs'}", **C_LOCALE)
    assert done.returncode == 0, done.stderr
    assert "amount-3" in done.stdout and "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["schema recipe", "list --json"])
def test_a_closed_pipe_ends_quietly(command: str) -> None:
    done = shell(f"harness {command} | head -c 20")
    assert done.stderr == "" and len(done.stdout) == 20


@pytest.mark.parametrize("command", ["schema recipe", "list"])
def test_a_full_standard_output(command: str) -> None:
    done = shell(f"harness {command} > /dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no space left on the disk") and len(done.stderr.splitlines()) == 1


@pytest.mark.usefixtures("trained_here")
def test_a_cell_out_of_memory_fails_alone_and_is_tried_again(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.training import loop

    train, recipe = loop.train, finished / "recipe.yaml"

    def short_of_memory(model: Any, tokenizer: Any, job: Any, *rest: Any) -> Any:
        if job.name == "amount-0":
            raise MemoryError
        return train(model, tokenizer, job, *rest)

    monkeypatch.setattr(loop, "train", short_of_memory)
    for _ in range(2):  # the second tries the failed cell again, and nothing else
        with no_hang(120):
            ended = harness("run", recipe, "--runs", tmp_path)
        refused_in_a_line(ended, "amount-0: failed: out of memory", "error: not trained: amount-0 (out of memory")
        assert "amount-3" in ended.stdout, "the other is evaluated and reported"
    assert "1 cell to train" in ended.stderr
    status = harness("status", recipe, "--runs", tmp_path)
    assert "failed" in status.stdout and "amount-0: failed: out of memory" in status.stdout
    with no_hang(120):  # who watches is not kept waiting for a cell of which nothing more will come
        assert harness("status", recipe, "--runs", tmp_path, "--watch").returncode == 0
    cells = {
        cell["name"]: cell
        for cell in json.loads(harness("status", recipe, "--runs", tmp_path, "--json").stdout)["cells"]
    }
    assert cells["amount-0"]["state"] == "failed" and cells["amount-3"]["state"] == "trained"
    assert cells["amount-0"]["reason"].startswith("out of memory") and cells["amount-3"]["reason"] is None
    monkeypatch.setattr(loop, "train", train)
    with no_hang(120):
        assert harness("run", recipe, "--runs", tmp_path, "--only-failed").returncode == 0
    assert same_scores(tmp_path, finished / "runs")
    assert "run: no cell failed" in harness("run", recipe, "--runs", tmp_path, "--only-failed").stderr
