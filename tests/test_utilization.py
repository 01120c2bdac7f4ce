"""Model FLOPs utilization: counted by hand, and blank where the peak is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.training.utilization import Weights, model_flops_utilization, weights_of

WEIGHTS = Weights(body=1_000_000_000, head=500_000_000)


def test_it_is_the_arithmetic_over_the_peak() -> None:
    found = model_flops_utilization(WEIGHTS, 1_000_000, 100_000, 10.0, "NVIDIA H100 80GB HBM3", 2, "bfloat16")
    assert found == pytest.approx(4 * (1e9 * 1e6 + 5e8 * 1e5) / (989e12 * 2 * 10))
    slower = model_flops_utilization(WEIGHTS, 1_000_000, 100_000, 10.0, "NVIDIA H100 PCIe", 2, "bfloat16")
    assert found and slower and slower > found


@pytest.mark.parametrize(
    ("device", "dtype"), [("cpu", "bfloat16"), ("NVIDIA H100", "float32"), ("another", "bfloat16")]
)
def test_it_is_blank_where_the_peak_is_not_known(device: str, dtype: str) -> None:
    assert model_flops_utilization(WEIGHTS, 1000, 100, 1.0, device, 1, dtype) is None


def test_embeddings_that_are_looked_up_do_not_count(tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    table = model.get_input_embeddings().weight.numel()
    found = weights_of(model)
    assert found.head == table and found.body == sum(each.numel() for each in model.parameters()) - 2 * table
    model.config.tie_word_embeddings = True
    model.tie_weights()
    assert weights_of(model) == found
