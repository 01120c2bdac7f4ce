"""Keys changed on the command line count as if they were written in the recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.recipe.load import load_recipe
from harness.recipe.settings import put, with_settings
from tests.support import harness

Write = Callable[[dict[str, Any]], Path]


def test_a_setting_is_read_as_yaml_and_a_section_is_made_for_it(recipe_data: dict[str, Any]) -> None:
    for setting in ("training.learning_rate=5e-4", "selection.languages=[en]", "study=other", "model.revision="):
        assert put(recipe_data, setting) is None
    assert recipe_data["training"]["learning_rate"] == 5e-4 and recipe_data["selection"] == {"languages": ["en"]}
    assert recipe_data["study"] == "other" and recipe_data["model"]["revision"] is None


@pytest.mark.parametrize("setting", ["training.seed", "=3", "training..seed=1", "grid.amount.values.0=1", "study=[en"])
def test_what_is_no_setting_is_refused(setting: str, recipe_data: dict[str, Any]) -> None:
    problem = put(recipe_data, setting)
    assert problem and problem.where == "--set" and setting in problem.message


def test_without_settings_the_recipe_is_itself(recipe_data: dict[str, Any], write_recipe: Write) -> None:
    recipe = write_recipe(recipe_data)
    assert with_settings(recipe, None) is recipe and with_settings(recipe, []) is recipe


def test_commands_take_a_setting_as_if_it_were_written(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe(recipe_data)
    planned = harness("plan", recipe, "--runs", tmp_path, "--set", "training.epochs=3", "--set", "study=more", "--json")
    plan = json.loads(planned.stdout)
    assert plan["study"] == "more" and {cell["epochs"] for cell in plan["cells"]} == {3.0}
    written = write_recipe(recipe_data | {"study": "more", "training": recipe_data["training"] | {"epochs": 3}})
    assert json.loads(harness("plan", written, "--runs", tmp_path, "--json").stdout)["cells"] == plan["cells"]
    wrong = harness("status", recipe, "--runs", tmp_path, "--set", "training.epocks=3")
    assert wrong.returncode == 2 and "training.epocks: unknown key; did you mean 'epochs'?" in wrong.stderr


def test_files_are_meant_from_the_recipes_folder(recipe_data: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text('{"prompt": "a", "target": "b"}\n')
    recipe_data["sources"] = {"own": {"task": "math", "languages": ["en"], "files": "own.jsonl"}}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(recipe_data))
    changed, _ = load_recipe(with_settings(recipe, ["study=other"]))
    assert changed.study == "other" and changed.sources["own"].files == {"train": str(tmp_path / "own.jsonl")}
    with pytest.raises(UserError, match="cannot read the recipe"):
        with_settings(tmp_path / "none.yaml", ["study=other"])
