"""Training with the real TRL and PEFT on a tiny model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from data_mixes.holds import holder_of
from harness.runs.checkpoints import last_whole_checkpoint
from harness.runs.folder import StudyFolder
from tests.support import REPOSITORY, small_recipe, train_here

SCRIPT = REPOSITORY / "harness" / "train.py"


def train(
    recipe: Path, runs: Path, *options: str, processes: int = 1, **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--config_file"]
    command += [f"harness/launch/{'1-gpu' if processes == 1 else f'{processes}-gpus'}.yaml", str(SCRIPT)]
    run = subprocess.run(
        [*command, str(recipe), "--runs", str(runs), *options],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, env=os.environ | environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run


def weights(runs: Path, cell: str) -> dict[str, Any]:
    """What a cell trained: its adapter's weights, or the model's."""
    return load_file(next((runs / "small" / cell).glob("*/*.safetensors")))


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def record(runs: Path, cell: str) -> dict[str, Any]:
    return json.loads((runs / "small" / cell / "record.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Path, Path]:
    """A recipe and the runs folder in which both its cells were trained undisturbed, by one process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(small_recipe(tiny_model)))
    run = train(recipe, folder / "runs", PYTHONPROFILEIMPORTTIME="1")
    (folder / "imported.txt").write_text(run.stderr)
    return recipe, folder / "runs"


def test_training_learns_and_is_recorded(trained: tuple[Path, Path]) -> None:
    _, runs = trained
    done = record(runs, "amount-3")
    assert done["state"] == "trained" and done["steps"] == 4 == len(done["loss"])
    assert done["loss"][-1] < done["loss"][0]
    assert done["provenance"]["packages"]["trl"]
    assert not (runs / "small" / "amount-3" / "checkpoints").exists()
    assert all(value.abs().max() > 0 for name, value in weights(runs, "amount-3").items() if "lora_B" in name)


def test_what_training_has_no_use_for_is_not_imported(trained: tuple[Path, Path]) -> None:
    recipe, _ = trained
    imported = recipe.with_name("imported.txt").read_text()
    assert " trl\n" in imported
    assert not [name for name in ("sklearn", "altair", "vllm") if f" {name}\n" in imported]


def test_a_cell_trained_after_others_equals_the_same_cell_alone(trained: tuple[Path, Path], tmp_path: Path) -> None:
    recipe, runs = trained
    assert train_here(recipe, tmp_path, "--cells", "amount-3").returncode == 0
    assert not (tmp_path / "small" / "amount-0").exists()
    assert distance(weights(runs, "amount-3"), weights(tmp_path, "amount-3")) <= 1e-6
    assert distance(weights(runs, "amount-3"), weights(runs, "amount-0")) > 1e-3


def test_the_adapter_begins_as_the_seed_says(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    recipe_data["training"] |= {"learning_rate": 1e-12}  # leaves the first weights as they were drawn
    recipe_data["grid"] = {"seed": {"path": "training.seed", "values": [0, 1]}}
    assert train_here(write_recipe(recipe_data), tmp_path).returncode == 0
    drawn = [weights(tmp_path, f"seed-{seed}") for seed in (0, 1)]
    assert all((drawn[0][name] - drawn[1][name]).abs().max() > 1e-2 for name in drawn[0] if "lora_A" in name)
    assert all(one[name].abs().max() < 1e-6 for one in drawn for name in one if "lora_B" in name)


def test_killed_in_the_middle_it_goes_on_and_ends_the_same(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    recipe_data["training"] |= {"epochs": 30, "checkpoint_every": 5, "learning_rate": 1e-3}
    recipe, runs, undisturbed = write_recipe(recipe_data), tmp_path / "killed", tmp_path / "undisturbed"
    assert train_here(recipe, undisturbed, "--cells", "amount-3").returncode == 0
    # `harness run` alone is killed: the trainer it started must not go on behind the next one's back
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "run", recipe, "--runs", runs, "--cells", "amount-3"],
        cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    checkpoints = runs / "small" / "amount-3" / "checkpoints"
    while (found := last_whole_checkpoint(checkpoints)) is None or found.name == "checkpoint-5":
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while holder_of(StudyFolder(runs / "small").cell("amount-3").lock):  # its trainer hears of it, and ends
        time.sleep(0.005)
    assert record(runs, "amount-3")["state"] == "training"
    broken = checkpoints / "checkpoint-1000"  # one that was being written when the process died
    broken.mkdir()
    (broken / "trainer_state.json").write_text('{"global_st')
    assert train_here(recipe, runs, "--cells", "amount-3").returncode == 0
    done = record(runs, "amount-3")
    assert 10 <= done["resumed_at"] < done["steps"] == 120
    assert done["loss"] == pytest.approx(record(undisturbed, "amount-3")["loss"], abs=1e-6)
    ends = [load_file(next((folder / "small" / "amount-3").glob("*/*.safetensors"))) for folder in (undisturbed, runs)]
    assert distance(*ends) <= 1e-6


def test_a_trained_cell_is_not_trained_again(trained: tuple[Path, Path]) -> None:
    recipe, runs = trained
    before = (runs / "small" / "amount-0" / "record.json").read_bytes()
    said = train_here(recipe, runs).stderr
    assert "amount-0, amount-3: trained already" in said
    assert (runs / "small" / "amount-0" / "record.json").read_bytes() == before


def tiny(family: str, vocabulary: int) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    scales = {
        "cohere": {"logit_scale": 0.25},
        "granite": {"logits_scaling": 4.0},
        "gemma2": {"final_logit_softcapping": 2.0},
    }
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    heads = {"num_key_value_heads": 2, "head_dim": 16, "vocab_size": vocabulary}
    config = AutoConfig.for_model(family, **sizes, **heads, **scales.get(family, {}), pad_token_id=0)
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).float()


@pytest.mark.parametrize("family", ["llama", "gemma2", "cohere", "granite", "qwen2"])
def test_the_loss_is_that_of_the_plain_model(family: str) -> None:
    """Scoring supervised positions only gives the loss and gradient of transformers' own forward."""
    from harness.training.supervised import with_supervised_forward

    model = tiny(family, 100)
    ids = torch.randint(6, 100, (3, 20), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[:, :12] = -100
    labels[0, 15:] = -100
    expected = model(input_ids=ids, labels=labels).loss
    expected.backward()
    gradient = model.get_input_embeddings().weight.grad.clone()
    model.zero_grad()
    with_supervised_forward(model)
    found = model(input_ids=ids, labels=labels, supervised_positions_only=True)
    mean = found.loss_sum / (labels[:, 1:] != -100).sum()
    mean.backward()
    assert mean.item() == pytest.approx(expected.item(), abs=1e-5)
    assert torch.allclose(model.get_input_embeddings().weight.grad, gradient, atol=1e-6)


def test_a_constant_schedule_keeps_its_warm_up() -> None:
    from harness.recipe.schema import Training
    from harness.training.trainer import scheduler_name

    assert scheduler_name(Training(warmup_steps=5)) == "constant_with_warmup"
    assert scheduler_name(Training()) == "constant"
    assert scheduler_name(Training(schedule="cosine", warmup_steps=5)) == "cosine"


def test_a_cell_that_diverges_is_said_and_stops_no_other(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    recipe_data["grid"] = {"rate": {"path": "training.learning_rate", "values": {"wild": 1e30, "mild": 1e-2}}}
    recipe = write_recipe(recipe_data)
    said = train_here(recipe, tmp_path).stderr
    assert "rate-wild: diverged" in said
    assert record(tmp_path, "rate-wild")["state"] == "diverged"
    assert record(tmp_path, "rate-mild")["state"] == "trained"
    assert "rate-wild: diverged already" in train_here(recipe, tmp_path).stderr
