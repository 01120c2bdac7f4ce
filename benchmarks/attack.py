"""Attacks on the harness, counted: damaged files, full disks, kills, runs that meet in one folder, mutated recipes.

    python benchmarks/attack.py [--parts workers,full-disks] [--seed 0] [--tries 12]

Each try ends in one of the ways that a column counts: a traceback; a hang; scores that are not those of an undisturbed
study; work done again though nothing was wrong with it. A small study of the tests is attacked, of two cells on a
random model. Small disks need the right to mount; without it their row says so.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import polars as pl
import psutil
import pytest

from harness.runs.checkpoints import checkpoints_in
from tests import attacks
from tests.support import REPOSITORY, harness, small_recipe

PARTS = ("damage", "checkpoints", "recipes", "kills", "pairs", "workers", "disks", "full-disks")
PATIENCE = 300
"""Seconds after which a try counts as a hang."""


@dataclass
class Count:
    """What came of the tries of one kind."""

    name: str
    tries: int = 0
    wrong: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By the way in which tries went wrong: which these were."""

    def note(self, way: str, attempt: str, wrong: bool = True) -> None:
        """Notes that a try went wrong, if it did."""
        if wrong:
            self.wrong.setdefault(way, []).append(attempt)

    def row(self) -> str:
        """A row of the table."""
        ways = ("traceback", "hang", "other scores", "done twice", "process left")
        return f"| {self.name} | {self.tries} | " + " | ".join(str(len(self.wrong.get(way, []))) for way in ways) + " |"


@dataclass(frozen=True)
class Undisturbed:
    """A recipe and a whole study of it, to be copied and attacked."""

    recipe: Path
    runs: Path

    def copy(self, folder: Path) -> Path:
        """A copy of the runs."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.runs, folder)
        return folder

    def check(self, count: Count, attempt: str, runs: Path) -> None:
        """Notes scores that are not those of the undisturbed study."""
        tables = [folder / "small" / "scores.parquet" for folder in (runs, self.runs)]
        same = all(table.is_file() for table in tables) and pl.read_parquet(tables[0]).equals(
            pl.read_parquet(tables[1])
        )
        count.note("other scores", attempt, not same)


def main() -> None:
    """Prints a table of counts, and each try that went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="of " + ", ".join(PARTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tries", type=int, default=12, help="of kills, and of pairs half as many; of recipes × 100")
    given = parser.parse_args()
    drawn = random.Random(given.seed)
    print("| attack | tries | tracebacks | hangs | other scores | done twice | processes left |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        folder = Path(name)
        os.environ["HARNESS_CACHE"] = str(folder / "cache")
        undisturbed = whole_study(folder)
        for part in given.parts.split(","):
            if part in ("damage", "recipes"):
                attacks.train_in_this_process(patched)
            for count in PART[part](undisturbed, folder, drawn, given.tries):
                print(count.row(), flush=True)
                for way, attempts in count.wrong.items():
                    print(f"  {way}: {'; '.join(attempts)}", file=sys.stderr)


def whole_study(folder: Path) -> Undisturbed:
    """The study to attack, run to its end."""
    data = small_recipe(REPOSITORY / "tests" / "data" / "made-by-2f60a04" / "model")
    data["training"]["epochs"] = 3  # several checkpoints
    (folder / "recipe.yaml").write_text(json.dumps(data), encoding="utf-8")
    done = started("run", folder / "recipe.yaml", "--runs", folder / "whole")
    assert done.wait(PATIENCE) == 0
    return Undisturbed(folder / "recipe.yaml", folder / "whole")


def started(*arguments: object) -> subprocess.Popen[str]:
    """A command in a process and a session of its own; what it says is in a file."""
    said = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # read by `said_by`
    command = [sys.executable, "-m", "harness.cli", *map(str, arguments)]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=said, text=True, start_new_session=True
    )
    process.stderr = said  # pyright: ignore[reportAttributeAccessIssue]
    return process


def ended(count: Count, attempt: str, process: subprocess.Popen[str]) -> int:
    """The exit status of a process; notes a hang or a traceback."""
    try:
        status = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        count.note("hang", attempt)
        return process.wait()
    assert process.stderr is not None
    process.stderr.seek(0)
    said = process.stderr.read()
    if "Traceback (most recent call last)" in said:
        print(f"--- {attempt} said:\n{said}---", file=sys.stderr)
        count.note("traceback", attempt)
    process.stderr.close()
    return status


def here(count: Count, attempt: str, *arguments: object) -> None:
    """A command in this process; notes a hang, or an exception, which would be a traceback."""
    try:
        with attacks.no_hang(PATIENCE):
            harness(*arguments)
    except attacks.HangError:
        count.note("hang", attempt)
    except BaseException as error:
        count.note("traceback", f"{attempt} ({type(error).__name__}: {error})")


def damage(whole: Undisturbed, folder: Path, drawn: random.Random, tries: int) -> Iterator[Count]:
    """Every kind of file × every way of damage: status, report, compare, plan and run."""
    for way in attacks.WAYS:
        count = Count(f"a file of a study: {way.__name__}")
        for kind, redone in attacks.KINDS.items():
            study = whole.copy(folder / "damaged") / "small"
            before = attacks.lasting(study)
            way(attacks.file_of(study, kind))
            attempt = f"{kind} {way.__name__}"
            read_and_run(count, attempt, whole, study, before, redone)
        yield count
    count = Count("a folder of a study: a file in its place")
    for name, redone in attacks.FOLDERS.items():
        study = whole.copy(folder / "damaged") / "small"
        before = attacks.lasting(study)
        shutil.rmtree(study / name)
        (study / name).write_text("x")
        read_and_run(count, name, whole, study, before, redone)
    yield count


def read_and_run(
    count: Count, attempt: str, whole: Undisturbed, study: Path, before: dict[str, int], redone: tuple[str, ...]
) -> None:
    """Reads a damaged study with every command that reads, then runs it."""
    for command in (("status",), ("report", "--json"), ("compare", "amount-3", "base"), ("plan",), ("run",)):
        count.tries += 1
        here(count, f"{attempt}, {command[0]}", command[0], whole.recipe, *command[1:], "--runs", study.parent)
    whole.check(count, attempt, study.parent)
    count.note("done twice", attempt, bool(attacks.made_again(before, study, redone)))


def recipes(whole: Undisturbed, folder: Path, drawn: random.Random, tries: int) -> Iterator[Count]:
    """Mutated recipes, planned."""
    count, path = Count("a mutated recipe: plan"), folder / "mutated.yaml"
    data = json.loads(whole.recipe.read_text(encoding="utf-8"))
    for told, text in attacks.mutated_recipes(data, 100 * tries, drawn.randrange(10**6)):
        path.write_bytes(text)
        count.tries += 1
        here(count, told, "plan", path, "--runs", folder / "mutated", "--json")
    yield count


def until_training(process: subprocess.Popen[str], runs: Path) -> bool:
    """Waits until a cell has a checkpoint; whether it did before the process ended."""
    while process.poll() is None:
        if any(checkpoints_in(runs / "small" / cell / "checkpoints") for cell in ("amount-0", "amount-3")):
            return True
        time.sleep(0.005)
    return False


def checkpoints(whole: Undisturbed, folder: Path, drawn: random.Random, tries: int) -> Iterator[Count]:
    """A killed run whose last checkpoint is damaged in every way, then run again."""
    count = Count("a checkpoint, after SIGKILL: each way")
    for way in attacks.WAYS:
        runs = folder / "checkpoints"
        shutil.rmtree(runs, ignore_errors=True)
        process = started("run", whole.recipe, "--runs", runs)
        until_training(process, runs)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        left = [path for cell in ("amount-0", "amount-3")
                for _, path in checkpoints_in(runs / "small" / cell / "checkpoints")]  # fmt: skip
        files = [path for path in (left[-1].iterdir() if left else ()) if path.is_file() and path.name[0] != "."]
        if files:
            way(drawn.choice(sorted(files)))
        count.tries += 1
        ended(count, way.__name__, started("run", whole.recipe, "--runs", runs))
        whole.check(count, way.__name__, runs)
    yield count


def kills(whole: Undisturbed, folder: Path, drawn: random.Random, tries: int) -> Iterator[Count]:
    """A run ended at a random moment, then run again."""
    started_at = time.monotonic()
    assert started("run", whole.recipe, "--runs", folder / "timed").wait(PATIENCE) == 0
    seconds = time.monotonic() - started_at
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        count = Count(f"{number.name} at a random moment, then run again")
        for _ in range(-(-tries // 3)):
            runs, moment = folder / "killed", drawn.uniform(0, seconds)
            shutil.rmtree(runs, ignore_errors=True)
            attempt = f"{number.name} after {moment:.1f} s"
            process = started("run", whole.recipe, "--runs", runs)
            time.sleep(moment)
            process.send_signal(number)
            count.tries += 1
            ended(count, attempt, process)
            count.note("process left", attempt, bool(left_of(process.pid)))
            before = attacks.lasting(runs / "small")
            trained = {path: file for path, file in before.items() if is_done(runs / "small" / path)}
            ended(count, f"{attempt}, again", started("run", whole.recipe, "--runs", runs))
            whole.check(count, attempt, runs)
            count.note("done twice", attempt, bool(attacks.made_again(trained, runs / "small", ["nothing"])))
        yield count


def is_done(path: Path) -> bool:
    """Whether a file is of what was finished: of a trained cell, or a chunk of completions."""
    if "evaluation" in path.parts:
        return path.suffix == ".jsonl"
    record = path if path.name == "record.json" else path.parent.parent / "record.json"
    return record.is_file() and json.loads(record.read_text(encoding="utf-8"))["state"] == "trained"


def left_of(session: int) -> list[psutil.Process]:
    """Processes of a session that still run after ten seconds."""
    for _ in range(100):
        there = [process for process in psutil.process_iter() if in_session(process, session)]
        if not there:
            return []
        time.sleep(0.1)
    return there


def in_session(process: psutil.Process, session: int) -> bool:
    """Whether a process that is no zombie belongs to a session."""
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.Error):
        return False


def pairs(whole: Undisturbed, folder: Path, drawn: random.Random, tries: int) -> Iterator[Count]:
    """Two runs at once in one folder: one may refuse, and a third ends with the scores."""
    count = Count("two runs in one folder at once, then a third")
    for number in range(tries // 2):
        runs = folder / "pairs"
        shutil.rmtree(runs, ignore_errors=True)
        both = [started("run", whole.recipe, "--runs", runs)]
        time.sleep(drawn.uniform(0, 5))
        both.append(started("run", whole.recipe, "--runs", runs))
        count.tries += 1
        statuses = [ended(count, f"pair {number}", process) for process in both]
        count.note(
            "traceback", f"pair {number} ended with {statuses}", not set(statuses) <= {0, 1, 2} or 0 not in statuses
        )
        ended(count, f"pair {number}, a third", started("run", whole.recipe, "--runs", runs))
        whole.check(count, f"pair {number}", runs)
    yield count


def workers(whole: Undisturbed, folder: Path, drawn: random.Random, tries: int) -> Iterator[Count]:
    """One of two workers, or both, ended at a random moment; two again, then a run that finds all done."""
    for number in (signal.SIGKILL, signal.SIGTERM):
        count = Count(f"one or both of two workers: {number.name} at a random moment, two again, then a run")
        for turn in range(tries):
            runs, moment = folder / "workers", drawn.uniform(5, 40)
            shutil.rmtree(runs, ignore_errors=True)
            attempt = f"{number.name} of {1 + turn % 2} after {moment:.1f} s"
            both = [started("work", whole.recipe, "--runs", runs) for _ in range(2)]
            time.sleep(moment)
            for process in both[: 1 + turn % 2]:
                if process.poll() is None:
                    os.killpg(process.pid, number)
            count.tries += 1
            for process in both:
                ended(count, attempt, process)
                count.note("process left", attempt, bool(left_of(process.pid)))
            before = attacks.lasting(runs / "small")
            finished = {path: file for path, file in before.items() if is_done(runs / "small" / path)}
            for process in [started("work", whole.recipe, "--runs", runs) for _ in range(2)]:
                ended(count, f"{attempt}, again", process)
            ended(count, f"{attempt}, a run", started("run", whole.recipe, "--runs", runs))
            whole.check(count, attempt, runs)
            count.note("done twice", attempt, bool(attacks.made_again(finished, runs / "small", ["nothing"])))
            print(f"so far: {count.row()}", file=sys.stderr, flush=True)
        yield count


def disks(whole: Undisturbed, folder: Path, drawn: random.Random, tries: int) -> Iterator[Count]:
    """Runs on a disk that is too small, then on one that is not."""
    count = Count("a full disk, then one with room")
    try:
        with attacks.small_disk(folder / "disk", 64) as disk:
            for kilobytes in (64, 128, 200, 300, 400, 600, 800, 1200, 20_000):
                shutil.rmtree(disk / "runs", ignore_errors=True)
                attempt = f"{kilobytes} kB"
                subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(disk)], check=True)
                count.tries += 1
                ended(count, attempt, started("run", whole.recipe, "--runs", disk / "runs"))
                subprocess.run(["mount", "-o", "remount,size=40000k", str(disk)], check=True)
                ended(count, f"{attempt}, then 40 MB", started("run", whole.recipe, "--runs", disk / "runs"))
                whole.check(count, attempt, disk / "runs")
    except pytest.skip.Exception as reason:
        count.name += f" ({reason})"
    yield count


def full_disks(whole: Undisturbed, folder: Path, drawn: random.Random, tries: int) -> Iterator[Count]:
    """A disk of 60 MB that something else fills while two workers train, or generate; two more once there is room."""
    for phase in ("train", "evaluate"):
        count = Count(f"two workers whose disk of 60 MB is filled while they {phase}, two more with room, then a run")
        try:
            with attacks.small_disk(folder / "full", 61_440) as disk:
                runs, filler = disk / "runs", disk / "filler"
                both = [started("work", whole.recipe, "--runs", runs) for _ in range(2)]
                if phase == "train":
                    until_training(both[0], runs)
                else:
                    until_generating(both[0], runs)
                fill(filler)
                count.tries += 1
                said = [saying(process) for process in both]
                filler.unlink()
                clear = all(not status or "no space left on the disk" in told for status, told in said)
                count.note("traceback", f"{phase}: {said}", not clear or any("Traceback" in told for _, told in said))
                count.note("other scores", f"{phase}: neither worker met the full disk", not any(dict(said)))
                for process in [started("work", whole.recipe, "--runs", runs) for _ in range(2)]:
                    ended(count, f"{phase}, with room", process)
                ended(count, f"{phase}, a run", started("run", whole.recipe, "--runs", runs))
                whole.check(count, phase, runs)
        except pytest.skip.Exception as reason:
            count.name += f" ({reason})"
        yield count


def until_generating(process: subprocess.Popen[str], runs: Path) -> None:
    """Waits until the canary gate has passed, after which completions are written, or until the process ended."""
    while process.poll() is None and not (runs / "small" / "evaluation" / "canary.json").is_file():
        time.sleep(0.005)


def fill(path: Path) -> None:
    """Writes a file until the disk is full."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def saying(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit status of a process, and what it said."""
    status = process.wait(PATIENCE)
    assert process.stderr is not None
    process.stderr.seek(0)
    return status, process.stderr.read()


PART = {
    "damage": damage,
    "checkpoints": checkpoints,
    "recipes": recipes,
    "kills": kills,
    "pairs": pairs,
    "workers": workers,
    "disks": disks,
    "full-disks": full_disks,
}


if __name__ == "__main__":
    main()
