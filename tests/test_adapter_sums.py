"""Sums and swaps of adapters' files against sums and swaps of what they change in weights."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from harness.training.adapter_sums import (
    Factors,
    LowRank,
    added,
    merged_by_ties,
    read_adapter,
    refuse_other_modules,
    with_layers,
    write_adapter,
)
from harness.training.ties import ties

MODULES = [f"base_model.model.model.layers.{layer}.{name}" for layer in (0, 1, 2) for name in ("q_proj", "up_proj")]
RANKS, WEIGHTS = st.integers(1, 9), st.floats(-2, 2, allow_nan=False).map(lambda weight: round(weight, 3))


def written(folder: Path, rank: int, alpha: float, stabilised: bool, seed: int) -> Path:
    """An adapter in PEFT's format, drawn at random."""
    draw = torch.Generator().manual_seed(seed)
    tensors = {f"{module}.lora_A.weight": torch.randn(rank, 6, generator=draw) for module in MODULES}
    tensors |= {f"{module}.lora_B.weight": torch.randn(5, rank, generator=draw) for module in MODULES}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"r": rank, "lora_alpha": alpha, "use_rslora": stabilised, "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def changes(folder: Path) -> dict[str, torch.Tensor]:
    """ΔW of each module, by PEFT's definition: B · A times α / r, or α / √r where it is rank-stabilised."""
    config, tensors = (
        json.loads((folder / "adapter_config.json").read_text()),
        load_file(folder / "adapter_model.safetensors"),
    )
    scale = config["lora_alpha"] / (math.sqrt(config["r"]) if config["use_rslora"] else config["r"])
    modules = [name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight")]
    return {
        module: scale * tensors[f"{module}.lora_B.weight"] @ tensors[f"{module}.lora_A.weight"] for module in modules
    }


ADAPTERS = st.lists(st.tuples(RANKS, st.integers(1, 32), st.booleans(), WEIGHTS), min_size=1, max_size=4)


@settings(max_examples=25)
@given(ADAPTERS)
def test_the_sum_of_files_is_the_sum_of_changes(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, int, bool, float]]
) -> None:
    folder = tmp_path_factory.mktemp("sum")
    folders = [
        written(folder / str(seed), rank, alpha, stable, seed) for seed, (rank, alpha, stable, _) in enumerate(parts)
    ]
    weights = [weight for *_, weight in parts]
    write_adapter(
        added([(weight, read_adapter(path)) for weight, path in zip(weights, folders, strict=True)]), folder / "whole"
    )
    whole, each = changes(folder / "whole"), [changes(path) for path in folders]
    assert json.loads((folder / "whole" / "adapter_config.json").read_text())["r"] == sum(rank for rank, *_ in parts)
    for module in MODULES:
        wanted = sum((weight * part[module] for weight, part in zip(weights, each, strict=True)), torch.zeros(5, 6))
        assert torch.allclose(whole[module], wanted, atol=1e-3, rtol=1e-5)


@settings(max_examples=15)
@given(RANKS, RANKS, st.booleans(), st.sets(st.integers(0, 2)))
def test_layers_of_another_adapter_change_what_they_changed_there(
    tmp_path_factory: pytest.TempPathFactory, rank: int, other_rank: int, stabilised: bool, layers: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("swap")
    own, other = written(folder / "own", rank, 16, False, 1), written(folder / "other", other_rank, 7, stabilised, 2)
    write_adapter(with_layers(read_adapter(own), {layer: read_adapter(other) for layer in layers}), folder / "whole")
    whole, ours, theirs = changes(folder / "whole"), changes(own), changes(other)
    for module in MODULES:
        wanted = theirs if int(module.split(".layers.")[1][0]) in layers else ours
        assert torch.allclose(whole[module], wanted[module], atol=1e-4)


def test_without_layers_of_others_an_adapter_stays_what_it_is_to_the_bit(tmp_path: Path) -> None:
    own = written(tmp_path / "own", 8, 8, False, 0)
    write_adapter(with_layers(read_adapter(own), {}), tmp_path / "whole")
    before, after = (load_file(path / "adapter_model.safetensors") for path in (own, tmp_path / "whole"))
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    own = read_adapter(written(tmp_path / "own", 2, 4, False, 0))
    with pytest.raises(ValueError, match="no weight is of layer 7"):
        with_layers(own, {7: own})
    fewer = LowRank(dict(list(own.factors.items())[1:]), own.config)
    with pytest.raises(ValueError, match=r"one adapter changes .*layers\.0\.q_proj, and another one does not"):
        refuse_other_modules(own, fewer)
    config = json.loads((tmp_path / "own" / "adapter_config.json").read_text())
    (tmp_path / "own" / "adapter_config.json").write_text(json.dumps(config | {"use_dora": True}))
    with pytest.raises(ValueError, match="more than a plain LoRA adapter: use_dora"):
        read_adapter(tmp_path / "own")


@pytest.fixture(scope="module")
def drawn(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two adapters of the tiny model, of other ranks and scales, saved by PEFT."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folders: dict[str, Path] = {}
    for name, rank, stable in (("one", 8, False), ("two", 4, True)):
        shape: Any = {"r": rank, "lora_alpha": 16, "use_rslora": stable, "target_modules": "all-linear"}
        config = LoraConfig(**shape, task_type="CAUSAL_LM", init_lora_weights=False)
        made = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_model), config)
        for weight in made.parameters():
            weight.data *= 0.3 if weight.requires_grad else 1
        folders[name] = tmp_path_factory.mktemp("drawn") / name
        made.save_pretrained(str(folders[name]))
    return folders


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.arange(5, 60)[None]).logits


def test_peft_computes_with_the_sum_what_both_change_together(
    tiny_model: Path, drawn: dict[str, Path], tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    plain = logits(base)
    write_adapter(added([(1.0, read_adapter(path)) for path in drawn.values()]), tmp_path / "sum")
    whole = logits(PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), str(tmp_path / "sum")))
    both: Any = PeftModel.from_pretrained(base, str(drawn["one"]), adapter_name="one")
    both.load_adapter(str(drawn["two"]), adapter_name="two")
    both.base_model.set_adapter(["one", "two"])
    together = logits(both)
    assert float((together - plain).abs().max()) > 0.05
    assert float((whole - together).abs().max()) < 1e-5


@pytest.mark.parametrize("made", ["sum", "swap"])
def test_peft_computes_what_weights_changed_by_hand_do(
    made: str, tiny_model: Path, drawn: dict[str, Path], tmp_path: Path
) -> None:
    """1 · one − ½ · two, and one with the first layer of two."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    one, two = (read_adapter(path) for path in drawn.values())
    write_adapter(added([(1.0, one), (-0.5, two)]) if made == "sum" else with_layers(one, {0: two}), tmp_path / made)
    ours, theirs = changes(drawn["one"]), changes(drawn["two"])
    by_hand, plain = (AutoModelForCausalLM.from_pretrained(tiny_model) for _ in range(2))
    for module, change in ours.items():
        swapped = theirs[module] if ".layers.0." in module else change
        weight = by_hand.get_submodule(module.removeprefix("base_model.model.")).weight
        weight.data += change - 0.5 * theirs[module] if made == "sum" else swapped
    wanted, base = logits(by_hand), logits(plain)
    whole = logits(PeftModel.from_pretrained(plain, str(tmp_path / made)))
    assert float((wanted - base).abs().max()) > 0.05
    assert float((whole - wanted).abs().max()) < 1e-5


def dense_ties(vectors: list[torch.Tensor], density: float) -> torch.Tensor:
    """TIES as the paper's algorithm has it, on whole task vectors."""
    trimmed: list[torch.Tensor] = []
    for vector in vectors:
        kept = vector.abs().topk(max(1, int(density * vector.numel()))).indices
        trimmed.append(torch.zeros_like(vector).index_copy(0, kept, vector[kept]))
    stacked = torch.stack(trimmed)
    elected = stacked.sum(0).sign()
    agrees = (stacked.sign() == elected) & (stacked != 0)
    return torch.where(agrees, stacked, 0).sum(0) / agrees.sum(0).clamp(min=1)


@pytest.mark.parametrize("density", [0.01, 0.2, 0.55, 1.0])
def test_ties_is_the_papers_algorithm_on_whole_changes(density: float) -> None:
    torch.manual_seed(0)
    shapes = {"one": (13, 7), "two": (5, 40), "three": (30, 3)}
    parts = [{name: torch.randn(shape) * scale for name, shape in shapes.items()} for scale in (1.0, 0.3, 2.0)]
    lazy = [(1.0, {name: partial(torch.clone, change) for name, change in part.items()}) for part in parts]
    merged = torch.cat([change.flatten() for _, change in ties(lazy, density)])
    dense = dense_ties([torch.cat([part[name].flatten() for name in shapes]) for part in parts], density)
    assert torch.allclose(merged, dense, atol=1e-7) and 0 < int((merged != 0).sum()) <= len(merged)
    doubled = [(2.0, changes) for _, changes in lazy]
    assert torch.allclose(torch.cat([change.flatten() for _, change in ties(doubled, density)]), 2 * dense, atol=1e-6)


def test_adapters_merged_by_ties_are_near_it_by_the_error_that_is_told() -> None:
    torch.manual_seed(0)
    parts = [LowRank({"m": Factors(torch.randn(rank, 12), torch.randn(9, rank)), "n": Factors(torch.randn(rank, 8),
             torch.randn(10, rank))}, {}) for rank in (3, 2)]  # fmt: skip
    vectors = [torch.cat([(part.factors[name].up @ part.factors[name].down).flatten() for name in "mn"])
               for part in parts]  # fmt: skip
    dense = dense_ties(vectors, 0.4)
    for rank in (12, 2):
        whole, error = merged_by_ties([(1.0, part) for part in parts], 0.4, rank)
        made = torch.cat([(whole.factors[name].up @ whole.factors[name].down).flatten() for name in "mn"])
        assert error == pytest.approx(float((made - dense).norm() / dense.norm()), abs=1e-5)
        assert (error < 1e-5) == (rank == 12) and max(factors.rank for factors in whole.factors.values()) <= rank
