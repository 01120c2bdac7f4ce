"""Workers on a SLURM cluster: an array of them, and a job after it that ends the study.

Both are plain batch scripts, which `harness submit --print` shows: what a site wants differently can be changed there.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import MachineError, Problem, UserError
from harness.executors.submission import Submission

WARNED = 120
"""Seconds before the end of its time at which a worker gets SIGTERM."""
AGAIN = """
status=$?
if [ "$status" = 143 ]; then  # its time is over, and what it held is given back: it goes on in its next turn
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$status"
"""


@dataclass(frozen=True, slots=True)
class Slurm:
    """How jobs are asked for: `options` are further ones of sbatch, such as `partition=gpu`."""

    time: str
    """How long a job may take, as sbatch reads it: 4:00:00."""
    options: tuple[str, ...] = ()

    def submit(self, submission: Submission) -> list[str]:
        """Submits both jobs. Raises UserError where there is no SLURM, MachineError where it refuses them."""
        if shutil.which("sbatch") is None:
            message = "there is no sbatch here; submit from a login node, or see the scripts with --print"
            raise UserError([Problem("--to slurm", message)])
        submission.folder.logs.mkdir(parents=True, exist_ok=True)
        workers = submitted(self.workers_script(submission))
        end = submitted(self.end_script(submission), [f"--dependency=afterany:{workers}"])
        return [
            f"workers: array job {workers} of {submission.workers}; the study is ended by job {end} after them",
            f"their output: {submission.folder.logs}; how far they are: harness status {submission.recipe} "
            f"--runs {submission.runs}",
        ]

    def workers_script(self, submission: Submission) -> str:
        """The script of the array of workers."""
        array = [f"array=0-{submission.workers - 1}", "requeue", f"signal=TERM@{WARNED}", "open-mode=append",
                 f"output={submission.folder.logs}/worker-%a.log"]  # fmt: skip
        return self._script(submission, submission.work, array) + AGAIN

    def end_script(self, submission: Submission) -> str:
        """The script of the job that ends the study."""
        return self._script(submission, submission.finish, [f"output={submission.folder.logs}/end.log"])

    def _script(self, submission: Submission, command: Sequence[str], special: Sequence[str]) -> str:
        asked = [f"job-name={submission.study}", "ntasks=1", f"cpus-per-task={submission.cores}", f"time={self.time}"]
        asked += [f"gpus-per-task={submission.gpus}"] if submission.gpus else []
        lines = [f"#SBATCH --{option}" for option in (*asked, *special, *self.options)]
        environment = f"export OMP_NUM_THREADS={submission.cores} SRUN_CPUS_PER_TASK={submission.cores}"
        return "\n".join(["#!/bin/bash", *lines, "", environment, f"srun {shlex.join(command)}", ""])


def submitted(script: str, options: Sequence[str] = ()) -> str:
    """The number of a job with this script. Raises MachineError where SLURM refuses it."""
    done = subprocess.run(["sbatch", "--parsable", *options], input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MachineError(done.stderr.strip() or f"sbatch ended with status {done.returncode}")
    return done.stdout.strip().partition(";")[0]
