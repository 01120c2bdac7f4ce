"""Steps that are kept as models, and losses that are reported while cells train."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from harness.errors import UserError
from harness.planning.disk import disk_for
from harness.recipe.load import parse_recipe
from harness.runs.cells import weights_called
from harness.runs.folder import StudyFolder
from harness.runs.job import read_job
from harness.training import tracking
from tests.support import harness, small_recipe, train_here
from tests.test_training import distance, record, weights

Write = Callable[[dict[str, Any]], Path]


def test_steps_are_kept_as_the_models_that_they_were(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    recipe_data["training"] |= {"keep_checkpoints": {"every": 1}, "learning_rate": 1e-3}
    assert train_here(write_recipe(recipe_data), tmp_path / "kept", "--cells", "amount-3").returncode == 0
    done = record(tmp_path / "kept", "amount-3")
    assert list(done["kept_steps"]) == ["1", "2", "3", "4"] and done["kept_steps"]["4"] == done["weights"]
    del recipe_data["training"]["epochs"], recipe_data["training"]["keep_checkpoints"]
    recipe_data["training"]["steps"] = 2
    assert train_here(write_recipe(recipe_data), tmp_path / "ended", "--cells", "amount-3").returncode == 0
    study = tmp_path / "kept" / "small"
    second = weights_called(study, "amount-3@2")
    assert distance(load_file(second.tensors[0]), weights(tmp_path / "ended", "amount-3")) <= 1e-6
    assert not list(second.damage()) and second.hash == done["kept_steps"]["2"]
    assert weights_called(study, "amount-3").folder == study / "amount-3" / "adapter"
    with pytest.raises(UserError, match="got step '7'; steps kept of amount-3: 1, 2, 3, 4"):
        weights_called(study, "amount-3@7")
    with pytest.raises(UserError, match="has no cell 'amount-9' that is trained"):
        weights_called(study, "amount-9@1")


def test_the_disk_counts_steps_that_are_kept(tiny_model: Path) -> None:
    data = small_recipe(tiny_model)
    plain = disk_for([(100 * 8, parse_recipe(data), 10)], "float32")
    data["training"]["keep_checkpoints"] = "all"  # every second step
    assert disk_for([(100 * 8, parse_recipe(data), 10)], "float32") - plain == 5 * 4 * 100 * 8


def test_a_program_that_is_not_installed_is_named(recipe_data: dict[str, Any], write_recipe: Write) -> None:
    recipe_data["training"]["report_to"] = ["mlflow"]
    ended = harness("plan", write_recipe(recipe_data))
    assert ended.returncode == 2 and "training.report_to.0: mlflow is not installed; pip install mlflow" in ended.stderr


def test_programs_are_told_study_cell_and_axes(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.planning.jobs import write_jobs
    from harness.planning.study import Study

    study = Study(write_recipe(recipe_data), tmp_path)
    study.begin()
    write_jobs(study, study.plans)
    job = read_job(study.folder, "amount-3")
    assert tracking.reporting_settings(study.folder, job) == {"report_to": "none"}
    variables: dict[str, str] = {"WANDB_PROJECT": "mine"}
    monkeypatch.setattr(tracking.os, "environ", variables)
    monkeypatch.setattr(tracking.Path, "home", lambda: tmp_path)
    training = job.training.model_copy(update={"report_to": ("wandb", "mlflow")})
    settings = tracking.reporting_settings(study.folder, job.model_copy(update={"training": training}))
    assert settings == {"report_to": ["wandb", "mlflow"], "run_name": "amount-3", "project": "small"}
    assert json.loads(variables["MLFLOW_TAGS"]) == {"study": "small", "cell": "amount-3", "amount": "3"}
    assert variables["WANDB_TAGS"] == "study=small,cell=amount-3,amount=3" and variables["WANDB_MODE"] == "offline"
    assert variables["WANDB_PROJECT"] == "mine", "what the user has set stays"
    assert Path(variables["TENSORBOARD_LOGGING_DIR"]) == StudyFolder(study.folder).cell("amount-3").tensorboard
