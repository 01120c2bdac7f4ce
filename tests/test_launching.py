"""As many processes as were asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.executors import processes
from harness.executors.processes import launch_options, processes_asked_for
from harness.training.batches import divisors_of
from harness.training.sharding import ASKED_PRECISION, check_precision


@pytest.mark.parametrize("devices", ["cores", "GPUs"])
def test_more_processes_than_the_machine_has_room_for_are_refused(
    devices: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "on_cpu", lambda: devices == "cores")
    monkeypatch.setattr(processes, "gpu_count", lambda: 2)
    monkeypatch.setattr(processes.os, "cpu_count", lambda: 2)
    processes.check_processes("--processes", 2)
    with pytest.raises(UserError, match=f"--processes: got 256, but this machine has 2 {devices}; ask for 2 or fewer"):
        processes.check_processes("--processes", 256)
    monkeypatch.setenv(processes.FORCE, "1")
    processes.check_processes("--processes", 256)


@pytest.mark.parametrize("rank", ["0", "7"])
def test_processes_of_a_saved_configuration_are_refused_where_they_start(
    rank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "on_cpu", lambda: True if rank == "0" else pytest.fail("it loads PyTorch"))
    monkeypatch.setattr(processes.os, "cpu_count", lambda: 2)
    for name, value in {"WORLD_SIZE": "256", "LOCAL_WORLD_SIZE": "256", "RANK": rank}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError):
        processes.start_missing_processes()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")  # 256 on 128 machines
    if rank == "0":
        processes.start_missing_processes()


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python -m accelerate.commands.launch --cpu --num_processes 2 harness/train.py recipe.yaml --cells a", 2),
        ("/venv/bin/python /venv/bin/accelerate launch --num_processes=4 harness/train.py recipe.yaml", 4),
        ("/venv/bin/python /venv/bin/accelerate launch harness/train.py recipe.yaml", 1),
        ("bash -c launch --num_processes 2", 1),
        ("python harness/train.py recipe.yaml", 1),
        ("", 1),
    ],
)
def test_the_number_is_read_off_accelerates_own_command_line(command: str, expected: int) -> None:
    assert processes_asked_for(launch_options(command.split())) == expected


def test_the_number_may_stand_in_a_configuration(tmp_path: Path) -> None:
    config = tmp_path / "two.yaml"
    config.write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_CPU\nnum_processes: 2\nuse_cpu: true\n"
    )
    launch = f"python -m accelerate.commands.launch --config_file {config}"
    assert processes_asked_for(launch_options(f"{launch} train.py recipe.yaml".split())) == 2
    assert processes_asked_for(launch_options(f"{launch} --num_processes 1 train.py recipe.yaml".split())) == 1


def test_a_launch_in_another_number_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for asked, dtype in (("no", "float32"), ("bf16", "bfloat16")):
        monkeypatch.setenv(ASKED_PRECISION, asked)
        check_precision([dtype])
    with pytest.raises(UserError, match="mixed_precision: got bf16, but the study computes in float32"):
        check_precision(["float32"])
    monkeypatch.setenv(ASKED_PRECISION, "fp16")
    with pytest.raises(UserError, match="got fp16, but the study computes in bfloat16"):
        check_precision(["bfloat16"])


@pytest.mark.parametrize(("batch", "words"), [(1, "1"), (2, "1 or 2"), (6, "1, 2, 3 or 6"), (7, "1 or 7")])
def test_the_numbers_of_processes_that_a_batch_allows(batch: int, words: str) -> None:
    assert divisors_of(batch) == words
