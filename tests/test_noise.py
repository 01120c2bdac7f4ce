"""Generation noise: prompts put again in other batches, kept once, and told beside the intervals."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from eval.analysis.groups import LanguageGroups
from eval.analysis.noise import generation_noise, noise_notes
from eval.analysis.summary import summarize
from eval.engines.engine import Completion, EngineSettings, Progress, Request
from eval.generation.generate import generate
from eval.generation.kept import Answers
from eval.generation.requests import Evaluation
from eval.predictions_and_scores import predictions_table, repeats_table, scores_table
from harness.errors import UserError
from harness.models import engines
from harness.models.engines import EngineChoice, engine_for
from tests.support import harness, run_here, small_recipe
from tests.test_evaluate import StandIn, evaluation, ignore

__all__ = ["evaluation"]
GROUPS = LanguageGroups(("en", "fr"), ("ja",))


class Noisy(StandIn):
    """Writes how many requests were in the batch; breaks off when it is told to."""

    def __init__(self, batches: int = 1000) -> None:
        super().__init__(True)
        self.left = batches

    def generate(self, requests: Sequence[Request], progress: Progress) -> list[Completion]:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        self.asked.append(len(requests))
        return [Completion(f"{len(requests)}", 1, "stop") for _ in requests]


def with_engine(evaluation: Evaluation, engine: StandIn, **settings: Any) -> Evaluation:
    return replace(evaluation, start_engine=lambda settings: engine, **settings)


def test_a_study_gains_repeats_without_generating_anew(evaluation: Evaluation) -> None:
    first, second = Noisy(), Noisy()
    prompts = evaluation.prompts()
    once = with_engine(evaluation, first)
    generate(once, Answers.read(once), ignore, ignore)
    thrice = with_engine(evaluation, second, repeats=3)
    assert [prompt.key for prompt in thrice.prompts()] == [prompt.key for prompt in prompts]
    generate(thrice, Answers.read(thrice), ignore, ignore)
    assert sum(first.asked) == 16 and sum(second.asked) == 2 * 16
    fourth = Noisy()
    again = with_engine(thrice, fourth, repeats=4)
    generate(again, Answers.read(again), ignore, ignore)
    assert sum(fourth.asked) == 16, "those that there are count"
    assert repeats_table(again, Answers.read(again).completions)["repeat"].value_counts().sort("repeat").rows() == [
        (0, 16), (1, 16), (2, 16), (3, 16)
    ]  # fmt: skip


def test_a_repeat_is_in_other_batches_though_all_fits_into_one(evaluation: Evaluation) -> None:
    engine = Noisy()
    engine.chunk = 100
    twice = with_engine(evaluation, engine, repeats=2)
    generate(twice, Answers.read(twice), ignore, ignore)
    assert engine.asked == [16, 8, 8]
    (again,) = twice.repeated()
    assert [prompt.example for prompt in again] != [prompt.example for prompt in twice.prompts()]


def test_repeats_that_were_broken_off_go_on_with_the_same_batches(evaluation: Evaluation) -> None:
    def completions(*batches: int) -> Mapping[str, Completion]:
        folder = evaluation.folder / "-".join(map(str, batches))
        for engine in map(Noisy, batches):
            here = with_engine(evaluation, engine, repeats=2, folder=folder)
            try:
                generate(here, Answers.read(here), ignore, ignore)
            except KeyboardInterrupt:
                continue
        return Answers.read(replace(evaluation, folder=folder)).completions

    assert completions(1000) == completions(5, 1000) == completions(1, 1, 1, 1000)


def test_other_tables_are_of_the_first_generation(evaluation: Evaluation) -> None:
    engine = Noisy()
    twice = with_engine(evaluation, engine, repeats=2)
    prompts = twice.prompts()
    completions = generate(twice, Answers.read(twice), ignore, ignore)
    assert predictions_table(prompts, completions).height == 16
    scores, repeats = scores_table(twice, prompts, completions), repeats_table(twice, completions)
    main = scores.filter(metric="accuracy").select("cell", "id", "value")
    assert repeats.filter(repeat=0).select("cell", "id", "value").equals(main)


def repeats_of(rng: np.random.Generator, share: float, items: int = 200, times: int = 2) -> pl.DataFrame:
    """Two models' right and wrong answers; a generation departs from an item's usual text with a probability."""
    grid = pl.DataFrame({"cell": ["base", "cell"]}).join(pl.DataFrame({"language": GROUPS.all}), how="cross")
    asked = grid.join(pl.DataFrame({"number": range(items)}), how="cross")
    asked = asked.join(pl.DataFrame({"repeat": range(times)}), how="cross")
    other, number = rng.random(asked.height) < share, asked["number"].to_numpy()
    return asked.select(
        "cell", "language", "repeat",
        pl.col("number").cast(pl.String).alias("item"),
        pl.col("number").cast(pl.String).alias("id"),
        pl.lit("math").alias("task"),
        pl.lit("accuracy").alias("metric"),
        pl.lit(None, dtype=pl.String).alias("weights"),
        pl.lit(None, dtype=pl.String).alias("cluster"),
        value=np.where(other, rng.random(asked.height) < 0.5, number % 2).astype(float),
        completion=pl.Series(np.where(other, [f"other {place}" for place in range(asked.height)], "usual")),
    )  # fmt: skip


def noise_of(repeats: pl.DataFrame) -> dict[str, dict[str, Any]]:
    first = repeats.filter(repeat=0).with_columns(version=pl.lit("1"), reason=pl.lit(None, dtype=pl.String))
    table = generation_noise(repeats, GROUPS, summarize(first, GROUPS))
    return {row["group"]: row for row in table.iter_rows(named=True)}


@pytest.mark.parametrize("times", [2, 4])
def test_noise_is_what_simulated_generations_differ_by(times: int) -> None:
    """30 simulated studies: two completions differ unless both are the usual one; means vary as is told."""
    rng = np.random.default_rng(0)
    studies = [repeats_of(rng, 0.1, times=times) for _ in range(30)]
    noises = [noise_of(study) for study in studies]
    for group, languages in {"en": 1, "non_pivot": 2, "all": 3}.items():
        rows = [noise[group] for noise in noises]
        assert {row["completions"] for row in rows} == {2 * 200 * languages} and {row["models"] for row in rows} == {2}
        true = 1 - 0.9**2
        assert np.mean([row["differing"] for row in rows]) == pytest.approx(true, rel=0.1)
        assert np.mean([row["differing_low"] <= true <= row["differing_high"] for row in rows]) >= 0.85
        here = [study.filter(pl.col("language").is_in(rows[0]["languages"].split())) for study in studies]
        means = [part.group_by("cell", "repeat").agg(pl.col("value").mean())["value"].to_numpy() for part in here]
        assert np.mean([row["sd"] for row in rows]) == pytest.approx(np.std(np.concatenate(means)), rel=0.25)
        assert all(row["sd_low"] < row["sd"] < row["sd_high"] < row["interval"] for row in rows)


def test_where_nothing_differs_the_noise_has_a_bound() -> None:
    row = noise_of(repeats_of(np.random.default_rng(0), 0.0, items=50))["unseen"]
    assert (row["differing"], row["sd"], row["sd_low"]) == (0.0, 0.0, 0.0)
    assert 0 < row["differing_high"] < 0.1 and 0 < row["sd_high"] < 0.05


def test_what_was_not_scored_has_no_noise_of_scores() -> None:
    repeats = repeats_of(np.random.default_rng(0), 0.1).with_columns(value=pl.lit(None, dtype=pl.Float64))
    row = noise_of(repeats)["en"]
    assert row["sd"] is None and row["differing"] > 0


def test_noise_is_told_in_a_sentence() -> None:
    repeats = repeats_of(np.random.default_rng(0), 0.1)
    noise = generation_noise(repeats, GROUPS, summarize(repeats.filter(repeat=0).with_columns(
        version=pl.lit("1"), reason=pl.lit(None, dtype=pl.String)), GROUPS))  # fmt: skip
    (sentence,) = noise_notes(noise, GROUPS)
    assert sentence.startswith("math, unseen languages: generated 2 times in other batches, ")
    assert "of 400 completions differ between two generations (95 % CI " in sentence
    assert "that alone moves a model's mean by " in sentence and "its interval, which holds that, is ± " in sentence


def test_a_study_that_generates_twice_from_the_shell(tiny_model: Path, tmp_path: Path) -> None:
    data = small_recipe(tiny_model)
    data["evaluation"] |= {"tasks": ["math"], "max_tokens": {"math": 8}}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(data), encoding="utf-8")
    folder = tmp_path / "runs" / "small"
    first = run_here(recipe, "--runs", tmp_path / "runs")
    assert first.returncode == 0, first.stderr
    assert not (folder / "repeats.parquet").exists() and not (folder / "noise.csv").exists()
    written = (folder / "predictions.parquet").read_bytes()
    data["evaluation"]["repeats"] = 2
    recipe.write_text(json.dumps(data), encoding="utf-8")
    planned = harness("plan", recipe, "--runs", tmp_path / "runs")
    assert "up to 8 tokens, generated 2 times" in planned.stdout, planned.stderr
    second = run_here(recipe, "--runs", tmp_path / "runs")
    assert second.returncode == 0, second.stderr
    said = " ".join((second.stdout + second.stderr).split())
    assert "18 predictions wanted, all there already" in said
    assert "18 predictions wanted again, in other batches, 18 to generate" in said
    assert "generated 2 times in other batches" in said
    assert (folder / "predictions.parquet").read_bytes() == written
    noise = pl.read_csv(folder / "noise.csv")
    assert noise["group"].to_list()[:3] == ["en", "fr", "ja"] and set(noise["repeats"]) == {2}
    assert 'href="#noise"' in (folder / "report.html").read_text(encoding="utf-8")
    third = harness("eval", recipe, "--runs", tmp_path / "runs")
    assert "18 predictions wanted again, in other batches, all there already" in " ".join(third.stderr.split())


def problems_of(data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path) -> str:
    done = harness("plan", write_recipe(data), "--runs", tmp_path / "runs")
    assert done.returncode == 2
    return " ".join(done.stderr.split())


def test_repeats_of_nothing_are_refused(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe_data["evaluation"] |= {"tasks": ["math"], "max_tokens": {}, "repeats": 2}
    recipe_data["evaluation"]["decoding"] = {"math": {"samples": 2, "temperature": 1.0}}
    assert "evaluation.repeats: got 2, but no task has one completion per prompt" in problems_of(
        recipe_data, write_recipe, tmp_path
    )


def test_batch_invariance_is_refused_where_it_does_not_hold(
    recipe_data: dict[str, Any],
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe_data["evaluation"]["batch_invariant"] = True
    assert "evaluation.batch_invariant: only vLLM has batch-invariant kernels" in problems_of(
        recipe_data, write_recipe, tmp_path
    )
    import torch

    monkeypatch.setattr(engines, "vllm_available", lambda: True)
    for there, capability, problem in (
        (False, (0, 0), "are for GPUs, and there is none here"),
        (True, (7, 5), "need compute capability 8.0, and this GPU has 7.5"),
    ):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda capability=capability: capability)
        with pytest.raises(UserError, match=problem):
            engine_for("auto", batch_invariant=True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    chosen = engine_for("vllm", batch_invariant=True)
    assert chosen.batch_invariant and chosen.version == engine_for("vllm").version + ", batch-invariant"


def test_the_engine_is_told_to_be_batch_invariant(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[EngineSettings] = []
    monkeypatch.setattr(engines, "VllmEngine", told.append)
    settings = EngineSettings("model", None, "float32", False, (), 64)
    for batch_invariant in (False, True):
        EngineChoice("vllm", "vllm", "", batch_invariant).start(settings)
    assert [given.batch_invariant for given in told] == [False, True]
