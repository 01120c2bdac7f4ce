"""Prompts and answers in other languages than an item's own: factors of evaluation, each a task in the tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_mixes.prompt_words import task_prompt
from eval.analysis.condition_effects import condition_effects
from eval.analysis.design import Design
from eval.generation.conditions import Condition, conditions, task_of
from harness.errors import UserError
from harness.planning.kept_plan import planned_study
from harness.planning.study import Study
from harness.recipe.load import parse_recipe
from tests.support import harness, small_recipe


def crossed_recipe(tiny_model: Path, **evaluation: Any) -> dict[str, Any]:
    """A recipe that trains nothing, with math in three languages."""
    kept = {key: value for key, value in small_recipe(tiny_model).items() if key in ("study", "model", "evaluation")}
    kept["evaluation"] |= {"tasks": ["math"], "max_tokens": {}, "decoding": {"math": {"max_tokens": 4}}}
    kept["evaluation"] |= {"prompts_in": ["own", "en"], "answers_in": ["own", "fr"]} | evaluation
    return kept | {"languages": ["en", "fr", "ja"]}


@pytest.fixture(scope="module")
def study(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A recipe and its runs folder after `harness run`."""
    folder = tmp_path_factory.mktemp("conditions")
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(crossed_recipe(tiny_model, primary={"math": "all"})))
    run = harness("run", recipe, "--runs", folder / "runs")
    assert run.returncode == 0, run.stderr
    return recipe, folder / "runs"


def test_one_of_both_is_always_ones_own() -> None:
    assert conditions(("own", "en"), ("own", "en")) == [
        Condition(), Condition(answers="en"), Condition(prompts="en")
    ]  # fmt: skip
    assert conditions(("en",), ("fr",)) == []
    for condition in conditions(("own", "en"), ("own", "en")):
        assert task_of("math" + condition.suffix) == "math"
    assert Condition(prompts="en").languages("ja") == ("en", "ja")


def test_prompts_and_answers_are_in_the_languages_of_their_condition(study: tuple[Path, Path]) -> None:
    recipe, runs = study
    sets = {(each.name, each.language): each.examples[0] for each in Study(recipe, runs).evaluation_sets}
    assert len(sets) == 3 * 3
    own, asked, answered = (sets[f"math{condition}", "ja"] for condition in ("", "-asked-in-en", "-answered-in-fr"))
    assert own.item_id == asked.item_id == answered.item_id == sets["math", "en"].item_id
    assert (own.language, asked.language, answered.language) == ("ja", "ja", "fr")
    assert asked.prompt == sets["math", "en"].prompt and asked.target == own.target
    assert answered.prompt == own.prompt and answered.target == sets["math", "fr"].target
    assert sets["math-asked-in-en", "en"] == sets["math", "en"], "English asked in English is as ever"
    prompts = pl.read_parquet(runs / "small" / "prompts.parquet").filter(language="ja")
    text = dict(prompts.group_by("task", maintain_order=True).agg(pl.col("rendered").first()).iter_rows())
    assert "Problem:" in text["math-asked-in-en"] and "答え" in text["math-asked-in-en"], "the marker is of the answer"
    assert "問題" in text["math-answered-in-fr"] and "答え" not in text["math-answered-in-fr"]


def test_prompts_without_a_place_for_it_ask_for_the_language(tiny_model: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(crossed_recipe(tiny_model, tasks=["instructions"], decoding={})))
    sets = {each.name: each.examples[0] for each in Study(recipe, tmp_path).evaluation_sets if each.language == "ja"}
    assert "Language of the response: Japanese" in task_prompt(sets["instructions-asked-in-en"])
    assert "回答の言語：フランス語" in task_prompt(sets["instructions-answered-in-fr"])
    assert "言語" not in task_prompt(sets["instructions"])


def test_conditions_are_tasks_in_the_tables(study: tuple[Path, Path]) -> None:
    recipe, runs = study
    scores = pl.read_parquet(runs / "small" / "scores.parquet").filter("main")
    counts = dict(scores.group_by("task").len().iter_rows())
    assert counts == dict.fromkeys(
        [f"math{condition}" for condition in ("", "-asked-in-en", "-answered-in-fr")], 6)  # fmt: skip
    same = scores.filter(pl.col("task").is_in(["math", "math-asked-in-en"]), language="en")
    assert same.group_by("item").agg(pl.col("answer").n_unique())["answer"].to_list() == [1, 1]
    plan = json.loads(harness("plan", recipe, "--runs", runs, "--json").stdout)
    assert {part["task"] for part in plan["evaluation"]} == set(counts)
    status = json.loads(harness("status", recipe, "--runs", runs, "--json").stdout)
    assert [(cell["scored"], cell["wanted"]) for cell in status["cells"]] in ([], [(18, 18)])
    groups = planned_study(recipe, runs).groups
    assert groups.primary_of("math-asked-in-en") == groups.primary_of("math") == "all"
    page = (runs / "small" / "report.html").read_text()
    assert 'id="conditions"' in page and "math-answered-in-fr" in page
    effects = pl.read_csv(runs / "small" / "conditions.csv")
    assert effects["condition"].to_list() == [name for name in counts_in_order(scores) if "-in-" in name]
    answered = effects.row(by_predicate=pl.col("condition") == "math-answered-in-fr", named=True)
    assert (answered["languages"], answered["items"], answered["cell"]) == ("en ja", 2, "base")


def counts_in_order(scores: pl.DataFrame) -> list[str]:
    return scores["task"].unique(maintain_order=True).to_list()


def test_a_conditions_effect_is_paired_by_item() -> None:
    drawn = np.random.default_rng(0)
    rows = [
        {"cell": "base", "task": task, "language": language, "item": str(item), "metric": "accuracy", "main": True,
         "value": value}
        for item in range(40) for language in ("en", "fr", "ja")
        for task, value in zip(
            ("math", "math-asked-in-en"), (0.0, 0.0) if item % 2 else (0.0, float(drawn.random() < 0.5)), strict=True)
    ]  # fmt: skip
    scores = pl.DataFrame(rows)
    (row,) = condition_effects(scores, Design({}), ["math"]).iter_rows(named=True)
    by_hand = scores.filter(pl.col("language") != "en").group_by("task").agg(pl.col("value").mean())
    means = dict(by_hand.iter_rows())
    assert row["difference"] == pytest.approx(means["math-asked-in-en"] - means["math"])
    assert row["languages"] == "fr ja" and row["low"] > 0 and row["p"] < 0.05
    assert condition_effects(scores, Design({}), ["another"]).is_empty(), "a task of another name is no condition"


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        ({"prompts_in": ["own", "de"]}, "evaluation.prompts_in: 'de' is not a language of the study"),
        ({"prompts_in": ["en"], "answers_in": ["fr"]}, "leaves nothing to test"),
        ({"answers_in": ["own", "own"]}, "evaluation.answers_in: got own, own; name each once"),
    ],
)
def test_conditions_that_cannot_be_are_refused(evaluation: dict[str, Any], message: str, tiny_model: Path) -> None:
    with pytest.raises(UserError) as refused:
        parse_recipe(crossed_recipe(tiny_model, **evaluation))
    assert message in str(refused.value)


def test_words_that_are_left_out_ask_for_no_language(tiny_model: Path) -> None:
    with pytest.raises(UserError, match="no prompt says in which language to answer"):
        parse_recipe(crossed_recipe(tiny_model) | {"prompts": {"words": "none"}})


def test_exemplars_are_in_the_same_languages(tiny_model: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(crossed_recipe(tiny_model) | {"prompts": {"few_shot": {"math": {"shots": 2}}}}))
    sets = {(each.name, each.language): each.examples[0] for each in Study(recipe, tmp_path).evaluation_sets}
    own, english = sets["math", "ja"].history, sets["math", "en"].history
    assert [exchange.prompt for exchange in sets["math-asked-in-en", "ja"].history] == [e.prompt for e in english]
    assert [exchange.target for exchange in sets["math-asked-in-en", "ja"].history] == [e.target for e in own]
