"""Grids as designs: which cells are runs of one setting, which a curve, and what is compared with what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.analysis.design import BASE, Design
from eval.analysis.transfer import Source
from harness.errors import UserError
from harness.planning.design import Place, design_of, sources_of_transfer
from harness.planning.references import references_of
from harness.recipe.grid import cells_of
from harness.recipe.load import load_recipe

Write = Callable[[dict[str, Any]], Path]
AMOUNT = {"path": "mixture.others.amount", "values": [0, 2, 3]}
SEED = {"path": "training.seed", "values": [1, 2]}
TASK = {
    "path": ["mixture.english.sources", "mixture.others.sources"],
    "values": {"math": ["word-problems"], "summaries": ["notices"]},
}


def design(data: dict[str, Any], write: Write, **grid: Any) -> Any:
    recipe, raw = load_recipe(write(data | {"grid": grid}))
    return design_of(recipe, cells_of(recipe, raw))


def test_amounts_are_a_curve_and_compared_with_the_least(recipe_data: dict[str, Any], write_recipe: Write) -> None:
    made = design(recipe_data, write_recipe, amount=AMOUNT)
    (curve,) = made.curves
    assert (curve.axis, curve.amounts, curve.settings) == ("amount", (0, 2, 3), ("amount-0", "amount-2", "amount-3"))
    assert set(made.references.values()) == {"amount-0"}
    assert made.settings == {name: (name,) for name in curve.settings}


def test_seeds_are_runs_of_a_setting_and_no_axis(recipe_data: dict[str, Any], write_recipe: Write) -> None:
    made = design(recipe_data, write_recipe, seed=SEED, amount=AMOUNT)
    assert made.settings["amount-2"] == ("seed-1_amount-2", "seed-2_amount-2")
    assert [curve.axis for curve in made.curves] == ["amount"]
    assert made.curves[0].settings == ("amount-0", "amount-2", "amount-3")
    alone = design(recipe_data, write_recipe, seed=SEED)
    assert alone.settings == {"small": ("seed-1", "seed-2")} and alone.curves == ()


def test_each_combination_of_the_other_axes_has_a_curve(recipe_data: dict[str, Any], write_recipe: Write) -> None:
    made = design(recipe_data, write_recipe, task=TASK, amount=AMOUNT)
    assert [curve.name for curve in made.curves] == ["task math", "task summaries"]
    assert made.references["task-summaries_amount-3"] == "task-summaries_amount-0"


def test_the_least_of_one_amount_is_compared_along_another(recipe_data: dict[str, Any], write_recipe: Write) -> None:
    warmup = {"path": "training.warmup_steps", "values": [0, 5]}
    made = design(recipe_data, write_recipe, warmup=warmup, amount=AMOUNT)
    assert made.references["warmup-0_amount-2"] in ("warmup-0_amount-0",)
    assert made.references["warmup-5_amount-0"] == "warmup-0_amount-0" == made.references["warmup-0_amount-0"]


def test_a_cell_that_stands_for_several_places_is_on_every_curve(
    recipe_data: dict[str, Any], write_recipe: Write
) -> None:
    same = {"path": "training.warmup_steps", "values": {"none": 0, "zero": 0, "one": 1}}
    made = design(recipe_data, write_recipe, warmup=same, amount=AMOUNT)
    along = {curve.name: curve.settings for curve in made.curves if curve.axis == "amount"}
    assert along["warmup 0"] == ("warmup-none_amount-0", "warmup-none_amount-2", "warmup-none_amount-3")
    assert along["warmup 1"] == ("warmup-one_amount-0", "warmup-one_amount-2", "warmup-one_amount-3")
    assert len(made.settings) == 6


def test_without_amounts_the_first_setting_is_the_reference(recipe_data: dict[str, Any], write_recipe: Write) -> None:
    made = design(recipe_data, write_recipe, task=TASK)
    assert made.curves == () and set(made.references.values()) == {"task-math"}


def test_sources_of_transfer_are_trained_on_one_language_or_on_one_beside_the_pivot(
    recipe_data: dict[str, Any], write_recipe: Write
) -> None:
    made = design(recipe_data, write_recipe, amount=AMOUNT)
    trained = {
        "amount-0": {("math", "en"): 6},
        "amount-2": {("math", "en"): 6, ("math", "fr"): 2},
        "amount-3": {("math", "fr"): 3},
    }
    places: dict[str, Place] = {name: {"amount": float(name[-1])} for name in trained}
    beside = Source("math", "fr", "en", 0.25, "amount-0")
    expected = {"amount-0": Source("math", "en"), "amount-2": beside, "amount-3": Source("math", "fr")}
    assert sources_of_transfer(trained, made, places, "en") == expected
    assert set(sources_of_transfer(trained, made, places, "ja")) == {"amount-0", "amount-3"}, "neither of two is it"
    trained["amount-0"] = {("math", "en"): 6, ("chat", "en"): 1}
    found = sources_of_transfer(trained, made, places, "en")
    assert found["amount-2"].other == BASE, "nothing is trained on the pivot alone"


def test_a_source_is_compared_with_the_pivot_that_differs_in_nothing_else() -> None:
    languages, schedules = {"en": ("en",), "fr": ("en", "fr")}, ("constant", "linear")
    places: dict[str, Place] = {f"{source}-{schedule}": {"source": source, "schedule": schedule}
                                for source in languages for schedule in schedules}  # fmt: skip
    trained = {name: {("math", each): 5 for each in languages[name[:2]]} for name in places}
    made = Design({name: (name,) for name in places})
    found = sources_of_transfer(trained, made, places, "en")
    assert {name: found[name].other for name in ("fr-constant", "fr-linear")} == {
        "fr-constant": "en-constant", "fr-linear": "en-linear"
    }  # fmt: skip
    del places["en-linear"], trained["en-linear"]
    assert sources_of_transfer(trained, Design({name: (name,) for name in places}), places, "en")[
        "fr-linear"
    ].other == ("en-constant"), "in the schedule as well, as `other` says"
    places["fr-other"] = {"source": "fr", "schedule": "other"}
    places["en-linear"], trained["en-linear"] = {"source": "en", "schedule": "linear"}, {("math", "en"): 5}
    trained["fr-other"] = trained["fr-linear"]
    found = sources_of_transfer(trained, Design({name: (name,) for name in places}), places, "en")
    assert found["fr-other"].other == BASE, "two are as near"


@pytest.mark.parametrize(
    ("languages", "message"),
    [
        ({"groups": {"far": ["ja", "xx"]}}, "languages.groups.far: 'xx' is none of the study's"),
        ({"groups": {"unseen": ["ja"]}}, "'unseen' is a group or a language already"),
        ({"groups": {"far": []}}, "languages.groups.far"),
        ({"pivot": "de"}, "languages.pivot: 'de' is none of the study's"),
    ],
)
def test_groups_that_mean_nothing_are_refused(
    languages: dict[str, Any], message: str, recipe_data: dict[str, Any], write_recipe: Write
) -> None:
    recipe_data["languages"] |= languages
    with pytest.raises(UserError) as error:
        load_recipe(write_recipe(recipe_data))
    assert any(message in str(problem) for problem in error.value.problems), error.value.problems


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, ""),
        ({"where": {"model": "none"}}, "reference.0.where: picks no row"),
        ({"where": {}}, "picks several rows for math en at amount 0; name more columns"),
        ({"x": "amounts"}, "has no column amounts; did you mean 'amount'"),
        ({"file": "nowhere.csv"}, "reference.0.file: cannot read"),
        ({"where": {"model": "percent"}}, "scores of math reach 45; give shares from 0 to 1"),
    ],
)
def test_published_curves_are_read_or_refused_with_a_reason(
    changes: dict[str, Any], message: str, recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    rows = [f"{model},math,{amount},en,{score}" for model, score in (("a", 0.4), ("b", 0.5), ("percent", 45.0))
            for amount in (0, 2)]  # fmt: skip
    (tmp_path / "table.csv").write_text("model,task,amount,language,score\n" + "\n".join(rows) + "\n")
    reference = {"name": "Published", "file": "table.csv", "x": "amount", "where": {"model": "a"}} | changes
    recipe, _ = load_recipe(write_recipe(recipe_data | {"reference": [reference]}))
    if not message:
        assert references_of(recipe).rows() == [
            ("math", "accuracy", "en", 0.0, 0.4, "Published"),
            ("math", "accuracy", "en", 2.0, 0.4, "Published"),
        ]
        return
    with pytest.raises(UserError) as error:
        references_of(recipe)
    assert any(message in str(problem) for problem in error.value.problems), error.value.problems
