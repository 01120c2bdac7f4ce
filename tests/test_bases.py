"""Several base models in one study: each trained on, evaluated and reported apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from harness.errors import UserError
from harness.planning.kept_plan import planned_study
from harness.planning.study import Study
from harness.recipe.grid import cells_of
from harness.recipe.load import load_recipe, parse_recipe
from harness.training.forecast import time_left
from tests.support import harness, run_here, small_recipe

CELLS = ["model-one_amount-0", "model-one_amount-3", "model-two_amount-0", "model-two_amount-3"]


@pytest.fixture(scope="module")
def other_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of one layer whose tokenizer makes more tokens of a text: every one is a byte."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
    from transformers.models.llama import LlamaConfig

    folder = tmp_path_factory.mktemp("other") / "bytes"
    built = Tokenizer(models.BPE())
    built.pre_tokenizer, built.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<pad>", "<bos>", "<eos>"]
    built.train_from_iterator(
        [],
        trainers.BpeTrainer(
            vocab_size=300, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        ),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=built, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")
    torch.manual_seed(1)
    config = LlamaConfig.from_pretrained(tiny_model)
    config.vocab_size, config.num_hidden_layers = len(tokenizer), 1
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def two_bases(one: Path, two: Path) -> dict[str, Any]:
    """Two base models, each with its learning rate, by two amounts."""
    data = small_recipe(one)
    models = {
        "one": {"model.name": str(one), "training.learning_rate": 1e-2},
        "two": {"model.name": str(two), "training.learning_rate": 2e-2},
    }
    data["grid"] = {"model": {"values": models}, **data["grid"]}
    return data


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, other_model: Path) -> tuple[Path, Path, str]:
    """The recipe, its runs folder after `harness run`, and what was printed."""
    folder = tmp_path_factory.mktemp("bases")
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(two_bases(tiny_model, other_model)))
    run = run_here(recipe, "--runs", folder / "runs")
    assert run.returncode == 0, run.stderr
    return recipe, folder / "runs", run.stdout + run.stderr


def test_each_base_trains_and_is_scored_beside_its_cells(study: tuple[Path, Path, str]) -> None:
    recipe, runs, _ = study
    scores = pl.read_parquet(runs / "small" / "scores.parquet")
    assert scores["cell"].unique(maintain_order=True).to_list() == ["base-one", *CELLS[:2], "base-two", *CELLS[2:]]
    assert scores.filter(pl.col("metric") == "accuracy")["value"].null_count() == 0
    made = Study(recipe, runs)
    identities = [plan.run.identity for plan in made.plans]
    assert [base.name for base in made.bases] == ["base-one", "base-two"]
    assert [identity["model"]["identity"] for identity in identities] == [
        base.files.identity for base in made.bases for _ in range(2)
    ]
    assert [identity["training"]["learning_rate"] for identity in identities] == [0.01, 0.01, 0.02, 0.02]
    one, two = made.plans[1], made.plans[3]
    assert [row.id for row in one.rows] == [row.id for row in two.rows], "the same rows, whatever the tokenizer"
    assert one.lengths.tokens.sum() < two.lengths.tokens.sum()
    verdicts = json.loads((runs / "small" / "evaluation" / "canary.json").read_text())
    assert all(verdict["passed"] for verdict in verdicts.values()) and len(verdicts) == 6
    prompts = pl.read_parquet(runs / "small" / "prompts.parquet")
    assert prompts["base"].unique(maintain_order=True).to_list() == ["base-one", "base-two"]


def test_the_report_compares_each_cell_with_its_own_base(study: tuple[Path, Path, str]) -> None:
    recipe, runs, printed = study
    compared = pl.read_csv(runs / "small" / "comparisons.csv").select("cell", "other").unique().sort("cell", "other")
    assert compared.rows() == [
        ("model-one_amount-0", "base-one"),
        ("model-one_amount-3", "base-one"),
        ("model-one_amount-3", "model-one_amount-0"),
        ("model-two_amount-0", "base-two"),
        ("model-two_amount-3", "base-two"),
        ("model-two_amount-3", "model-two_amount-0"),
    ]
    assert [curve.name for curve in planned_study(recipe, runs).design.curves] == ["model one", "model two"]
    page = (runs / "small" / "report.html").read_text()
    assert "base-one" in page and "base-two" in page and "untuned models" in page
    assert "starting the engine" in printed
    between = harness("compare", recipe, CELLS[1], CELLS[3], "--runs", runs)
    assert between.returncode == 0, between.stderr


def test_run_again_nothing_is_done_twice(study: tuple[Path, Path, str]) -> None:
    recipe, runs, _ = study
    again = harness("run", recipe, "--runs", runs)
    assert again.returncode == 0 and "already trained" in again.stderr and "all there already" in again.stderr
    status = json.loads(harness("status", recipe, "--runs", runs, "--json").stdout)
    assert [cell["name"] for cell in status["cells"]] == ["base-one", "base-two", *CELLS]
    assert {cell["scored"] for cell in status["cells"]} == {12}
    plan = json.loads(harness("plan", recipe, "--runs", runs, "--json").stdout)
    assert plan["model"].startswith("base-one: sha256:") and plan["time"]["total"] == 0
    assert not time_left(planned_study(recipe, runs), None).total


def test_models_are_named_by_their_values(tiny_model: Path) -> None:
    data = small_recipe(tiny_model)
    data["grid"] = {"model": {"path": "model.name", "values": ["google/gemma-3-1b-it", str(tiny_model)]}}
    cells = cells_of(parse_recipe(data), data)
    assert [cell.name for cell in cells] == ["model-gemma-3-1b-it", "model-tiny"]
    assert [cell.recipe.model.name for cell in cells] == ["google/gemma-3-1b-it", str(tiny_model)]


def test_paths_of_models_are_seen_from_the_recipe(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "near").symlink_to(tiny_model)
    for axis in ({"path": "model.name", "values": ["near"]}, {"values": {"near": {"model.name": "near"}}}):
        data = small_recipe(tiny_model) | {"grid": {"model": axis}}
        (tmp_path / "recipe.yaml").write_text(json.dumps(data))
        (cell,) = cells_of(*load_recipe(tmp_path / "recipe.yaml"))
        assert (cell.name, cell.recipe.model.name) == ("model-near", str(tmp_path / "near"))


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        ({"model": {"values": {"a": 1}}}, "names no key; give one, or a list, or have each value name"),
        ({"model": {"values": ["a", "b"]}}, "names no key"),
        (
            {"model": {"path": "model.dtype", "values": ["auto"]}},
            "an axis varies model.name, model.revision, model.quantization, model.reinitialise",
        ),
        ({"model": {"values": {"a": {"model": {"name": "x"}}}}}, "an axis varies model.name"),
        (
            {"base": {"path": "model.name", "values": ["a", "b"]}},
            "a base model would be named 'base-a', as another model is",
        ),
        (
            {"model": {"values": {"a": {"model.name": "x"}}}, "rate": {"path": "model.name", "values": ["b"]}},
            "'model.name' is varied by the axis 'model' already",
        ),
    ],
)
def test_axes_of_models_that_cannot_be(axes: dict[str, Any], told: str, tiny_model: Path) -> None:
    data = small_recipe(tiny_model) | {"grid": axes}
    with pytest.raises(UserError, match=told.replace("(", r"\(")):
        cells_of(parse_recipe(data), data)


def test_one_model_under_two_names_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "copy").symlink_to(tiny_model)
    data = small_recipe(tiny_model)
    data["grid"] = {"model": {"path": "model.name", "values": [str(tiny_model), str(tmp_path / "copy")]}}
    (tmp_path / "recipe.yaml").write_text(json.dumps(data))
    with pytest.raises(UserError, match="are one model; name it once"):
        Study(tmp_path / "recipe.yaml", tmp_path).check()
