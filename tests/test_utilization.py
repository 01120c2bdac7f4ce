"""How much of what devices can compute training used: counted by hand, and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.training.utilization import Weights, arithmetic, matmul_rate, peak_rate, weights_of

WEIGHTS = Weights(body=1_000_000_000, head=500_000_000)


def test_arithmetic_is_counted_by_weights_and_tokens() -> None:
    assert arithmetic(WEIGHTS, 1_000_000, 100_000) == pytest.approx(4 * (1e9 * 1e6 + 5e8 * 1e5))
    tuned = WEIGHTS._replace(tuned_body=WEIGHTS.body, tuned_head=WEIGHTS.head)
    assert arithmetic(tuned, 1_000_000, 100_000) == pytest.approx(6 * (1e9 * 1e6 + 5e8 * 1e5))


def test_a_makers_rate_is_that_of_the_device_in_bfloat16() -> None:
    assert peak_rate("NVIDIA H100 80GB HBM3", "bfloat16") == 989e12
    assert peak_rate("NVIDIA H100 PCIe", "bfloat16") == 756e12
    assert peak_rate("cpu", "bfloat16") is None and peak_rate("NVIDIA H100", "float32") is None


def test_the_rate_of_products_is_measured_anywhere() -> None:
    assert matmul_rate("cpu", "float32") > 1e8


def test_embeddings_that_are_looked_up_do_not_count(tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    table = model.get_input_embeddings().weight.numel()
    found = weights_of(model)
    assert found.head == table and found.body == sum(each.numel() for each in model.parameters()) - 2 * table
    model.config.tie_word_embeddings = True
    model.tie_weights()
    assert weights_of(model) == found


def test_weights_that_other_processes_hold_count() -> None:
    """DeepSpeed leaves an empty tensor, and notes how many numbers there are."""
    import torch

    head, inner = torch.nn.Linear(3, 7, bias=False), torch.nn.Linear(3, 3, bias=False)
    model: Any = torch.nn.Sequential(torch.nn.Embedding(7, 3), inner, head)
    model.get_input_embeddings, model.get_output_embeddings = (lambda: model[0]), (lambda: head)
    whole = weights_of(model)
    for weight in (head.weight, inner.weight):
        vars(weight)["ds_numel"], weight.data = weight.numel(), torch.empty(0)
    assert weights_of(model) == whole == Weights(body=9, head=21, tuned_body=9, tuned_head=21)
