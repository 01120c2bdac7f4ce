"""How long a study will take here: counted from the plan, paced by a probe."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as some

from harness.planning.kept_plan import PlannedStudy, just_planned
from harness.planning.study import Study
from harness.planning.time_left import by_workers
from harness.planning.work import TrainingWork, together, training_work
from harness.training import batches as batches_of_training
from harness.training import forecast as forecasts
from harness.training.forecast import STARTS, UNMEASURED_STARTS, kept_paces, mean_shape, models_left, time_left
from harness.training.pace import Pace
from tests.support import harness


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
    assert models_left(study, study.choice(None)) == {"base": 3} and models_left(study, study.choice("amount-0")) == {
        "base": 2
    }
    there = pl.DataFrame({"cell": ["base"] * 12 + ["amount-0"] * 12, "weights": [None] * 12 + ["gone"] * 12})
    there.write_parquet(study.folder / "predictions.parquet")
    assert models_left(study, study.choice(None)) == {"base": 2}, "predictions of other weights do not count"
    there[:9].write_parquet(study.folder / "predictions.parquet")
    assert models_left(study, study.choice(None)) == {"base": 2.25}


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


def test_a_whole_model_that_was_measured_is_not_measured_again(
    study: PlannedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = Pace(training=2.0, reading=0.5, writing=3.0, adapter=800, model=5000)
    monkeypatch.setattr("harness.training.pace.measure", lambda *_: pace)
    monkeypatch.setattr(
        "harness.training.pace.measure_whole",
        lambda pace, settings, *_: replace(pace, training=4.0, start=7.0) if settings.max_length > 32 else None,
    )
    layers, whole = time_left(study, None), time_left(study, None, whole=True)
    assert not layers.whole and not layers.by_workers and whole.whole
    assert whole.training == pytest.approx(2 * layers.training) and whole.starts == 7 + UNMEASURED_STARTS
    for again in (time_left(study, None), time_left(study, None, measure_again=True)):
        assert again.model_copy(update={"free": whole.free}) == whole, "what is free on the disk changes by itself"
    assert [of.workers for of in whole.by_workers] == [1, 2], "as there are two cells"
    assert whole.by_workers[0].seconds == pytest.approx(whole.total)
    assert whole.by_workers[1].device_hours * 1800 == pytest.approx(whole.by_workers[1].seconds)


@given(some.lists(some.floats(0, 1e4), max_size=40), some.floats(0, 1e4), some.floats(0, 100))
def test_more_workers_are_sooner_done_and_take_no_less_in_all(
    training: list[float], generation: float, starts: float
) -> None:
    found = list(by_workers(training, generation, starts))
    assert [of.workers for of in found] == [1 << place for place in range(max(1, len(training)).bit_length())]
    assert found[0].seconds == pytest.approx(sum(training) + generation + starts)
    for of in found:
        least = max(sum(training) / of.workers, max(training, default=0)) + generation / of.workers + starts
        assert of.seconds >= least * (1 - 1e-9)
        assert of.seconds <= least + max(training, default=0) + 1e-6, "by any order of work (Graham 1966)"
        assert of.device_hours * 3600 == pytest.approx(of.workers * of.seconds)


def test_the_whole_model_and_its_engine_are_measured_in_little_time(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    ended = harness("plan", write_recipe(recipe_data), "--runs", tmp_path / "runs", "--measure")
    assert ended.returncode == 0 and ", the whole model, in " in ended.stdout, ended.stderr
    assert re.search(
        r"by workers.*\n.*workers +time +hours of such a machine\n.*\n? *1 +0:\d\d:\d\d +0\.\d\d", ended.stdout
    )
    refused = harness("plan", tmp_path / "recipe.yaml", "--measure", "--on", "8xH100")
    assert refused.returncode == 2 and "--on asks about others" in refused.stderr


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
