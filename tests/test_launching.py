"""As many processes as were asked for."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.launch import _validate_launch_command, launch_command_parser  # pyright: ignore[reportPrivateUsage]
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

from harness.errors import UserError
from harness.executors import local, processes
from harness.executors.processes import launch_options, processes_asked_for
from harness.recipe.load import parse_recipe
from harness.recipe.schema import Execution
from harness.training import zero3
from harness.training.batches import divisors_of
from harness.training.sharding import ASKED_PRECISION, check_precision, sharding_variables
from harness.training.zero3 import check_deepspeed
from tests.support import REPOSITORY

CLUSTER_PAGE = (REPOSITORY / "docs" / "cluster.md").read_text(encoding="utf-8")


def understood(words: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What accelerate makes of the words after `accelerate launch`, started from the repository."""
    monkeypatch.chdir(REPOSITORY)
    options, _, _ = _validate_launch_command(launch_command_parser().parse_args(words))
    return options


def launches_in(page: str) -> list[list[str]]:
    """The words after `accelerate launch` of every command that a page shows."""
    commands = re.findall(r"accelerate launch (--config_file[^'\n]*)", page.replace("\\\n", " "))
    return [shlex.split(command.replace('"$SLURM_NODEID"', "0")) for command in commands]


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


def test_a_configuration_for_each_number_of_gpus() -> None:
    assert local.CONFIGURATIONS.keys() == {2, 4, 8}
    files = sorted((REPOSITORY / "harness" / "launch").glob("*.yaml"))
    assert {file.stem for file in files} == {"1-gpu", "2-gpus", "4-gpus", "8-gpus", "2-nodes"}


@pytest.mark.parametrize("command", launches_in(CLUSTER_PAGE), ids=" ".join)
def test_commands_of_the_manual_start_what_they_say(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    options = understood(command, monkeypatch)
    number, kind = Path(options.config_file).stem.split("-")
    machines, each = (2, 8) if kind == "nodes" else (1, int(number))
    assert (options.num_machines, options.num_processes) == (machines, machines * each)
    assert options.multi_gpu == (machines * each > 1) and not options.use_fsdp and options.mixed_precision == "no"
    assert (REPOSITORY / options.training_script).is_file()


def test_the_manual_shows_each_configuration_that_ships() -> None:
    shown = {Path(command[1]).name for command in launches_in(CLUSTER_PAGE)}
    assert shown == {file.name for file in (REPOSITORY / "harness" / "launch").iterdir()}


@pytest.mark.parametrize(
    ("count", "file"), [(2, "2-gpus"), (3, "2-gpus"), (4, "4-gpus"), (6, "4-gpus"), (16, "8-gpus")]
)
@pytest.mark.parametrize("gpus", [0, 16])
def test_run_starts_as_many_processes_as_a_cell_has_gpus(
    count: int, file: str, gpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "gpu_count", lambda: gpus)
    _, _, module, *words = local.launcher(count)
    options = understood([*words, "train.py"], monkeypatch)
    assert module == "accelerate.commands.launch" and Path(options.config_file).stem == file
    assert options.num_processes == count == processes_asked_for(launch_command_parser().parse_args([*words, "x"]))
    assert bool(options.cpu) == (not gpus) and options.main_process_port == 0 and options.mixed_precision == "no"


@pytest.mark.parametrize("key", ["activation_checkpointing", "offload"])
def test_the_configuration_of_the_manual_shards_as_a_recipe_does(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shown,) = re.findall(r"```yaml\n# fsdp.yaml\n(.*?)```", CLUSTER_PAGE, flags=re.DOTALL)
    text, changed = re.subn(rf"(fsdp_{key}\w*): false", r"\1: true", shown)
    assert changed == 1
    (tmp_path / "fsdp.yaml").write_text(text)
    words = ["--config_file", str(tmp_path / "fsdp.yaml"), "--main_process_port", "0", "train.py"]
    options = understood(words, monkeypatch)
    assert options.use_fsdp and options.num_processes == 4
    given = prepare_multi_gpu_env(options)
    wanted = sharding_variables(Execution.model_validate({"sharding": "fsdp2", key: True}))
    assert {name: given[name] for name in wanted} == wanted and len(wanted) == 8


def of_deepspeed(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts into the environment what a launch by such a configuration has there."""
    (folder / "zero3.yaml").write_text(text)
    words = ["--config_file", str(folder / "zero3.yaml"), "--main_process_port", "0", "train.py"]
    options = understood(words, monkeypatch)
    assert options.use_deepspeed and options.num_processes == 4
    options.deepspeed_fields_from_accelerate_config = ""
    _, given = prepare_deepspeed_cmd_env(options)
    for name in given.keys() - os.environ.keys():
        monkeypatch.setenv(name, given[name])


def test_deepspeed_of_the_manual_shards_as_a_recipe_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_deepspeed()
    execution = Execution(sharding="zero3")
    monkeypatch.setattr(zero3, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="zero3 needs DeepSpeed: pip install deepspeed, or use fsdp2"):
        sharding_variables(execution)
    monkeypatch.setattr(zero3, "find_spec", lambda name: name)
    wanted = sharding_variables(execution)
    (shown,) = re.findall(r"```yaml\n# zero3.yaml\n(.*?)```", CLUSTER_PAGE, flags=re.DOTALL)
    of_deepspeed(shown, tmp_path, monkeypatch)
    assert {name: os.environ[name] for name in wanted} == wanted and len(wanted) == 3
    assert sharding_variables(Execution(sharding="fsdp2")) == {}, "the launch has said how"
    check_deepspeed()


@pytest.mark.parametrize(
    ("setting", "refused"),
    [
        ("zero_stage: 2", "zero_stage: got 2, and cells are trained with 3"),
        ("zero3_save_16bit_model: false", "zero3_save_16bit_model: set it to true"),
        ("offload_optimizer_device: cpu", "offload_optimizer_device: DeepSpeed offloads no optimizer: its optimizer"),
        ("offload_param_device: cpu", "offload_param_device: DeepSpeed offloads no param: that is not tested"),
    ],
)
def test_settings_of_deepspeed_that_are_refused(
    setting: str, refused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shown,) = re.findall(r"```yaml\n# zero3.yaml\n(.*?)```", CLUSTER_PAGE, flags=re.DOTALL)
    text, changed = re.subn(rf"{setting.split(':')[0]}: \w+", setting, shown)
    of_deepspeed(text if changed else f"{shown}  {setting}\n", tmp_path, monkeypatch)
    with pytest.raises(UserError, match=refused):
        check_deepspeed()


def test_a_file_of_deepspeeds_settings_is_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.json"
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(file))
    whole = {"stage": 3, "stage3_gather_16bit_weights_on_model_save": True}
    file.write_text(json.dumps({"zero_optimization": whole, "gradient_clipping": "auto"}))
    check_deepspeed()
    moved = whole | {"stage": 1, "offload_optimizer": {"device": "cpu"}}
    file.write_text(json.dumps({"zero_optimization": moved, "optimizer": {"type": "Adam"}, "scheduler": {}}))
    with pytest.raises(UserError) as refused:
        check_deepspeed()
    places = [problem.where for problem in refused.value.problems]
    assert places == ["deepspeed_config_file: optimizer", "deepspeed_config_file: scheduler", "zero_stage",
                      "offload_optimizer_device"]  # fmt: skip
    file.write_text("[]")
    with pytest.raises(UserError, match="is no file with a JSON object"):
        check_deepspeed()


def test_deepspeed_offloads_nothing_for_a_recipe(recipe_data: dict[str, Any]) -> None:
    recipe_data["execution"] = {"sharding": "zero3", "offload": True}
    with pytest.raises(UserError, match=r"execution\.offload: for that DeepSpeed's optimizer takes the place of"):
        parse_recipe(recipe_data)
