"""How long a study will take here: counted from the plan, paced by a probe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from harness.planning.study import Study
from harness.training import forecast as forecasts
from harness.training.forecast import STARTS, TrainingWork, generation_work, time_left, training_work, typical_shape
from harness.training.probe import Pace


@pytest.fixture
def study(recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path) -> Study:
    return Study(write_recipe(recipe_data), tmp_path / "runs")


def test_the_work_is_that_of_padded_micro_batches(study: Study) -> None:
    plan = study.plans[0]  # ten rows, by global batches of four, each sorted by length, and micro-batches of two
    tokens = plan.lengths.tokens.tolist()
    batches = [sorted(tokens[start : start + 4]) for start in (0, 4, 8)]
    padded = sum(2 * max(batch[start : start + 2]) for batch in batches for start in range(0, len(batch), 2))
    found = training_work(plan, 1)
    assert (found.micro_batches, found.rows, found.tokens) == (5, 10, padded)
    assert found.supervised == plan.lengths.supervised_tokens.sum()
    assert training_work(plan, 2).micro_batches == 3
    assert typical_shape([TrainingWork(5, 10, 400, 100), TrainingWork(5, 10, 600, 100)]) == (2, 50, 10)


def test_generation_is_of_every_model_that_lacks_it(study: Study) -> None:
    everything = generation_work(study, study.plans)
    assert everything.completions == 3 * 12 and everything.new_tokens == 8 * 3 * 12
    one = generation_work(study, study.plans[:1])
    assert one.completions == 24 and one.prompt_tokens * 3 == everything.prompt_tokens * 2
    study.folder.mkdir(parents=True)
    there = pl.DataFrame({"cell": ["base"] * 12 + ["amount-0"] * 12, "adapter": [None] * 12 + ["gone"] * 12})
    there.write_parquet(study.folder / "predictions.parquet")
    assert generation_work(study, study.plans).completions == 24, "predictions of another adapter do not count"


def test_pace_times_work(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.training.probe.measure", lambda *_: Pace(training=2.0, reading=0.5, writing=3.0))
    found = time_left(study, None)
    micro_batches = sum(training_work(plan, 1).micro_batches for plan in study.plans)
    work = generation_work(study, study.plans)
    assert found.training == 2.0 * micro_batches
    assert found.generation == pytest.approx(0.5 * work.prompt_tokens + 3.0 * work.new_tokens / 16)
    assert found.total == pytest.approx(found.training + found.generation + STARTS)
    assert found.emulation is None and found.total_in_float32 == found.total


def test_emulated_bfloat16_takes_as_many_times_as_long(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from harness.models.devices import Device

    measured: list[str] = []

    def pace(config: Any, dtype: str, *_: Any) -> Pace:
        measured.append(dtype)
        return Pace(2.0, 0.0, 0.0)

    monkeypatch.setattr("harness.training.probe.measure", pace)
    monkeypatch.setattr(forecasts, "this_device", lambda: Device("cpu", "old", False))
    monkeypatch.setattr(forecasts, "emulation_cost", lambda: 40.0)
    recipe_data["model"]["dtype"] = "bfloat16"
    found = time_left(Study(write_recipe(recipe_data), tmp_path / "runs"), None)
    assert measured == ["float32"], "the probe itself must not take minutes"
    assert found.training == 40 * (found.total_in_float32 - STARTS)


def test_a_probe_that_fails_stops_no_study(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Pace:
        raise RuntimeError("out of memory\nand a long trace")

    monkeypatch.setattr("harness.training.probe.measure", fail)
    found = time_left(study, None)
    assert found.problem == "RuntimeError: out of memory" and found.total == 0


def test_the_real_probe_measures_within_its_time(study: Study) -> None:
    found = time_left(study, "amount-3")
    assert 0 < found.training < 600 and 0 < found.generation < 600
    assert found.device and found.probe


@pytest.mark.parametrize("family", ["gemma3_text", "qwen3", "llama"])
def test_any_family_can_be_measured(family: str) -> None:
    from transformers import AutoConfig

    from harness.recipe.schema import Adapter
    from harness.training.probe import Shape, measure

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 6, "num_attention_heads": 2}
    config = AutoConfig.for_model(family, **sizes, num_key_value_heads=2, head_dim=16, vocab_size=100, pad_token_id=0)
    pace = measure(config, "float32", "cpu", Adapter(), Shape(2, 16, 4), 16)
    assert pace.training > 0 and pace.reading > 0 and pace.writing > 0
