"""How long a study will take here: counted from the plan, paced by a probe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from harness.planning.kept_plan import PlannedStudy, just_planned
from harness.planning.study import Study
from harness.planning.work import TrainingWork, together, training_work
from harness.training import batches as batches_of_training
from harness.training import forecast as forecasts
from harness.training.forecast import STARTS, kept_paces, mean_shape, models_left, time_left
from harness.training.pace import Pace


@pytest.fixture
def study(recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path) -> PlannedStudy:
    return just_planned(Study(write_recipe(recipe_data), tmp_path / "runs"))


def test_the_work_is_that_of_the_micro_batches(
    recipe_data: dict[str, Any],
    write_recipe: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = Study(write_recipe(recipe_data), tmp_path / "runs")
    plan = study.plans[0]  # ten rows, by global batches of four, each sorted by length, and micro-batches of two
    tokens = plan.lengths.tokens.tolist()
    batches = [sorted(tokens[start : start + 4]) for start in (0, 4, 8)]
    padded = sum(2 * max(batch[start : start + 2]) for batch in batches for start in range(0, len(batch), 2))
    work = training_work(plan, 1)
    assert (work.micro_batches, work.rows, work.tokens) == (5, 10, sum(tokens))
    assert work.supervised == plan.lengths.supervised_tokens.sum()
    assert training_work(plan, 2).micro_batches == 3
    monkeypatch.setattr(batches_of_training, "LONGEST_JOINED", 10)  # longer ones are padded
    assert training_work(plan, 1).tokens == padded > sum(tokens)
    halves = [
        TrainingWork(micro_batches=5, rows=10, tokens=tokens, supervised=supervised)
        for tokens, supervised in ((400, 150), (600, 50))
    ]
    assert mean_shape(together(halves)) == (2, 50, 10)


def test_generation_is_of_every_model_that_lacks_it(study: PlannedStudy) -> None:
    generation = study.kept.work.generation["base"]
    assert generation.prompts == 12 and generation.new_tokens == 8 * 12
    assert models_left(study, study.plans) == {"base": 3} and models_left(study, study.plans[:1]) == {"base": 2}
    there = pl.DataFrame({"cell": ["base"] * 12 + ["amount-0"] * 12, "weights": [None] * 12 + ["gone"] * 12})
    there.write_parquet(study.folder / "predictions.parquet")
    assert models_left(study, study.plans) == {"base": 2}, "predictions of other weights do not count"
    there[:9].write_parquet(study.folder / "predictions.parquet")
    assert models_left(study, study.plans) == {"base": 2.25}


def test_pace_times_work(study: PlannedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[Any] = []
    pace = Pace(training=2.0, reading=0.5, writing=3.0, adapter=800, model=5000)
    monkeypatch.setattr("harness.training.pace.measure", lambda *of: (measured.append(of), pace)[1])
    left = time_left(study, None)
    work, generation = study.kept.work, study.kept.work.generation["base"]
    assert left.training == pytest.approx(2.0 * sum(cell.micro_batches for cell in work.training.values()))
    assert left.generation == pytest.approx(3 * (0.5 * generation.tokens + 3.0 * generation.new_tokens / 16))
    assert left.total == pytest.approx(left.training + left.generation + STARTS)
    assert left.disk == 4 * (800 + 800 + 3 * 3 * 800), "two adapters, and three checkpoints of one with two moments"
    assert left.emulation is None and left.total_in_float32 == left.total
    one = time_left(study, "amount-0")
    assert one.training < left.training and one.generation == pytest.approx(left.generation * 2 / 3)
    assert len(measured) == 1, "the pace is kept"
    time_left(study, None, measure_again=True)
    assert len(measured) == 2


@pytest.mark.parametrize("change", ["plan", "machine"])
def test_a_pace_of_something_else_is_not_used(
    change: str, study: PlannedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "harness.training.pace.measure",
        lambda *_: Pace(training=2.0, reading=0.5, writing=3.0, adapter=800, model=5000),
    )
    time_left(study, None)
    assert kept_paces(study)
    other = {"key": "another"} if change == "plan" else {"machine": "another"}
    assert kept_paces(replace(study, kept=study.kept.model_copy(update=other))) == {}


def test_emulated_bfloat16_takes_as_many_times_as_long(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from harness.models.devices import Device

    measured: list[str] = []

    def pace(config: Any, dtype: str, *_: Any) -> Pace:
        measured.append(dtype)
        return Pace(2.0, 0.0, 0.0, 800, 5000)

    monkeypatch.setattr("harness.training.pace.measure", pace)
    monkeypatch.setattr(forecasts, "this_device", lambda: Device("cpu", "old", False))
    monkeypatch.setattr(forecasts, "emulation_cost", lambda: 40.0)
    recipe_data["model"]["dtype"] = "bfloat16"
    found = time_left(just_planned(Study(write_recipe(recipe_data), tmp_path / "runs")), None)
    assert measured == ["float32"], "the probe itself must not take minutes"
    assert found.training == 40 * (found.total_in_float32 - STARTS)


def test_a_probe_that_fails_stops_no_study(study: PlannedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Pace:
        raise RuntimeError("out of memory\nand a long trace")

    monkeypatch.setattr("harness.training.pace.measure", fail)
    found = time_left(study, None)
    assert found.problem == "RuntimeError: out of memory" and found.total == 0


def test_the_real_probe_measures_within_its_time(study: PlannedStudy) -> None:
    found = time_left(study, "amount-3")
    assert 0 < found.training < 600 and 0 < found.generation < 600
    assert found.device and found.probe


@pytest.mark.parametrize("family", ["gemma3_text", "qwen3", "llama"])
def test_any_family_can_be_measured(family: str) -> None:
    from transformers import AutoConfig

    from harness.recipe.schema import Adapter
    from harness.training.pace import Shape, measure

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 6, "num_attention_heads": 2}
    config = AutoConfig.for_model(family, **sizes, num_key_value_heads=2, head_dim=16, vocab_size=100, pad_token_id=0)
    pace = measure(config, "float32", "cpu", Adapter(), Shape(2, 16, 4), 16)
    assert pace.training > 0 and pace.reading > 0 and pace.writing > 0
    assert pace.adapter == 8 * 6 * (4 * (32 + 32) + 3 * (32 + 64)), "of all layers, though four are measured"
