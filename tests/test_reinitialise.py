"""Blocks put back to random weights: exactly those, by the model's own rule, and the same every time."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import UserError
from harness.models.reinitialise import reinitialise


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
