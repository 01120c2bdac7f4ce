"""Which engine generates, on machines with vLLM and without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import UserError
from harness.models import engines
from harness.models.engines import engine_for


@pytest.mark.parametrize(
    ("wanted", "installed", "name", "reason"),
    [
        ("auto", True, "vllm", "it is installed"),
        ("auto", False, "transformers", "vLLM is not installed"),
        ("vllm", True, "vllm", "as the recipe says"),
        ("transformers", True, "transformers", "as the recipe says"),
        ("transformers", False, "transformers", "as the recipe says"),
    ],
)
def test_the_engine_is_chosen(
    wanted: Any, installed: bool, name: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "vllm_available", lambda: installed)
    found = engine_for(wanted)
    assert (found.name, found.reason) == (name, reason) and found.version.startswith(name)


def test_vllm_by_name_is_an_error_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "vllm_available", lambda: False)
    with pytest.raises(UserError, match=r"evaluation.engine: vLLM is not installed: pip install .* or set it to auto"):
        engine_for("vllm")


def test_without_vllm_a_study_is_evaluated_by_transformers(
    recipe_data: dict[str, Any],
    write_recipe: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As on a Mac: of the base model, and said in the plan, in the study's file and on the way."""
    from harness.evaluation.cells import evaluate_cells
    from harness.planning.overview import show_plan
    from harness.planning.plan import plan_of
    from harness.planning.study import Study
    from harness.runs.record import read_json

    monkeypatch.setattr(engines, "vllm_available", lambda: False)
    recipe_data["evaluation"]["engine"] = "auto"
    study = Study(write_recipe(recipe_data), tmp_path / "runs")
    show_plan(plan_of(study))
    assert "Generation by transformers" in (said := capsys.readouterr().out) and "vLLM is not installed" in said
    assert study.engine.start.__self__.name == "transformers"
    evaluate_cells(study, None)
    assert "starting the engine (transformers" in capsys.readouterr().err
    assert read_json(study.folder / "study.json")["engine"].startswith("transformers")
    assert (study.folder / "scores.parquet").is_file()


def test_the_kernels_for_adapters_take_more_indices_than_rows() -> None:
    """As vLLM gives them for the head, when it computes the log-probabilities of a prompt beside many sequences."""
    import torch

    from eval.engines.vllm_cpu_lora import group_adapter_rows_on_cpu

    kernels: Any = SimpleNamespace(__name__="ops", bgmv_shrink=None, bgmv_expand=None, bgmv_expand_slice=None)
    group_adapter_rows_on_cpu([kernels])
    inputs, weights = torch.eye(2, 3), torch.arange(12.0).reshape(2, 1, 2, 3)
    output = torch.full((2, 2), 7.0)
    kernels.bgmv_shrink(inputs, weights, output, torch.tensor([1, -1, 0, 1]), 2.0)
    assert output.tolist() == [[12.0, 18.0], [7.0, 7.0]], "the second row wants no adapter"
