"""A base of four bits: trained on, and generated with, as one and the same model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from eval.engines.engine import EngineSettings, Quantization
from eval.engines.transformers_engine import TransformersEngine
from harness.errors import UserError
from harness.models import engines
from harness.models.engines import engine_for
from harness.recipe.load import parse_recipe
from harness.recipe.schema import Adapter
from harness.training.lora import with_adapter
from tests.support import changed, harness, run_here, small_recipe
from tests.test_training import record


@pytest.fixture(scope="module")
def rounded(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Path, Path]:
    """A recipe and the folder of its runs: one cell on the model as it is, one on it in four bits."""
    pytest.importorskip("bitsandbytes")
    folder = tmp_path_factory.mktemp("rounded")
    data = small_recipe(tiny_model)
    data["grid"] = {"bits": {"path": "model.quantization", "values": ["none", "nf4"]}}
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(data))
    ran = run_here(recipe, "--runs", folder / "runs")
    assert ran.returncode == 0, ran.stderr
    return recipe, folder / "runs"


def test_the_base_of_four_bits_is_another_base_and_the_same_in_training_and_generation(
    rounded: tuple[Path, Path],
) -> None:
    _, runs = rounded
    plain, four_bits = record(runs, "bits-none"), record(runs, "bits-nf4")
    identities = [cell["identity"]["model"]["identity"] for cell in (plain, four_bits)]
    assert identities[1] == f"{identities[0]}, nf4"
    assert four_bits["loss"][0] != plain["loss"][0] == pytest.approx(four_bits["loss"][0], abs=0.05)
    assert four_bits["matmul_utilization"] > 0
    verdicts = json.loads((runs / "small" / "evaluation" / "canary.json").read_text())
    assert verdicts.keys() == {"base-none", "base-nf4", "bits-none", "bits-nf4"}
    assert {verdict["of"][0] for name, verdict in verdicts.items() if name.endswith("nf4")} == {identities[1]}
    assert all(verdict["passed"] and verdict["gap"] < 1e-4 for verdict in verdicts.values())
    assert set(pl.read_parquet(runs / "small" / "scores.parquet")["cell"]) == verdicts.keys()


def test_adapters_on_it_learn_in_float32_and_are_not_merged(rounded: tuple[Path, Path], tmp_path: Path) -> None:
    recipe, runs = rounded
    files = [runs / "small" / cell / "adapter" / "adapter_model.safetensors" for cell in ("bits-none", "bits-nf4")]
    plain, four_bits = map(load_file, files)
    assert plain.keys() == four_bits.keys()
    assert all((weight.float() - weight.bfloat16().float()).abs().max() > 0 for weight in four_bits.values())
    refused = harness("export", recipe, "--runs", runs, "--to", "merged", "--out", tmp_path)
    assert refused.returncode == 2 and "bits-nf4: adapters on a base of four bits cannot be merged" in refused.stderr
    assert harness("export", recipe, "--runs", runs, "--to", "hf", "--out", tmp_path / "hf").returncode == 0
    assert "quantization_config=four_bits" in (tmp_path / "hf" / "bits-nf4" / "README.md").read_text()
    assert "quantization_config" not in (tmp_path / "hf" / "bits-none" / "README.md").read_text()


def test_gradients_are_those_of_the_rounded_weights_after_a_pass_out_of_training(tiny_model: Path) -> None:
    """bitsandbytes repacks weights in such a pass on some CPUs, and loses the gradient of their products then."""
    functional = pytest.importorskip("bitsandbytes.functional")
    four_bits, plain = (whole(tiny_model, kind) for kind in ("nf4", "none"))
    for name, layer in four_bits.named_modules():
        if type(layer).__name__ == "Linear4bit":
            weight = layer.weight
            plain.get_submodule(name).weight.data = functional.dequantize_4bit(weight.data, weight.quant_state)
    ids = torch.arange(5, 45)[None]
    gradients: list[dict[str, torch.Tensor]] = []
    for model in (four_bits, plain):
        with torch.no_grad():
            model(ids)
        tuned = with_adapter(model.requires_grad_(False), Adapter(), seed=0).train()
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                weight.data.fill_(0.01)
        tuned(ids).logits[..., 7].sum().backward()
        gradients.append({name: weight.grad for name, weight in tuned.named_parameters() if weight.requires_grad})
    assert len(gradients[1]) == 28
    for name, gradient in gradients[1].items():
        assert torch.allclose(gradients[0][name], gradient, rtol=1e-3, atol=1e-4 * float(gradient.abs().max())), name


def whole(folder: Path, quantization: Quantization) -> Any:
    settings = EngineSettings(str(folder), None, "float32", False, (), 64, quantization=quantization)
    return TransformersEngine(settings).model_with(None)


def test_transformers_generates_with_it_and_no_other_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "bitsandbytes_available", lambda: True)
    assert engine_for("auto", four_bit=True).name == "transformers"
    with pytest.raises(UserError, match=r"evaluation\.engine: vLLM 0\.32 rounds no weights to nf4"):
        engine_for("vllm", four_bit=True)
    monkeypatch.setattr(engines, "bitsandbytes_available", lambda: False)
    with pytest.raises(UserError, match=r"nf4 needs bitsandbytes: pip install 'transfer-study-harness\[nf4\]'"):
        engine_for("transformers", four_bit=True)


@pytest.mark.parametrize(
    ("key", "value", "refused"),
    [
        ("training.method", "full", "model.quantization: weights of four bits cannot learn"),
        ("model.reinitialise", {"layers": [0, 1]}, "model.quantization: weights of four bits cannot learn"),
        ("execution.sharding", "fsdp2", "execution.sharding: a base of four bits is for one GPU"),
    ],
)
def test_what_four_bits_cannot_do_is_refused(key: str, value: Any, refused: str, recipe_data: dict[str, Any]) -> None:
    recipe_data["model"]["quantization"] = "nf4"
    parse_recipe(recipe_data)
    with pytest.raises(UserError, match=refused):
        parse_recipe(changed(recipe_data, key, value))


def test_a_plan_names_the_engine(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "bitsandbytes_available", lambda: True)
    recipe_data["model"]["quantization"] = "nf4"
    recipe_data["evaluation"]["engine"] = "auto"
    planned = harness("plan", write_recipe(recipe_data), "--runs", tmp_path, "--json")
    assert planned.returncode == 0, planned.stderr
    shown = json.loads(planned.stdout)
    assert shown["engine"]["name"] == "transformers" and "it loads the base in four bits" in planned.stdout
