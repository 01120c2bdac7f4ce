"""Blocks put back to random weights: exactly those, by the model's own rule, and the same every time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from harness.errors import UserError
from harness.models.reinitialise import modules_of_blocks, reinitialise
from harness.planning.study import Study
from harness.recipe.schema import Adapter
from tests.support import run_here, small_recipe, train_here

Write = Callable[[dict[str, Any]], Path]


def gemma() -> Any:
    """A tiny Gemma, whose norms are 0 by its rule, with every weight away from where it begins."""
    import torch
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(1)
    config = Gemma3TextConfig(
        vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, initializer_range=0.05,
    )  # fmt: skip
    model = Gemma3ForCausalLM(config)
    for weight in model.parameters():
        weight.data += 1
    return model


def changed(before: Any, after: Any) -> dict[str, Any]:
    import torch

    now = dict(after.named_parameters())
    return {
        name: now[name].detach() for name, weight in before.named_parameters() if not torch.equal(weight, now[name])
    }


def test_exactly_the_named_blocks_are_new_norms_included() -> None:
    import torch

    before, after = gemma(), gemma()
    reinitialise(after, (1, 2), seed=0)
    different = changed(before, after)
    assert set(different) == {name for name, _ in before.named_parameters() if ".layers.1." in name}
    for name, weight in different.items():
        if "norm" in name:
            assert not weight.any(), "Gemma multiplies by 1 + w"
        else:
            assert float(weight.std()) == pytest.approx(0.05, rel=0.2) and abs(float(weight.mean())) < 0.02
    again = gemma()
    torch.rand(7)
    reinitialise(again, (1, 2), seed=0)
    assert not changed(after, again)
    reinitialise(again, (1, 2), seed=1)
    assert len(changed(after, again)) == sum("norm" not in name for name in different)


def test_the_control_has_as_many_new_weights_elsewhere() -> None:
    before, after = gemma(), gemma()
    reinitialise(after, (0, 1), seed=0, elsewhere=True)
    now = dict(after.named_parameters())
    wanted = sum(weight.numel() for name, weight in before.named_parameters() if ".layers.0." in name)
    differing = {name: int((weight != now[name]).sum()) for name, weight in before.named_parameters()}
    assert all(count == 0 for name, count in differing.items() if ".layers.1." not in name and ".layers.2." not in name)
    assert sum(differing.values()) == pytest.approx(wanted, abs=len(differing))


@pytest.mark.parametrize("layers", [(2, 2), (1, 4), (-1, 1)])
def test_blocks_that_are_not_there_are_refused(layers: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="the model has blocks 0 to 2"):
        reinitialise(gemma(), layers, seed=0)


def test_adapters_beside_new_blocks_are_merged_into_what_was_trained() -> None:
    import torch

    from harness.training.lora import merged_state, with_adapter

    model, plain = gemma(), gemma()
    whole = modules_of_blocks(model, (0, 1))
    assert whole[0] == "model.layers.0.self_attn.q_proj" and len(whole) == 4 + 2 + 3 + 4
    adapted = with_adapter(model, Adapter(rank=2), 0, whole)
    learns = {name for name, weight in adapted.named_parameters() if weight.requires_grad}
    assert all(("lora_" in name) is (".layers.0." not in name) for name in learns) and learns
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight += torch.randn_like(weight) / 10
    plain.load_state_dict(merged_state(adapted, adapted.state_dict()))
    ids = torch.arange(12)[None]
    assert torch.allclose(adapted.eval()(ids).logits, plain.eval()(ids).logits, atol=1e-4)


@pytest.fixture(scope="module")
def study(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells that began with the model's own weights, and with new ones in a block."""
    folder = tmp_path_factory.mktemp("blocks")
    data = small_recipe(tiny_model)
    del data["training"]["epochs"]
    data["training"] |= {"steps": 1, "learning_rate": 1e-3}
    data["mixture"] = {"own": {"sources": ["word-problems"], "languages": ["en"], "amount": 4}}
    data["grid"] = {"block": {"path": "model.reinitialise.layers", "values": [None, [0, 1]]}}
    data["evaluation"] |= {"tasks": ["math"], "max_tokens": {"math": 4}, "items": 4}
    (folder / "recipe.yaml").write_text(json.dumps(data))
    ended = run_here(folder / "recipe.yaml", "--runs", folder / "runs")
    assert ended.returncode == 0, ended.stderr
    return folder / "runs" / "small"


def test_a_cell_with_a_new_block_is_a_whole_model_and_one_without_is_as_ever(study: Path, tiny_model: Path) -> None:
    from safetensors.torch import load_file

    assert (study / "block-none" / "adapter").is_dir()
    identity = json.loads((study / "block-none" / "record.json").read_text())["identity"]
    assert "reinitialise" not in identity["model"]
    before = load_file(tiny_model / "model.safetensors")
    (file,) = (study / "block-0-1" / "model").glob("*.safetensors")
    after = load_file(file)
    apart = {name: float((after[name] - weight).abs().mean()) for name, weight in before.items()}
    for name, distance in apart.items():
        if ".layers.0." in name and "norm" not in name:
            assert distance > 1e-2, f"{name} is new"
        elif "proj" in name:
            assert 0 < distance < 2e-3, f"{name} has an adapter merged in"
        elif ".layers.0." not in name:
            assert distance == 0, f"{name} is the base model's"


def test_training_that_breaks_off_goes_on_with_the_new_block_as_it_was(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    from harness.training.loop import ShowProgress

    del recipe_data["grid"], recipe_data["training"]["epochs"]
    recipe_data["training"] |= {"steps": 4, "learning_rate": 1e-3, "checkpoint_every": 2}
    recipe_data["model"]["reinitialise"] = {"layers": [0, 1]}
    recipe, broken, undisturbed = write_recipe(recipe_data), tmp_path / "broken", tmp_path / "undisturbed"
    assert train_here(recipe, undisturbed).returncode == 0

    def give_up(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 3:
            raise RuntimeError("the machine has had enough")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ShowProgress, "on_step_end", give_up)
        assert train_here(recipe, broken).returncode == 1
    assert train_here(recipe, broken).returncode == 0
    records = [json.loads((runs / "small" / "small" / "record.json").read_text()) for runs in (broken, undisturbed)]
    assert records[0]["resumed_at"] == 2 and records[0]["loss"] == pytest.approx(records[1]["loss"], abs=1e-6)
    ends = [
        load_file(next((runs / "small" / "small" / "model").glob("*.safetensors"))) for runs in (broken, undisturbed)
    ]
    assert max(float((ends[0][name] - ends[1][name]).abs().max()) for name in ends[0]) <= 1e-6


def test_blocks_are_compared_with_the_models_own(study: Path) -> None:
    effects = pl.read_csv(study / "blocks.csv")
    assert effects.select("cell", "other", "kind", "languages").rows() == [
        ("block-0-1", "block-none", "in-language", "en"), ("block-0-1", "block-none", "cross-lingual", "fr ja"),
    ]  # fmt: skip
    scores = pl.read_parquet(study / "scores.parquet").filter(metric="accuracy", language="en")
    assert set(scores["cell"]) == {"base", "block-none", "block-0-1"}, "one base model for all"
    means = {cell: np.mean(scores.filter(cell=cell)["value"].to_numpy()) for cell in set(scores["cell"])}
    assert effects["difference"][0] == pytest.approx(means["block-0-1"] - means["block-none"])
    assert 'id="blocks"' in (study / "report.html").read_text()


def test_no_new_blocks_is_the_same_experiment_as_no_such_key(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    before = [dict(plan.run.identity) for plan in Study(write_recipe(recipe_data), tmp_path).plans]
    recipe_data["model"]["reinitialise"] = {"seed": 3}
    assert [dict(plan.run.identity) for plan in Study(write_recipe(recipe_data), tmp_path).plans] == before


@pytest.mark.parametrize(
    ("section", "given", "message"),
    [
        ("model", {"reinitialise": {"layers": [1, 3]}}, r"model\.reinitialise\.layers: got \[1, 3\]; .* blocks 0 to 1"),
        ("model", {"reinitialise": {"layers": [1, 1]}}, "which holds no block"),
        ("model", {"reinitialise": {"layers": [0, 1], "elsewhere": True}}, "use training.method: full"),
        ("adapter", {"layers": [0, 5]}, r"adapter\.layers: got \[0, 5\]; .* blocks 0 to 1"),
    ],
)
def test_ranges_of_blocks_that_there_are_not(
    section: str, given: dict[str, Any], message: str, recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    recipe_data[section] = recipe_data.get(section, {}) | given
    with pytest.raises(UserError, match=message):
        Study(write_recipe(recipe_data), tmp_path).check()


def test_adapters_on_some_blocks_alone() -> None:
    from harness.training.lora import with_adapter

    adapted = with_adapter(gemma(), Adapter(rank=2, layers=(1, 3)), 0)
    blocks = {name.split(".layers.")[1][0] for name, _ in adapted.named_parameters() if "lora_" in name}
    assert blocks == {"1", "2"}
