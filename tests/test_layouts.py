"""What a study takes on GPUs that are not here, from data sheets and configurations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.models.accelerators import ACCELERATORS
from harness.planning.layouts import Dimensions, ModelOnDevices, OnDevices, asked_devices, layouts, memory_of
from tests.support import harness

EIGHT = Dimensions(weights=8_000_000_000, layers=32, hidden=4096, adapter=0)


def on_h100s(size: Dimensions, gpus: int) -> ModelOnDevices:
    shown = tuple(layouts(size, 2048, gpus, ACCELERATORS["H100"], lambda at_once: 100 * at_once))
    return ModelOnDevices(
        model="base", weights=size.weights, cells=8, training_gpu_hours=8.0, generation_gpu_hours=9.0, layouts=shown
    )


def test_memory_of_full_tuning_is_eighteen_bytes_a_weight_and_what_a_row_needs() -> None:
    row = 34 * 2048 * 4096 * 32
    assert memory_of(EIGHT, 2048, 1, False, False) == pytest.approx(18 * 8e9 + row + 2e9)
    shared = memory_of(EIGHT, 2048, 8, False, False)
    assert shared == pytest.approx(18 * 8e9 / 8 + 2 * 8e9 / 32 * 6 + row + 2e9)
    assert memory_of(EIGHT, 2048, 8, True, False) < shared and memory_of(EIGHT, 2048, 8, True, True) < 10e9
    adapter = Dimensions(8_000_000_000, 32, 4096, adapter=100_000_000)
    assert memory_of(adapter, 2048, 1, False, False) == pytest.approx(2 * 8e9 + 16 * 1e8 + row + 2e9)
    rounded = Dimensions(8_000_000_000, 32, 4096, adapter=100_000_000, rounded=7_000_000_000)
    four_bits = memory_of(rounded, 2048, 1, False, False)
    assert four_bits == pytest.approx(2 * 1e9 + (0.5 + 4 / 64) * 7e9 + 16 * 1e8 + row + 2e9)


def test_the_smallest_layout_is_offloaded_only_where_nothing_else_fits() -> None:
    four = on_h100s(EIGHT, 8).smallest
    assert four is not None and (four.gpus_per_cell, four.offload) == (4, False)
    assert four.in_words == "gpus_per_cell: 4, sharding: fsdp2" and four.disk == 200, "two cells at a time"
    two = on_h100s(EIGHT, 2).smallest
    assert two is not None and two.offload, "two GPUs of 80 GB do not hold 144 GB of weights and moments"
    assert on_h100s(EIGHT, 1).smallest is None
    adapter = on_h100s(Dimensions(8_000_000_000, 32, 4096, adapter=100_000_000), 8).smallest
    assert adapter is not None and adapter.in_words == "a cell on each GPU"
    rounded = Dimensions(8_000_000_000, 32, 4096, adapter=100_000_000, rounded=7_000_000_000)
    assert [layout.gpus_per_cell for layout in on_h100s(rounded, 8).layouts] == [1], "it is not parted"


def test_cells_beside_each_other_share_the_hours() -> None:
    found = OnDevices(device="H100", gpus=8, models=(on_h100s(EIGHT, 8),))
    assert found.gpu_hours == 17 and found.hours == pytest.approx(8 / 8 + 9 / 8)
    assert OnDevices(device="H100", gpus=1, models=(on_h100s(EIGHT, 1),)).hours is None


def test_devices_are_asked_for_by_number_and_name() -> None:
    assert asked_devices("8xh100") == (8, "H100") and asked_devices("2 × RTX 4090") == (2, "RTX 4090")
    assert asked_devices("A100") == (1, "A100")
    for wrong in ("8xH1000", "0xH100", "eight", ""):
        with pytest.raises(UserError, match=r"give a number and a GPU, as in 8xH100"):
            asked_devices(wrong)


def test_a_plan_says_what_a_study_takes_elsewhere(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = write_recipe(recipe_data)
    said = harness("plan", recipe, "--runs", tmp_path, "--on", "2xA100", "-v")
    assert "On 2 × A100, estimated from data sheets (40% of the peak in training" in said.stdout
    assert "a cell on each GPU" in said.stdout and "Time on this machine" not in said.stdout
    shown = json.loads(harness("plan", recipe, "--runs", tmp_path, "--on", "2xA100", "--json").stdout)["elsewhere"]
    (model,) = shown["models"]
    assert shown["gpus"] == 2 and model["cells"] == 2 and shown["gpu_hours"] > 0 and shown["hours"] > 0
    assert model["weights"] < 1e7 and model["training_gpu_hours"] > 0
