"""A SLURM cluster of this machine alone, for as long as a test needs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=20
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
KillWait=60
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SchedulerParameters=sched_interval=1,batch_sched_delay=0
MinJobAge=300
NodeName=localhost CPUs={cores} RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""
"""A requeued job waits for as long as credentials are valid before it starts again: 120 seconds by default."""
PROGRAMS = ("sbatch", "srun", "slurmctld", "slurmd", "munged")


@contextmanager
def cluster(folder: Path) -> Generator[dict[str, str]]:
    """Starts a cluster with its files in a folder; yields the variables of the environment that lead to it.

    The test is skipped where SLURM is not installed, or cannot be started.
    """
    if missing := [name for name in PROGRAMS if shutil.which(name) is None and not Path("/usr/sbin", name).exists()]:
        pytest.skip(f"no SLURM: {', '.join(missing)} are missing (apt-get install slurm-wlm munge)")
    if os.geteuid() != 0:
        pytest.skip("SLURM's programs are started as root here")
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    settings = folder / "slurm.conf"
    ports = (16817 + os.getpid() % 1000 * 2, 16818 + os.getpid() % 1000 * 2)
    settings.write_text(CONFIGURATION.format(folder=folder, ports=ports, cores=os.cpu_count()))
    environment = {"SLURM_CONF": str(settings)}
    programs = [
        ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket",
         f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"],
        ["slurmctld", "-D", "-i"],
        ["slurmd", "-D", "-N", "localhost"],
    ]  # fmt: skip
    path = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in programs:
            with (folder / f"{command[0]}.said").open("wb") as said:
                started.append(subprocess.Popen(
                    command, env=os.environ | environment | {"PATH": path}, stdout=said, stderr=said
                ))  # fmt: skip
            time.sleep(0.5)
        until = time.monotonic() + 60
        while "idle" not in asked("sinfo", "-h", "-o", "%T", environment=environment):
            if time.monotonic() > until or any(program.poll() is not None for program in started):
                said = "".join((folder / f"{command[0]}.said").read_text() for command in programs)
                pytest.skip(f"SLURM cannot be started here: {said[-500:]}")
            time.sleep(0.2)
        yield environment
    finally:
        asked("scancel", "--full", "--signal=KILL", "--state=RUNNING", "--partition=main", environment=environment)
        for program in reversed(started):
            program.terminate()
        for program in reversed(started):
            program.wait()


def asked(*command: str, environment: dict[str, str]) -> str:
    """What one of SLURM's programs prints."""
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    return done.stdout
