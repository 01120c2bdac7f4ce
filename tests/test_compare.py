"""The plan proves in what its cells differ."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from harness.planning.contrast import Difference, neighbours
from harness.recipe.load import parse_recipe
from tests.support import compared, harness


def differences(data: dict[str, Any]) -> list[Difference]:
    recipe = parse_recipe(data)
    return neighbours(compared(recipe, data), recipe.grid)


def test_a_growing_amount_is_one_factor_and_only_adds_rows(recipe_data: dict[str, Any]) -> None:
    recipe_data["grid"]["amount"]["values"] = [0, 3, 7]
    first, second = differences(recipe_data)
    assert first.one_factor and [str(change) for change in first.changes] == ["mixture.others.amount 0 → 3"]
    assert (first.before, first.after) == ("amount-0", "amount-3")
    assert first.added == {"fr": 6} and first.removed == {}
    assert second.added == {"fr": 8} and second.removed == {}


def test_every_axis_has_its_neighbour(recipe_data: dict[str, Any]) -> None:
    recipe_data["grid"]["seed"] = {"path": "training.seed", "values": [0, 1]}
    found = {(each.before, each.after): each for each in differences(recipe_data)}
    assert set(found) == {
        ("amount-0_seed-0", "amount-0_seed-1"),
        ("amount-0_seed-0", "amount-3_seed-0"),
        ("amount-0_seed-1", "amount-3_seed-1"),
        ("amount-3_seed-0", "amount-3_seed-1"),
    }
    assert all(each.one_factor for each in found.values())


def test_more_than_one_factor_is_said(recipe_data: dict[str, Any]) -> None:
    several = copy.deepcopy(recipe_data)
    several["grid"] = {
        "languages": {
            "path": "mixture.others",
            "values": {
                "few": {"sources": ["word-problems"], "languages": ["fr"], "amount": 3},
                "many": {"sources": ["notices"], "languages": ["fr"], "amount": 5},
            },
        }
    }
    (only,) = differences(several)
    assert not only.one_factor
    assert [change.path for change in only.changes] == ["mixture.others.amount", "mixture.others.sources"]
    assert only.added == {"fr": 5} and only.removed == {"fr": 3}
    assert only.factors == ("languages: mixture.*.amount", "languages: mixture.*.sources")


@pytest.mark.parametrize(
    ("paths", "values", "factors"),
    [
        (["adapter.rank", "training.global_batch"], [8, 16], 2),
        (["mixture.english.amount", "mixture.others.amount"], [2, 4], 1),
        (["mixture.english.amount", "training.warmup_steps"], [2, 4], 2),
        (["training.seed", "mixture.seed"], [0, 1], 1),
        (["training.seed", "training.warmup_steps"], [0, 1], 2),
    ],
)
def test_an_axis_over_unlike_keys_is_as_many_factors_though_their_values_agree(
    paths: list[str], values: list[int], factors: int, recipe_data: dict[str, Any]
) -> None:
    recipe_data["grid"] = {"axis": {"path": paths, "values": values}}
    (only,) = differences(recipe_data)
    assert len(only.factors) == factors and only.one_factor == (factors == 1)


def test_the_plan_says_which_seed_draws_the_rows_and_which_orders_them(
    recipe_data: dict[str, Any], write_recipe: Any, tmp_path: Path
) -> None:
    recipe_data["mixture"]["seed"] = 7
    recipe_data["grid"] = {"seed": {"path": "training.seed", "values": [0, 1]}}
    recipe, runs = write_recipe(recipe_data), tmp_path / "runs"
    shown = " ".join(harness("plan", recipe, "--runs", runs, "--card").stdout.split())
    assert "Seeds: rows drawn under mixture.seed 7; order and weights under training.seed 0, 1" in shown
    assert "mixture card: seed-1, rows drawn under seed 7" in shown
    cells = json.loads(harness("plan", recipe, "--runs", runs, "--json").stdout)["cells"]
    assert [(cell["drawn_under"], cell["ordered_under"]) for cell in cells] == [(7, 0), (7, 1)]


def test_shares_and_the_languages_they_are_of_are_one_factor(recipe_data: dict[str, Any]) -> None:
    ways = {"one": {"fr": 1.0}, "both": {"fr": 1.0, "en": 2.0}}
    part = {"sources": ["notices"], "total": 6}
    values = {name: part | {"languages": [*shares], "shares": shares} for name, shares in ways.items()}
    recipe_data["grid"] = {"languages": {"path": "mixture.others", "values": values}}
    (only,) = differences(recipe_data)
    assert only.one_factor and only.factors == ("languages",)


def test_rows_of_a_component_that_no_axis_names_are_another_factor(recipe_data: dict[str, Any]) -> None:
    """Two components that meet in one source: what the first takes moves what is left to the second."""
    recipe_data["mixture"] = {
        "first": {"sources": ["notices"], "languages": ["fr"], "amount": 3},
        "second": {"sources": ["notices"], "languages": ["fr"], "amount": 5},
        "third": {"sources": ["word-problems"], "languages": ["en"], "amount": 5},
    }
    recipe_data["grid"] = {"amount": {"path": "mixture.first.amount", "values": [3, 5]}}
    (only,) = differences(recipe_data)
    assert only.untouched == {"second": 4} and not only.one_factor
    assert only.added == {"fr": 2} and only.removed == {}, "rows that change their component are the same rows"
    recipe_data["grid"] = {"amount": {"path": "mixture.second.amount", "values": [3, 5]}}
    (only,) = differences(recipe_data)
    assert only.untouched == {} and only.one_factor


def test_a_cell_at_several_places_is_compared_at_each(recipe_data: dict[str, Any]) -> None:
    recipe_data["grid"] = {
        "warmup": {"path": "training.warmup_steps", "values": {"none": 0, "zero": 0, "one": 1}},
        "amount": {"path": "mixture.others.amount", "values": [0, 2]},
    }
    found = differences(recipe_data)
    assert all(each.one_factor for each in found)
    assert sorted((each.before, each.after) for each in found) == [
        ("warmup-none_amount-0", "warmup-none_amount-2"),
        ("warmup-none_amount-0", "warmup-one_amount-0"),
        ("warmup-none_amount-2", "warmup-one_amount-2"),
        ("warmup-one_amount-0", "warmup-one_amount-2"),
    ]


def test_a_half_covered_language_is_one_factor(recipe_data: dict[str, Any], tmp_path: Path) -> None:
    """Of a parallel source that has half of its items in Swahili; 56 of 100 English rows were replaced once."""
    rows = [{"id": str(number), "language": language, "prompt": f"{language} {number}", "target": f"{number}"}
            for number in range(200) for language in ("en", "es", "sw") if language != "sw" or number % 2]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    columns = {"id": "id", "item": "id", "language": "language"}
    recipe_data["sources"] = {"own": {"task": "summarization", "languages": ["en", "es", "sw"], "columns": columns,
                                      "files": {"train": str(tmp_path / "rows.jsonl")}}}  # fmt: skip
    recipe_data["languages"] = {"seen": ["en", "es", "sw"]}
    part = {"sources": ["own"], "amount": 50}
    recipe_data["mixture"] = {"english": part | {"languages": ["en"]}, "others": part | {"languages": ["es"]}}
    values = {"few": ["es"], "more": ["es", "sw"]}
    recipe_data["grid"] = {"languages": {"path": "mixture.others.languages", "values": values}}
    (only,) = differences(recipe_data)
    assert only.one_factor and only.added == {"sw": 50} and only.removed == {}
    recipe = parse_recipe(recipe_data)
    (before,) = neighbours(compared(recipe, recipe_data, as_before=True), recipe.grid)
    assert not before.one_factor and before.untouched["english"] > 0, "each cell drew from what its own languages have"


@pytest.mark.parametrize(
    ("policy", "translations", "said"),
    [
        ("shared", 6, "take the same ones"),
        ("independent", 0, "choose independently"),
        ("disjoint", 0, "take"),
    ],
)
def test_the_plan_says_what_languages_share(
    policy: str, translations: int, said: str, recipe_data: dict[str, Any], write_recipe: Any, tmp_path: Path
) -> None:
    for part in recipe_data["mixture"].values():
        part["items"] = policy
    recipe, runs = write_recipe(recipe_data), tmp_path / "runs"
    plan = json.loads(harness("plan", recipe, "--runs", runs, "--json").stdout)
    (math, _) = plan["items"]
    assert (math["source"], math["cell"], math["rows"]) == ("word-problems", "amount-3", 3)
    assert sum(each["translations"] for each in plan["items"]) == translations
    shown = " ".join(harness("plan", recipe, "--runs", runs).stdout.split())
    assert f"Items of word-problems: en and fr {said}" in shown
    assert f"in amount-3 {translations // 2} of 3 rows in other languages translate en rows" in shown
