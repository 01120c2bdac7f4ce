"""Decoding by task: greedy or sampled, mean@n and pass@k, what the system says, and keys that stay as they were."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data_mixes.prompts import Renderer
from eval.engines.engine import Completion, EngineSettings, ModelFiles, Request
from eval.engines.transformers_engine import TransformersEngine, drawing
from eval.generation.requests import Evaluation, EvaluationSet, ModelUnderTest
from eval.predictions_and_scores import endings, first_samples, predictions_table, scores_table
from eval.report.text_tables import endings_table
from eval.scorers.samples import over_samples, pass_at, sizes
from eval.tasks import TASKS
from harness.errors import UserError
from harness.planning.lengths import length_for
from harness.planning.plan import plan_of
from harness.planning.study import Study
from harness.runs.record import write_json
from tests.support import embedded


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.data())
def test_pass_at_k_is_the_share_of_draws_with_a_right_one(right: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(right)))
    draws = [any(drawn) for drawn in combinations(right, k)]
    assert pass_at(k, len(right), sum(right)) == pytest.approx(sum(draws) / len(draws))


def test_pass_at_k_is_reported_for_powers_of_two_and_all() -> None:
    assert [sizes(n) for n in (1, 2, 5, 8)] == [[], [2], [2, 4, 5], [2, 4, 8]]


def rows(values: dict[str, list[float | None]], metric: str = "accuracy") -> pl.DataFrame:
    return pl.DataFrame([
        {"sample": number, "cell": "a", "weights": None, "task": "math", "language": "en", "item": item, "id": item,
         "metric": metric, "value": value, "version": "v/1", "answer": f"{number}",
         "reason": None if value is not None else "silent"}
        for item, given in values.items() for number, value in enumerate(given)
    ], schema_overrides={"weights": pl.String, "value": pl.Float64, "reason": pl.String})  # fmt: skip


def test_a_score_of_several_samples_is_their_mean() -> None:
    found = over_samples(rows({"x": [1, 0, 0, 1], "y": [0, 0, 0, 0], "z": [1, None, None, None]}), {"math": "accuracy"})
    values = {(row["id"], row["metric"]): row["value"] for row in found.iter_rows(named=True)}
    assert values == {
        ("x", "accuracy"): 0.5, ("y", "accuracy"): 0.0, ("z", "accuracy"): 1.0,
        ("x", "pass@2"): pytest.approx(5 / 6), ("y", "pass@2"): 0.0, ("z", "pass@2"): None,
        ("x", "pass@4"): 1.0, ("y", "pass@4"): 0.0, ("z", "pass@4"): None,
    }  # fmt: skip
    versions = dict(found.select("metric", "version").iter_rows())
    assert versions == {"accuracy": "v/1 mean@4", "pass@2": "v/1 pass@2", "pass@4": "v/1 pass@4"}
    assert found.filter(id="z", metric="pass@4")["reason"].item() == "fewer than 4 samples are scored"
    assert found.filter(id="x", metric="accuracy")["answer"].item() == "0"


def test_what_is_no_right_or_wrong_has_no_pass_at_k() -> None:
    found = over_samples(rows({"x": [0.5, 0.25]}, "rouge_l"), {"math": "rouge_l"})
    assert found.select("metric", "value").rows() == [("rouge_l", 0.375)]
    nothing = over_samples(rows({"x": [None, None]}), {"math": "accuracy"})
    assert nothing.filter(metric="accuracy").select("value", "reason").row(0) == (None, "silent")


def evaluation(tmp_path: Path, tokenizer: Any, **decoding: Any) -> Evaluation:
    source = next(source for source in embedded() if source.task == "math")
    renderer = Renderer(tokenizer)
    return Evaluation(
        folder=tmp_path, base=ModelFiles("model", None, "model"), engine_version="engine 1",
        models=[ModelUnderTest("base", None)],
        evaluation_sets=[
            EvaluationSet("math", "en", tuple(source.pool("test", "en").examples(range(3))), 8, **decoding)
        ],
        renderer=renderer, rendered=lambda tested: renderer.prompts(tested.examples),
        start_engine=lambda settings: pytest.fail("no engine"), start_reference=lambda settings: pytest.fail("none"),
        dtype="float32", identifier="py3langid",
    )  # fmt: skip


def test_greedy_completions_keep_the_keys_that_they_had(tmp_path: Path, tokenizer: Any) -> None:
    (first, *_) = evaluation(tmp_path, tokenizer).prompts()
    decided_by = ["model", None, "engine 1", "float32", first.request.prompt_ids, 8, ("\n\n",)]
    assert first.key == hashlib.sha256(json.dumps(decided_by).encode()).hexdigest()[:32]
    assert (first.request.temperature, first.request.seed) == (0.0, None)


def test_every_sample_of_every_prompt_is_drawn_by_itself(tmp_path: Path, tokenizer: Any) -> None:
    prompts = evaluation(tmp_path, tokenizer, temperature=0.7, samples=4).prompts()
    assert [prompt.sample for prompt in prompts] == [0, 1, 2, 3] * 3
    assert len({prompt.key for prompt in prompts}) == len({prompt.request.seed for prompt in prompts}) == 12
    fewer = evaluation(tmp_path, tokenizer, temperature=0.7, samples=2).prompts()
    assert {prompt.key for prompt in fewer} < {prompt.key for prompt in prompts}, "more samples keep those there are"
    assert not {prompt.key for prompt in prompts} & {
        prompt.key for prompt in evaluation(tmp_path, tokenizer, temperature=0.8, samples=4).prompts()
    }


def test_samples_have_rows_of_predictions_and_examples_have_scores(tmp_path: Path, tokenizer: Any) -> None:
    sampled = evaluation(tmp_path, tokenizer, temperature=1.0, samples=4)
    prompts = sampled.prompts()
    answers = {
        prompt.key: Completion(f"The answer is {prompt.example.answer if prompt.sample else 'unknown'}.", 5, "length")
        for prompt in prompts
    }
    predictions, scores = predictions_table(prompts, answers), scores_table(sampled, prompts, answers)
    assert predictions.height == 12 and predictions["sample"].to_list() == [0, 1, 2, 3] * 3
    assert first_samples(predictions).height == 3 and "sample" not in first_samples(predictions).columns
    assert set(scores.filter(metric="accuracy")["value"]) == {0.75} and set(
        scores.filter(metric="pass@2")["value"]
    ) == {1.0}
    assert set(scores.filter(metric="accuracy_switch_aware")["version"].str.ends_with("mean@4")) == {True}
    assert scores.select("id", "metric").is_unique().all() and "sample" not in scores.columns
    (row,) = endings_table(endings(predictions)).rows
    assert row == ("math", "base", "12", "0", "0", "12", "100.0 %", "en 12")


def test_noise_on_logits_draws_from_their_softmax() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    request = Request((1,), 8, (), None, 2.0, 0)
    (noisy,) = drawing([request])
    drawn = [int(noisy(None, logits).argmax()) for _ in range(4000)]
    shares = np.bincount(drawn, minlength=3) / len(drawn)
    assert shares == pytest.approx(torch.softmax(logits[0] / 2.0, -1).numpy(), abs=0.03)
    assert drawing([replace(request, temperature=0.0)]) == []


def test_what_is_drawn_depends_on_no_other_request(tiny_model: Path, tokenizer: Any) -> None:
    engine = TransformersEngine(EngineSettings(str(tiny_model), None, "float32", False, (), 200))
    ids = tokenizer(["Problem: 1 + 1", "Something else that is longer"], add_special_tokens=False)["input_ids"]
    requests = [Request(tuple(ids[n % 2]), 8, (), None, 1.0, n) for n in range(6)]
    together = engine.generate(requests, lambda done: None)
    assert together[2:4] == engine.generate(requests[2:4], lambda done: None)
    assert len({completion.text for completion in together}) > 2
    greedy = [replace(request, temperature=0.0, seed=None) for request in requests]
    mixed = engine.generate([*requests, *greedy], lambda done: None)
    assert mixed[:6] == together and mixed[6] == mixed[8] == mixed[10]


def planned(recipe: dict[str, Any], write: Callable[..., Path], tmp_path: Path, **decoding: Any) -> Study:
    del recipe["evaluation"]["max_tokens"]
    recipe["evaluation"]["decoding"] = {"math": decoding}
    return Study(write(recipe), tmp_path / "runs")


def test_a_recipe_says_how_completions_are_written(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    study = planned(recipe_data, write_recipe, tmp_path, max_tokens=9, temperature=0.5, samples=3, system="Be brief.")
    math = next(each for each in study.evaluation_sets if each.task == "math")
    assert (math.max_tokens, math.temperature, math.samples) == (9, 0.5, 3)
    assert "Be brief.\n\n" in study.bases[0].renderer.prompt_text(math.examples[0])
    tested = next(each for each in plan_of(study).evaluation if each.task == "math")
    assert (tested.max_tokens, tested.samples, tested.temperature) == (9, 3, 0.5)


@pytest.mark.parametrize(
    ("decoding", "message"),
    [
        ({"samples": 2}, "evaluation.decoding.math.samples: got 2 with temperature 0, which writes the same each time"),
        ({"temperature": -1.0}, "evaluation.decoding.math.temperature: got -1.0; should be at least 0"),
        ({"beams": 2}, "evaluation.decoding.math.beams: unknown key"),
    ],
)
def test_decoding_that_makes_no_sense_is_refused(
    decoding: dict[str, Any],
    message: str,
    recipe_data: dict[str, Any],
    write_recipe: Callable[..., Path],
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError) as caught:
        planned(recipe_data, write_recipe, tmp_path, **decoding)
    assert message in str(caught.value)


def test_a_length_is_given_once(recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe_data["evaluation"] |= {"max_tokens": {"math": 8}, "decoding": {"math": {"max_tokens": 9}}}
    with pytest.raises(UserError, match=r"evaluation.max_tokens.math is given too; keep one"):
        Study(write_recipe(recipe_data), tmp_path / "runs")


# --- how long completions may be


def lengths(study: Study) -> dict[str, int]:
    return {each.task: each.max_tokens for each in study.evaluation_sets}


def test_completions_may_be_longer_than_the_longest_reference_in_any_language(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe_data["evaluation"]["max_tokens"] = {"math": 8}
    study = Study(write_recipe(recipe_data), tmp_path / "runs")
    targets = [
        example.target for each in study.evaluation_sets if each.task == "instructions" for example in each.examples
    ]
    longest = max(map(len, study.bases[0].renderer.ids(targets))) + 1
    assert lengths(study)["math"] == 8
    assert lengths(study)["instructions"] >= 1.5 * longest > lengths(study)["instructions"] - 16
    assert length_for(40, [[1] * 10]) == 40 and length_for(40, [[1] * 31]) == 48 and length_for(8, []) == 16


def test_a_study_keeps_the_length_that_it_was_begun_with(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    del recipe_data["evaluation"]["max_tokens"]
    recipe_data["evaluation"]["items"] = 1
    first = Study(write_recipe(recipe_data), tmp_path / "runs")
    before = lengths(first)
    first.begin()
    note = tmp_path / "runs" / "small" / "study.json"
    kept = json.loads(note.read_text(encoding="utf-8"))
    assert kept["max_tokens"] == before
    write_json(note, kept | {"max_tokens": before | {"math": 99}})
    recipe_data["evaluation"]["items"] = 9
    again = Study(write_recipe(recipe_data), tmp_path / "runs")
    assert lengths(again) == before | {"math": 99}


def test_a_study_begun_before_references_counted_keeps_the_tasks_own(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    del recipe_data["evaluation"]["max_tokens"]
    study = Study(write_recipe(recipe_data), tmp_path / "runs")
    (tmp_path / "runs" / "small").mkdir(parents=True)
    write_json(tmp_path / "runs" / "small" / "study.json", {"dtype": "float32", "reason": "as the recipe says"})
    assert lengths(study) == {name: TASKS[name].max_tokens for name in ("math", "instructions")}
    study.begin()
    assert lengths(Study(write_recipe(recipe_data), tmp_path / "runs")) == lengths(study)
