"""The recipes and mixes that ship with the harness."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.planning.contrast import neighbours
from harness.planning.design import design_of, groups_of, setting_places, sources_of_transfer
from harness.planning.stages import chains_of
from harness.recipe.grid import cells_of
from harness.recipe.load import load_recipe, parse_recipe
from harness.recipe.mothello import is_mothello
from tests.rehearsal import recipes
from tests.support import REPOSITORY, compared

RECIPES = [path for path in recipes() if not is_mothello(path)]
GUIDE = REPOSITORY / "recipes" / "post_trainers_guide"
AMOUNTS = [0, 100, 200, 400, 800, 1000, 2000, 5000]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_read_and_has_cells(path: Path) -> None:
    recipe, raw = load_recipe(path)
    assert len(cells_of(recipe, raw)) >= 2


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_whatever_claims_something_of_mixtures_has_three_runs_of_each(path: Path) -> None:
    recipe, raw = load_recipe(path)
    runs = {len(names) for names in design_of(recipe, cells_of(recipe, raw)).settings.values()}
    once = "Each is trained once" in path.read_text(encoding="utf-8")
    assert runs == ({1} if once else {3})


def test_the_guides_script_mixes_have_its_groups() -> None:
    recipe, raw = load_recipe(GUIDE / "embedded-scripts.yaml")
    cells = cells_of(recipe, raw)
    trained = {cell.name: ("en", *cell.recipe.ingredients["others"].all_languages) for cell in cells}
    groups = groups_of(recipe, trained, design_of(recipe, cells)).means()
    assert groups["Latin"] == ("es", "fr", "pt") and groups["non-Latin"] == ("ja", "zh", "ko", "ar")
    assert len(cells_of(recipe, raw)) == 3 * 8 * 3, "of which 2 × 3 come out as others (tests/test_alike.py)"


def test_the_guides_single_task_grid_varies_one_factor() -> None:
    recipe, raw = load_recipe(GUIDE / "embedded-single-task.yaml")
    del raw["grid"]["seed"]
    recipe = parse_recipe(raw)
    cells = compared(recipe, raw)
    tasks = {"math": "word-problems", "summarization": "notices", "instructions": "instructions"}
    assert [each.cell.name for each in cells] == [
        f"task-{task}_amount-{amount}" for task in tasks for amount in AMOUNTS
    ]
    pairs = neighbours(cells, recipe.grid)
    assert len(pairs) == 3 * 7 + 2 * 8 and all(each.one_factor for each in pairs)
    for each in pairs[:7]:  # those of the first task
        (change,) = each.changes
        assert change.path == "mixture.others.amount" and each.removed == {}
        assert each.added == dict.fromkeys(["es", "fr", "ja", "zh"], change.after - change.before)
    for cell, amount in zip(cells, AMOUNTS * 3, strict=True):
        counts = {
            language: int((cell.mixture.languages == language).sum()) for language in ("en", "es", "fr", "ja", "zh")
        }
        assert counts == {"en": 10_000} | dict.fromkeys(["es", "fr", "ja", "zh"], amount)


def test_every_setting_of_the_donors_is_trained_on_one_task_in_one_language() -> None:
    path = REPOSITORY / "recipes" / "donors_recipients" / "embedded.yaml"
    recipe, raw = load_recipe(path)
    cells = compared(recipe, raw)
    made = design_of(recipe, cells_of(recipe, raw))
    trained = {each.cell.name: {(each.cell.recipe.ingredients["source"].sources[0], str(language)): 1
                                for language in set(each.mixture.languages)} for each in cells}  # fmt: skip
    found = sources_of_transfer(trained, made, setting_places(recipe, cells_of(recipe, raw)), "en")
    expected = {(task, language) for task in ("word-problems", "instructions") for language in recipe.languages.seen}
    assert {(source.task, source.language) for source in found.values()} == expected
    assert {len(runs) for runs in made.settings.values()} == {3} and {len(each.mixture) for each in cells} == {1000}
    assert all(each.one_factor for each in neighbours(cells, recipe.grid))


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("mixture.others.amount", [1, 3]),
        ("mixture.others.languages", [["fr"], ["fr", "es"]]),
        ("mixture.others.unit", ["examples", "items"]),
        ("mixture.others.items", ["shared", "independent", "disjoint"]),
        ("mixture.others.max_repeats", [1, 2]),
        (["mixture.english.sources", "mixture.others.sources"], {"math": ["word-problems"], "news": ["notices"]}),
        ("training.seed", [0, 1]),
        ("mixture.seed", [0, 1]),
        (["training.seed", "mixture.seed"], [0, 1]),
        ("adapter.rank", [4, 8]),
    ],
)
def test_an_axis_over_anything_is_one_factor(path: Any, values: Any, recipe_data: dict[str, Any]) -> None:
    data = copy.deepcopy(recipe_data)
    data["languages"] = {"seen": ["en", "fr", "es"]}
    data["mixture"]["english"]["items"] = data["mixture"]["others"]["items"] = "shared"
    data["mixture"]["english"]["sources"] = ["instructions"]
    data["mixture"]["others"] |= {"languages": ["fr", "es"], "sources": ["notices"]}
    data["grid"] = {"axis": {"path": path, "values": values}}
    recipe = parse_recipe(data)
    found = compared(recipe, data)
    pairs = neighbours(found, recipe.grid)
    assert len(found) == len(values) and pairs and all(each.one_factor for each in pairs)


def test_the_same_items_or_others_by_policy(recipe_data: dict[str, Any]) -> None:
    recipe_data["languages"] = {"seen": ["en", "fr", "es"]}
    recipe_data["mixture"] = {"all": {"sources": ["notices"], "languages": ["en", "fr", "es"], "amount": 50}}
    recipe_data["grid"] = {"items": {"path": "mixture.all.items", "values": ["shared", "disjoint", "independent"]}}
    distinct = {}
    for each in compared(parse_recipe(recipe_data), recipe_data):
        distinct[each.cell.name] = len({row.item_id for row in each.mixture})
    assert distinct["items-shared"] == 50 and distinct["items-disjoint"] == 150
    assert 140 < distinct["items-independent"] <= 150


def test_a_mix_of_ones_own(recipe_data: dict[str, Any], tmp_path: Path) -> None:
    import json

    recipe_data["mixture"] = "mixes/mine.yaml"
    recipe_data["grid"] = {"amount": {"path": "mixture.all.amount", "values": [1, 2]}}
    (tmp_path / "mixes").mkdir()
    (tmp_path / "mixes" / "mine.yaml").write_text(
        json.dumps(
            {
                "sources": {"mine": {"task": "math", "languages": ["en"], "files": "rows.jsonl"}},
                "mixture": {"all": {"sources": ["mine"], "languages": ["en"], "amount": 1}},
            }
        ),
        encoding="utf-8",
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(recipe_data), encoding="utf-8")
    recipe, raw = load_recipe(path)
    assert recipe.sources["mine"].files == {"train": str(tmp_path / "mixes" / "rows.jsonl")}
    assert [cell.name for cell in cells_of(recipe, raw)] == ["amount-1", "amount-2"]
    recipe_data["mixture"] = "guide-maths"
    path.write_text(json.dumps(recipe_data), encoding="utf-8")
    with pytest.raises(UserError, match="mixture: no mix 'guide-maths'; did you mean 'guide-math'"):
        load_recipe(path)


def test_continual_learning_trains_what_orders_begin_with_once() -> None:
    recipe, raw = load_recipe(REPOSITORY / "recipes" / "continual.yaml")
    cells = cells_of(recipe, raw)
    chains = {chain.name: chain for chain in chains_of(recipe, cells)}
    assert len(chains) == 3 * 4 * 3 and all(len(chain.cells) == 4 for chain in chains.values())
    one, other, reverse = (
        chains[f"order {order}, method naive, seed 42"] for order in ("high-low", "english-first", "low-high")
    )
    assert one.cells[0] == other.cells[0] and not {*one.cells[1:]} & {*other.cells[1:]}
    assert reverse.stages == one.stages[::-1] and not {*reverse.cells} & {*one.cells}
    made = {chain.group for chain in chains.values()}
    assert made == {f"method {name}" for name in ("naive", "replay", "own", "joint")}


def test_combined_adapters_are_compared_with_english_alone() -> None:
    recipe, raw = load_recipe(REPOSITORY / "recipes" / "language-and-task-adapters.yaml")
    cells = cells_of(recipe, raw)
    design = design_of(recipe, cells)
    assert {*design.references.values()} == {"stage-task-en"} and len(design.settings) == 11
    mad_x = next(cell for cell in cells if cell.name == "seed-1_stage-mad-x")
    assert mad_x.parents == ("seed-1_stage-on-en", "seed-1_stage-language-es")
