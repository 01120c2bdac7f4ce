"""What is sent to a cluster: workers of a study, and the command that ends it once they are done."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.runs.folder import StudyFolder


@dataclass(frozen=True, slots=True)
class Submission:
    """Workers of one study, each with its GPUs and cores, on machines that share the folder of runs."""

    recipe: Path
    """Absolute, as are the runs."""
    runs: Path
    study: str
    workers: int
    gpus: int
    """Of each worker; 0 for workers on CPUs."""
    cores: int
    cells: str | None = None

    @property
    def folder(self) -> StudyFolder:
        """The folder of the study."""
        return StudyFolder(self.runs / self.study)

    @property
    def work(self) -> list[str]:
        """The command of a worker."""
        return self._command("work")

    @property
    def finish(self) -> list[str]:
        """The command that does what workers left, then writes tables and the report."""
        return self._command("run")

    def _command(self, name: str) -> list[str]:
        chosen = ["--cells", self.cells] if self.cells else []
        return [sys.executable, "-m", "harness.cli", name, str(self.recipe), "--runs", str(self.runs), *chosen]


class Executor(Protocol):
    """Whatever has machines for workers."""

    def submit(self, submission: Submission) -> list[str]:
        """Has the workers started, and the study ended after them; returns what there is to tell the user."""
        ...
