"""Models from elsewhere: fetched once, then used without network; and messages that say how to get one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.models.base import find_model
from harness.recipe.load import load_recipe
from tests.hub import COMMIT, hub_of
from tests.support import REPOSITORY, harness, harness_process

Write = Callable[[dict[str, Any]], Path]


def test_what_is_fetched_is_all_that_a_machine_without_network_needs(
    recipe_data: dict[str, Any], write_recipe: Write, tiny_model: Path, tmp_path: Path
) -> None:
    recipe_data["model"]["name"] = "toy/tiny"
    recipe, runs = write_recipe(recipe_data), tmp_path / "runs"
    caches = {"HF_HOME": str(tmp_path / "hub"), "HARNESS_CACHE": str(tmp_path / "cache")}
    with hub_of("toy/tiny", tiny_model) as address:
        fetched = harness_process("fetch", recipe, "--runs", runs, HF_ENDPOINT=address, HF_HUB_OFFLINE="0", **caches)
    assert fetched.returncode == 0, fetched.stderr
    assert f"HF_HOME={caches['HF_HOME']}" in fetched.stderr and "HF_HUB_OFFLINE=1" in fetched.stderr
    offline = os.environ | caches | {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, REPOSITORY / "harness" / "train.py", recipe, "--runs", runs]
    trained = subprocess.run(command, env=offline, capture_output=True, text=True, check=False)
    assert trained.returncode == 0, trained.stderr
    kept = json.loads((runs / "small" / "plan.json").read_text())
    assert kept["bases"][0]["model"] == f"toy/tiny@{COMMIT}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("toy/gated", "licence to be accepted: do so at https://huggingface.co/toy/gated"),
        ("toy/missing", "has none of this name, or a private one: hf auth login"),
    ],
)
def test_a_model_that_the_hub_does_not_give_says_why(
    name: str, message: str, recipe_data: dict[str, Any], write_recipe: Write, tiny_model: Path, tmp_path: Path
) -> None:
    recipe_data["model"]["name"] = name
    with hub_of("toy/tiny", tiny_model, gated="toy/gated") as address:
        environment = {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hub")}
        refused = harness_process("plan", write_recipe(recipe_data), "--runs", tmp_path / "runs", **environment)
    assert refused.returncode == 2 and message in refused.stderr, refused.stderr


def test_where_the_hub_cannot_be_reached_the_way_is_told(recipe_data: dict[str, Any], write_recipe: Write) -> None:
    recipe_data["model"] |= {"name": "toy/elsewhere", "revision": "abc"}
    refused = harness("plan", write_recipe(recipe_data))
    assert refused.returncode == 2
    assert "hf download toy/elsewhere --revision abc --local-dir FOLDER" in refused.stderr


def test_gguf_is_told_from_a_model_that_can_be_trained(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    for name in (tmp_path, tmp_path / "model.gguf", "somewhere/model.gguf"):
        with pytest.raises(UserError, match=r"is GGUF, .* hf download"):
            find_model(str(name), None)


def test_a_models_path_is_seen_from_the_recipe(
    recipe_data: dict[str, Any], write_recipe: Write, tiny_model: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_model, tmp_path / "models" / "tiny")
    for name in ("models/tiny", "./models/tiny"):
        recipe_data["model"]["name"] = name
        assert load_recipe(write_recipe(recipe_data))[0].model.name == str((tmp_path / name).absolute())
    recipe_data["model"]["name"] = "models/other"
    assert load_recipe(write_recipe(recipe_data))[0].model.name == "models/other", "it may be of the hub"
