"""Workers on a Ray cluster: a task each, begun anew elsewhere when its machine dies. The only importer of ray."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import Any

import ray

from harness.errors import MachineError
from harness.executors.local import end_with_parent
from harness.executors.submission import Submission


@dataclass(frozen=True, slots=True)
class Ray:
    """A cluster by its address, or this machine."""

    address: str | None

    def submit(self, submission: Submission) -> list[str]:
        """Runs the workers, and ends the study after them. Raises MachineError where one did not end well."""
        ray.init(address=self.address, log_to_driver=True, configure_logging=False)
        try:
            task: Any = ray.remote(num_gpus=submission.gpus, num_cpus=submission.cores, max_retries=-1)(run_command)
            environment = {"OMP_NUM_THREADS": str(submission.cores)}
            statuses = ray.get([task.remote(submission.work, environment) for _ in range(submission.workers)])
            status = ray.get(task.remote(submission.finish, environment))
        finally:
            ray.shutdown()
        if status:
            raise MachineError(f"the study did not end well, with status {status}; its workers ended with {statuses}")
        return [f"the report: {submission.folder.report}"]


def run_command(command: list[str], environment: dict[str, str]) -> int:
    """Runs a command in a process that ends with the task."""
    return subprocess.run(command, env=os.environ | environment, preexec_fn=end_with_parent, check=False).returncode
