"""Suites of checkpoints on a hub: revisions by a pattern, with the steps that their names tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.analysis.groups import LanguageGroups
from harness.errors import UserError
from harness.planning.design import design_of
from harness.planning.revisions import load_study, with_suites
from harness.recipe.grid import cells_of
from harness.recipe.models_section import OutsideModel
from harness.recipe.revisions_section import Revisions, step_of, tokens_of
from harness.reporting.courses import courses_of
from tests.hub import commit_of, hub_of

Write = Callable[[dict[str, Any]], Path]
BRANCHES = ["main", "stage1-step-40000", "stage1-step-80000", "stage2-step-4200000", "it-SFT"]
TAGS = ["stage1-step-160000", "stage1-step-320000", "stage1-step-120000"]


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("stage1-step-40000", 40_000), ("step2627139-tokens15T", 2_627_139), ("iter_0124800", 124_800),
        ("global_step1000", 1000), ("stage2-ingredient3-step8000-tokens17B", 8000), ("step0", 0),
        ("main", None), ("it-SFT", None), ("it-mid-training", None),
    ],
)  # fmt: skip
def test_the_step_that_a_name_tells(name: str, step: int | None) -> None:
    assert step_of(name) == step


def test_the_tokens_that_a_name_tells() -> None:
    assert tokens_of("step2627139-tokens15T") == 15_000 and tokens_of("stage2-ingredient1-step8000-tokens17.5B") == 17.5
    assert tokens_of("stage1-step-40000") is None


@given(st.sets(st.integers(0, 10**6), min_size=2, max_size=60), st.integers(2, 70), st.sampled_from(["linear", "log"]))
def test_as_many_are_taken_as_wanted_with_both_ends(steps: set[int], take: int, spacing: Any) -> None:
    chosen = Revisions(pattern="step*", take=take, spacing=spacing).chosen([f"step{step}" for step in steps])
    taken = [step_of(name) for name in chosen]
    assert taken == sorted(set(taken)) and len(taken) == min(take, len(steps))  # pyright: ignore[reportArgumentType]
    assert taken[0] == min(steps) and taken[-1] == max(steps)


def test_log_spacing_is_denser_at_the_beginning() -> None:
    names = [f"step{1000 * number}" for number in range(1, 144)]
    assert Revisions(pattern="step*", take=5, spacing="log").chosen(names) == [
        "step1000", "step3000", "step12000", "step41000", "step143000",
    ]  # fmt: skip
    linear = Revisions(pattern="step*", take=3).chosen([*names, "step-final", "other-step5"])
    assert linear == ["step1000", "step72000", "step143000"]


def suite(recipe_data: dict[str, Any], pattern: dict[str, Any]) -> dict[str, Any]:
    recipe_data["model"]["name"] = "toy/suite"
    recipe_data["grid"]["checkpoint"] = {"path": "model.revision", "values": pattern}
    return recipe_data


def test_an_axis_of_revisions_is_resolved_once_and_keeps_commits(
    recipe_data: dict[str, Any], write_recipe: Write, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(suite(recipe_data, {"pattern": "stage1-step-*", "take": 3, "spacing": "log"}))
    wanted = ["stage1-step-40000", "stage1-step-120000", "stage1-step-320000"]
    with hub_of("toy/suite", tiny_model, branches=BRANCHES, tags=TAGS) as address:
        reach(address, monkeypatch)
        parsed, raw = load_study(recipe, tmp_path)
    assert parsed.grid["checkpoint"].values == {name: commit_of(name) for name in wanted}
    monkeypatch.undo()  # the hub is gone
    again, _ = load_study(recipe, tmp_path)
    assert again == parsed
    cells = cells_of(parsed, raw)
    assert [cell.name for cell in cells][:2] == [f"amount-0_checkpoint-{name}" for name in wanted[:2]]
    assert cells[1].recipe.base_model.revision == commit_of(wanted[1]) and cells[1].place["checkpoint"] == 120_000
    design = design_of(parsed, cells)
    curves = [curve for curve in design.curves if curve.axis == "checkpoint"]
    assert [curve.amounts for curve in curves] == [(40_000, 120_000, 320_000)] * 2
    groups = LanguageGroups(("en", "fr"), ("ja",))
    study: Any = SimpleNamespace(recipe=parsed, cells=cells, design=design, groups=groups, plans=[])
    untuned, plain, more = courses_of(study, {})
    assert untuned.models == {step_of(name): (f"base-{name}",) for name in wanted} and untuned.languages == ()
    assert (plain.setting, more.setting) == ("amount 0", "amount 3") and more.languages == ("en", "fr")
    assert more.models[120_000] == ("amount-3_checkpoint-stage1-step-120000",)


def reach(address: str, patched: pytest.MonkeyPatch) -> None:
    """Has this process ask the hub at an address."""
    from huggingface_hub import HfApi

    patched.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    patched.setattr("huggingface_hub.list_repo_refs", HfApi(endpoint=address).list_repo_refs)


def test_models_from_elsewhere_take_a_pattern_too() -> None:
    pattern = {"pattern": "step*"}
    known = {f"toy/suite {Revisions(pattern='step*').model_dump_json()}": {"step1-tokens4B": "a", "step2": "b"}}
    raw = with_suites({"models": {"toy": {"name": "toy/suite", "revision": pattern}, "other": {"name": "x"}}}, known)
    assert raw["models"] == {
        "toy-step1-tokens4B": {"name": "toy/suite", "revision": "a"},
        "toy-step2": {"name": "toy/suite", "revision": "b"},
        "other": {"name": "x"},
    }  # fmt: skip
    models = {name: OutsideModel(**given) for name, given in raw["models"].items()}
    study: Any = SimpleNamespace(recipe=SimpleNamespace(models=models, evaluated_every=None, grid={}),
                                 plans=[], design=SimpleNamespace(settings={}))  # fmt: skip
    (suite,) = courses_of(study, {})
    assert (suite.setting, suite.models) == ("suite", {1: ("toy-step1-tokens4B",), 2: ("toy-step2",)})
    assert suite.tokens == {1: 4.0, 2: None}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            {"pattern": "iter_*"},
            "has 0 revisions that match 'iter_\\*' and name a step; it has 8, such as main, stage1",
        ),
        ({"pattern": "it-*"}, "has 0 revisions that match"),
        ({"pattern": "stage1-*", "takes": 3}, "values.takes: unknown key; did you mean 'take'"),
        ({"pattern": "stage1-*", "take": 1}, "values.take: got 1; .* at least 2"),
    ],
)
def test_patterns_that_choose_nothing_say_what_there_is(
    pattern: dict[str, Any], message: str, recipe_data: dict[str, Any], write_recipe: Write, tiny_model: Path,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with hub_of("toy/suite", tiny_model, branches=BRANCHES, tags=TAGS) as address:
        reach(address, monkeypatch)
        with pytest.raises(UserError, match=message):
            load_study(write_recipe(suite(recipe_data, pattern)), tmp_path)


def test_without_the_hub_the_way_is_told(recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe(suite(recipe_data, {"pattern": "stage1-step-*"}))
    with pytest.raises(UserError, match=r"grid\.checkpoint\.values: .*hub cannot be reached"):
        load_study(recipe, tmp_path)
    assert not list(tmp_path.glob("small/*"))
    assert json.loads(recipe.read_text())["grid"]["checkpoint"]["values"] == {"pattern": "stage1-step-*"}
