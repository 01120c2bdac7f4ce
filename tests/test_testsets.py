"""What is tested: the same items in every language, with exemplars that are never tested."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.planning.study import Study
from harness.planning.testsets import evaluation_problems, evaluation_sets, exemplars
from harness.recipe import tested as test_sources
from harness.recipe.load import load_recipe, parse_recipe


def histories(data: dict[str, Any], few_shot: dict[str, int]) -> dict[str, tuple[Any, ...]]:
    """The exemplars of each language's first math example; all examples of a language have the same."""
    sets = evaluation_sets(parse_recipe(data | {"prompts": {"few_shot": {"math": few_shot}}}))
    found = {}
    for each in sets:
        if each.task == "math":
            (found[each.language],) = {example.history for example in each.examples}
        else:
            assert all(example.history == () for example in each.examples)
    return found


def test_exemplars_are_the_same_items_in_every_language_and_grow_by_shots(recipe_data: dict[str, Any]) -> None:
    recipe_data["evaluation"]["items"] = 40
    for options in ({}, {"seed": 3}):
        three, five = (histories(recipe_data, {"shots": shots, **options}) for shots in (3, 5))
        assert all(five[language][:3] == three[language] for language in ("en", "fr", "ja"))
        numbers = [
            [re.findall(r"\d+ \S \d+ = \d+", exchange.target) for exchange in history] for history in five.values()
        ]
        assert numbers[0] == numbers[1] == numbers[2] and len(numbers[0]) == 5
    fixed, seeded, other = (histories(recipe_data, {"shots": 5, **each}) for each in ({}, {"seed": 3}, {"seed": 4}))
    assert len({fixed["en"], seeded["en"], other["en"]}) == 3


def test_no_exemplar_is_tested(recipe_data: dict[str, Any]) -> None:
    recipe_data["evaluation"]["items"] = 1000
    for split in ("test", "validation"):
        recipe_data["evaluation"]["split"] = split
        recipe = parse_recipe(recipe_data | {"prompts": {"few_shot": {"math": {"shots": 50}}}})
        english = next(each for each in evaluation_sets(recipe) if (each.task, each.language) == ("math", "en"))
        shown = {exchange.prompt for exchange in english.examples[0].history}
        assert len(shown) == 50 and not shown & {example.prompt for example in english.examples}


@pytest.mark.parametrize("item", [{"item": "item"}, {}], ids=["parallel", "not-parallel"])
def test_exemplars_are_the_first_that_are_not_tested(
    item: dict[str, str], recipe_data: dict[str, Any], tmp_path: Path
) -> None:
    """Of 40 training items the first 30 are tested in one language or another, by item or by text."""
    for split, numbers in (("train", range(40)), ("test", range(30))):
        rows = [{"item": str(number), "language": language, "prompt": f"{language} {number}+1?", "target": f"{number}"}
                for number in numbers for language in ("en", "fr")
                if split == "train" or (language == "fr") == (number % 3 > 0)]  # fmt: skip
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    files = {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "test")}
    source = {"task": "math", "languages": ["en", "fr"], "files": files, "columns": item | {"language": "language"}}
    recipe_data["sources"] = {"sums": source}
    recipe_data["evaluation"] |= {"sources": {"math": "sums"}, "tasks": ["math"], "items": 30, "max_tokens": {}}
    recipe = parse_recipe(recipe_data | {"prompts": {"few_shot": {"math": {"shots": 3}}}})
    own = recipe.known_sources["sums"]
    all_tested = {language: own.pool("test", language).examples(range(len(own.pool("test", language))))
                  for language in own.languages}  # fmt: skip
    shown = exemplars(recipe, own, all_tested, recipe.prompts.few_shot["math"])
    targets = {language: [exchange.target for exchange in exchanges] for language, exchanges in shown.items()}
    free = ["30", "31", "32"]
    assert targets == ({"en": free, "fr": free} if item else {"en": ["1", "2", "4"], "fr": ["0", "3", "6"]})


def test_prompts_with_exemplars_reach_the_engine(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    from harness.evaluation.cells import evaluations_of

    recipe_data["prompts"] = {"few_shot": {"math": {"shots": 2}}}
    study = Study(write_recipe(recipe_data), tmp_path)
    (evaluation,) = evaluations_of(study, []).values()
    prompts = evaluation.prompts()
    first = next(each for each in prompts if (each.example.task, each.example.language) == ("math", "en"))
    text = study.bases[0].tokenizer.decode(first.request.prompt_ids, skip_special_tokens=True)
    assert text.count("Problem: ") == 3 and text.endswith("and the number):\n")


def test_too_few_exemplars_items_or_answers_are_errors(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [{"item": str(number), "language": language, "prompt": f"{number}+1?", "target": "2"}
            for number in range(4) for language in ("en", "fr")]  # fmt: skip
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe_data["sources"] = {"sums": {"task": "math", "languages": ["en", "fr"], "files": {"test": "test.jsonl"},
                                       "columns": {"item": "item", "language": "language"}}}  # fmt: skip
    recipe_data["evaluation"] |= {"sources": {"math": "sums"}, "items": 5}
    recipe_data["prompts"] = {"few_shot": {"math": {"shots": 1}}}
    with pytest.raises(UserError) as caught:
        Study(write_recipe(recipe_data), tmp_path / "runs").check()
    assert [str(problem) for problem in caught.value.problems] == [
        "evaluation.items: got 5, but sums has 4 test items; ask for 4 or fewer",
        "prompts.few_shot.math.shots: got 1, but sums has 0 exemplars in 'en'",
        "prompts.few_shot.math.shots: got 1, but sums has 0 exemplars in 'fr'",
        "evaluation.sources.math: sums has items whose answer is not a number in en, e.g. None of sums/1@en; "
        "see columns.answer",
        "evaluation.sources.math: sums has items whose answer is not a number in fr, e.g. None of sums/1@fr; "
        "see columns.answer",
    ]


def test_a_language_without_test_rows_is_left_out(recipe_data: dict[str, Any], tmp_path: Path) -> None:
    rows = [{"item": "1", "language": "en", "prompt": "1+1?", "target": "2", "number": 2}]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    columns = {"item": "item", "language": "language", "answer": "number"}
    recipe_data["sources"] = {"sums": {"task": "math", "languages": ["en", "fr"], "columns": columns,
                                       "files": {"test": str(tmp_path / "test.jsonl")}}}  # fmt: skip
    recipe_data["evaluation"] |= {"tasks": ["math"], "sources": {"math": "sums"}, "items": 1,
                                  "max_tokens": {"math": 8}}  # fmt: skip
    sets = evaluation_sets(parse_recipe(recipe_data))
    assert [(each.language, len(each.examples)) for each in sets] == [("en", 1)]


def test_no_exemplar_is_a_test_item_and_all_languages_show_the_same(
    recipe_data: dict[str, Any], tmp_path: Path
) -> None:
    def rows(numbers: dict[str, list[int]], text: str) -> str:
        return "".join(
            json.dumps({"item": f"{text}{number}", "language": language, "prompt": f"{language} {number}+1?",
                        "target": str(number + 1), "answer": str(number + 1)}) + "\n"
            for language, each in numbers.items() for number in each
        )  # fmt: skip

    (tmp_path / "train.jsonl").write_text(rows({"en": [0, 1, 2, 3], "fr": [3, 2, 1, 9]}, "a"), encoding="utf-8")
    (tmp_path / "test.jsonl").write_text(rows({"en": [1, 7], "fr": [1, 7]}, "b"), encoding="utf-8")
    columns = {"item": "item", "language": "language", "answer": "answer"}
    recipe_data["sources"] = {"sums": {"task": "math", "languages": ["en", "fr"], "columns": columns,
                                       "files": str(tmp_path / "{split}.jsonl")}}  # fmt: skip
    recipe_data["evaluation"] |= {"tasks": ["math"], "sources": {"math": "sums"}, "items": 2, "max_tokens": {"math": 8}}
    for options in ({}, {"seed": 1}):
        found = histories(recipe_data, {"shots": 2, **options})
        assert {exchange.prompt for exchange in found["en"]} == {"en 2+1?", "en 3+1?"}
        assert [each.target for each in found["en"]] == [each.target for each in found["fr"]]


def own_source(folder: Path, name: str, task: str, **columns: str) -> dict[str, Any]:
    rows = [{"prompt": f"{name} {number}", "target": f"{number}", "constraints": None} for number in range(4)]
    for split in ("train", "test"):
        text = "".join(json.dumps(row | {"prompt": f"{split} {row['prompt']}"}) + "\n" for row in rows)
        (folder / f"{name}.{split}.jsonl").write_text(text)
    files = {split: str(folder / f"{name}.{split}.jsonl") for split in ("train", "test")}
    return {"task": task, "languages": ["en"], "files": files, "columns": columns}


def sources_of_tests(recipe: Any) -> set[str]:
    return {example.id.partition("/")[0] for tested in evaluation_sets(recipe) for example in tested.examples}


def test_the_recipes_own_source_is_tested_on_and_named(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    recipe_data["sources"] = {"mine": own_source(tmp_path, "mine", "math", answer="target")}
    recipe_data["evaluation"] |= {"tasks": ["math"], "max_tokens": {}}
    recipe, _ = load_recipe(write_recipe(recipe_data))
    assert {example.id.partition("/")[0] for tested in evaluation_sets(recipe) for example in tested.examples} == {
        "mine"
    }
    recipe_data["sources"]["too"] = own_source(tmp_path, "too", "math", answer="target")
    with pytest.raises(UserError, match=r"sources\.math: mine and too have test rows for math; name the one"):
        load_recipe(write_recipe(recipe_data))
    recipe_data["evaluation"]["sources"] = {"math": "too"}
    recipe, _ = load_recipe(write_recipe(recipe_data))
    assert {example.id.partition("/")[0] for tested in evaluation_sets(recipe) for example in tested.examples} == {
        "too"
    }


def test_a_source_with_training_rows_alone_is_not_tested_on(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    recipe_data["sources"] = {"mine": own_source(tmp_path, "mine", "math", answer="target")}
    del recipe_data["sources"]["mine"]["files"]["test"]
    recipe, _ = load_recipe(write_recipe(recipe_data))
    assert test_sources.tested_source_name(recipe, "math") == "word-problems"


def test_instructions_that_nothing_can_score_are_refused_before_training(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    recipe_data["sources"] = {"my-chat": own_source(tmp_path, "my-chat", "instructions")}
    recipe_data["evaluation"] |= {"tasks": ["instructions"], "max_tokens": {}}
    recipe, _ = load_recipe(write_recipe(recipe_data))
    (problem,) = evaluation_problems(recipe)
    assert "my-chat has no constraints: instructions cannot be scored; add evaluation.judge" in str(problem)
    recipe_data["evaluation"]["judge"] = {"model": "m", "endpoint": "http://localhost:1/v1"}
    recipe, _ = load_recipe(write_recipe(recipe_data))
    assert evaluation_problems(recipe) == []


@pytest.mark.parametrize(("count", "refused"), [(2, False), ("2", True)])
def test_constraints_that_can_never_hold_are_refused_before_training(
    recipe_data: dict[str, Any],
    write_recipe: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
    count: Any,
    refused: bool,
) -> None:
    recipe_data["sources"] = {"mine": own_source(tmp_path, "mine", "instructions", constraints="constraints")}
    recipe_data["evaluation"] |= {"tasks": ["instructions"], "max_tokens": {}}
    asked = json.dumps([{"kind": "lines", "count": count}])
    test = tmp_path / "mine.test.jsonl"
    lines = [json.loads(line) | {"constraints": asked} for line in test.read_text().splitlines()]
    test.write_text("".join(json.dumps(line) + "\n" for line in lines))
    recipe, _ = load_recipe(write_recipe(recipe_data))
    problems = [str(problem) for problem in evaluation_problems(recipe)]
    assert bool(problems) == refused
    if refused:
        assert "test items in 'en' that cannot be scored, e.g. mine/" in problems[0]
        assert "constraint lines: count must be a whole number from 1 on, not '2'" in problems[0]


def test_exemplars_may_come_from_other_sources_by_language(recipe_data: dict[str, Any], tmp_path: Path) -> None:
    def source(name: str, languages: list[str], split: str) -> dict[str, Any]:
        rows = [
            {"item": f"{number}", "language": language, "prompt": f"{name} {language} {number}?", "target": "2"}
            for number in range(3)
            for language in languages
        ]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        columns = {"item": "item", "language": "language", "answer": "target"}
        return {"task": "math", "languages": languages, "files": {split: str(path)}, "columns": columns}

    recipe_data["sources"] = {"tested": source("tested", ["en", "fr", "ja"], "test"),
                              "first": source("first", ["en"], "train"),
                              "second": source("second", ["en", "fr", "ja"], "train")}  # fmt: skip
    recipe_data["evaluation"] |= {"tasks": ["math", "instructions"], "sources": {"math": "tested"},
                                  "items": {"math": 2}, "max_tokens": {}}  # fmt: skip
    recipe_data["prompts"] = {"few_shot": {"math": {"shots": 2, "sources": ["first", "second"]}}}
    sets = evaluation_sets(parse_recipe(recipe_data))
    shown = {each.language: [turn.prompt for turn in each.examples[0].history] for each in sets if each.task == "math"}
    assert shown["en"] == ["first en 0?", "first en 1?"] and shown["fr"] == ["second fr 0?", "second fr 1?"]
    assert {len(each.examples) for each in sets if each.task == "math"} == {2}
    assert {len(each.examples) for each in sets if each.task == "instructions"} == {100}, "the default"
    recipe_data["prompts"]["few_shot"]["math"]["sources"] = ["notices"]
    with pytest.raises(UserError, match=r"few_shot\.math\.sources: no source 'notices' of math"):
        parse_recipe(recipe_data)
