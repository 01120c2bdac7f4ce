"""What makes training fast leaves its results as they are: joined rows, an adapter's products, the head's gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from harness.recipe.schema import Adapter
from harness.training import supervised
from harness.training.attention import attend_to_joined_rows
from harness.training.batches import are_joined
from harness.training.lora import adapted
from harness.training.padding import collator, joined, keeps_rows_apart, padded
from harness.training.supervised import with_supervised_forward

ROWS = [
    {"input_ids": ids, "labels": [-100, *ids[1:]] if number else [-100] * (len(ids) - 2) + ids[-2:]}
    for number, ids in enumerate(([5, 9, 2, 7], [1, 8, 8, 3, 4, 6, 11], [2, 3], list(range(1, 30))))
]
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}


def tiny(family: str, **settings: Any) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(family, **(SIZES | {"num_hidden_layers": 2, "vocab_size": 100} | settings))
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).float()


def learned(model: Any, batch: dict[str, torch.Tensor]) -> tuple[float, list[torch.Tensor]]:
    """The loss of a micro-batch and the gradients of all that learns."""
    model.zero_grad()
    loss = model(**batch, supervised_positions_only=True, use_cache=False).loss_sum
    loss.backward()
    return loss.item(), [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "qwen3", "gemma2", "cohere"])
@pytest.mark.parametrize("by_row", [True, False])
def test_joined_rows_give_the_loss_and_gradients_of_padded_ones(family: str, by_row: bool) -> None:
    model = tiny(family, **({"sliding_window": 8} if family.startswith("gemma") else {}))
    with_supervised_forward(model)
    loss, gradients = learned(model, padded(ROWS))
    if by_row:
        attend_to_joined_rows(model)
    assert keeps_rows_apart(model)
    batch = collator(True)(ROWS)
    assert batch["input_ids"].shape == (1, sum(len(row["input_ids"]) for row in ROWS))
    same_loss, same = learned(model, batch)
    assert same_loss == pytest.approx(loss, rel=1e-5)
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(gradients, same, strict=True))


def test_a_model_whose_state_runs_on_keeps_padding() -> None:
    model = tiny("mamba", state_size=4)
    assert not keeps_rows_apart(model)
    assert "attention_mask" in collator(keeps_rows_apart(model))(ROWS)


def test_long_micro_batches_are_padded() -> None:
    assert are_joined([2000, 2000]) and not are_joined([3000, 2000]) and not are_joined([7])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_joined_products_are_those_of_peft(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32 to its last digits; in bfloat16 within what its rounding makes of the same sum in another order."""
    found: list[tuple[float, list[torch.Tensor]]] = []
    for joins in (True, False):
        model = tiny("llama").to(dtype).requires_grad_(False)
        with monkeypatch.context() as patched:
            if not joins:
                patched.setattr("harness.training.lora.join_products", lambda layer: None)
            with adapted(model, Adapter(rank=4, alpha=6), seed=0) as tuned:
                torch.manual_seed(1)
                for name, weight in tuned.named_parameters():
                    if "lora_B" in name:
                        torch.nn.init.normal_(weight, std=0.1)
                with_supervised_forward(model)
                found.append(learned(tuned, joined(ROWS)))
    (loss, gradients), (same_loss, same) = found
    assert len(gradients) == 2 * 2 * 7
    near = 1e-5 if dtype == torch.float32 else 0.02
    assert loss == pytest.approx(same_loss, rel=near)
    for one, other in zip(gradients, same, strict=True):
        assert one.dtype == torch.float32 and (one - other).norm() <= 3 * near * other.norm()


@pytest.mark.parametrize("family", ["llama", "gemma2", "cohere", "granite"])
def test_a_loss_made_in_parts_is_the_whole_one(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scales = {"gemma2": {"final_logit_softcapping": 2.0}, "granite": {"logits_scaling": 4.0}}
    model = tiny(family, **scales.get(family, {}))
    batch = padded(ROWS)
    expected = model(**batch, num_items_in_batch=1).loss  # their sum
    expected.backward()
    gradients = [weight.grad.clone() for weight in model.parameters()]
    with_supervised_forward(model)
    monkeypatch.setattr(supervised, "LOGITS_AT_ONCE", 300)  # three positions of a hundred words
    loss, same = learned(model, batch)
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(gradients, same, strict=True))
    with torch.no_grad():
        assert model(**batch, supervised_positions_only=True).loss_sum.item() == pytest.approx(loss, rel=1e-6)
