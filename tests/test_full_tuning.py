"""Tuning all weights of a model with the real TRL, evaluating what comes of it, and keeping it or not."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from harness.planning.disk import disk_for
from harness.recipe.load import parse_recipe
from harness.training import loop
from harness.training.forecast import KeptPace
from tests.support import harness, small_recipe, train_here
from tests.test_training import record, weights

Write = Callable[[dict[str, Any]], Path]


def full_recipe(tiny_model: Path, **training: Any) -> dict[str, Any]:
    data = small_recipe(tiny_model)
    data["training"] |= {"method": "full", "learning_rate": 1e-3, **training}
    return data


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Path, Path]:
    """A recipe and the runs folder in which it was trained and evaluated: two cells, one of them with LoRA."""
    folder = tmp_path_factory.mktemp("tuned")
    data = full_recipe(tiny_model)
    data["grid"] = {"method": {"path": "training.method", "values": ["full", "lora"]}}
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(data))
    assert train_here(recipe, folder / "runs").returncode == 0
    assert harness("eval", recipe, "--runs", folder / "runs").returncode == 0
    return recipe, folder / "runs"


def test_every_weight_learns_and_the_folder_is_a_model(tuned: tuple[Path, Path], tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, runs = tuned
    before, after = load_file(tiny_model / "model.safetensors"), weights(runs, "method-full")
    assert before.keys() == after.keys()
    assert all((before[name] - after[name]).abs().max() > 0 for name in before)
    folder = runs / "small" / "method-full" / "model"
    assert AutoModelForCausalLM.from_pretrained(folder) and AutoTokenizer.from_pretrained(folder)
    done = record(runs, "method-full")
    assert done["loss"][-1] < done["loss"][0] and "adapter" not in done["identity"]
    assert done["identity"]["training"]["method"] == "full"
    assert "method" not in record(runs, "method-lora")["identity"]["training"]


def test_a_whole_model_passes_the_gate_in_an_engine_of_its_own(tuned: tuple[Path, Path]) -> None:
    _, runs = tuned
    verdicts = json.loads((runs / "small" / "evaluation" / "canary.json").read_text())
    assert verdicts.keys() == {"base", "method-full", "method-lora"}
    assert all(verdict["passed"] and verdict["gap"] < 1e-4 for verdict in verdicts.values())
    assert verdicts["method-full"]["effect"] is None and verdicts["method-lora"]["effect"] > 0
    scores = pl.read_parquet(runs / "small" / "scores.parquet")
    hashes = dict(scores.select("cell", "weights").unique().iter_rows())
    assert hashes == {"base": None} | {cell: record(runs, cell)["weights"] for cell in ("method-full", "method-lora")}


def test_nothing_is_done_twice(tuned: tuple[Path, Path]) -> None:
    recipe, runs = tuned
    again = harness("run", recipe, "--runs", runs)
    assert again.returncode == 0 and "every cell is already trained" in again.stderr
    assert "all there already" in again.stderr and "starting the engine" not in again.stderr


@pytest.fixture(scope="module")
def exported(tuned: tuple[Path, Path]) -> dict[str, Path]:
    """The folders of both formats of models."""
    recipe, runs = tuned
    for to in ("hf", "merged"):
        ended = harness("export", recipe, "--runs", runs, "--to", to)
        assert ended.returncode == 0, ended.stderr
    return {to: runs / "small" / "exports" / to for to in ("hf", "merged")}


def test_a_merged_model_is_the_base_model_with_its_adapter(
    tuned: tuple[Path, Path], exported: dict[str, Path], tiny_model: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, runs = tuned
    ids = torch.arange(5, 60)[None]
    base = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    with torch.inference_mode():
        plain = base(ids).logits
        adapted = PeftModel.from_pretrained(base, str(runs / "small" / "method-lora" / "adapter")).eval()(ids).logits
        merged = AutoModelForCausalLM.from_pretrained(exported["merged"] / "method-lora").eval()(ids).logits
    assert (merged - adapted).abs().max() < 1e-4 < 1e-2 < (merged - plain).abs().max()
    tokenizers = [AutoTokenizer.from_pretrained(path) for path in (tiny_model, exported["merged"] / "method-lora")]
    assert tokenizers[0]("Who?").input_ids == tokenizers[1]("Who?").input_ids


def test_what_was_trained_is_exported_as_it_is(tuned: tuple[Path, Path], exported: dict[str, Path]) -> None:
    _, runs = tuned
    trained = {"method-lora": runs / "small" / "method-lora" / "adapter",
               "method-full": runs / "small" / "method-full" / "model"}  # fmt: skip
    for cell, folder in trained.items():
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name[0] != "."}
        copied = {path.name: path.read_bytes() for path in (exported["hf"] / cell).iterdir()}
        assert copied.pop("README.md") and copied == files
    assert (exported["merged"] / "method-full" / "model.safetensors").is_file(), "there is nothing to merge"


def test_a_model_card_names_mixture_recipe_and_scores(tuned: tuple[Path, Path], exported: dict[str, Path]) -> None:
    from huggingface_hub import ModelCard

    _, runs = tuned
    card: Any = ModelCard.load(exported["hf"] / "method-lora" / "README.md")
    assert card.data.library_name == "peft" and card.data.language == ["en", "fr"] and "lora" in card.data.tags
    assert card.data.base_model is None, "a folder on this machine is no name of the hub's"
    merged: Any = ModelCard.load(exported["merged"] / "method-lora" / "README.md")
    assert merged.data.library_name == "transformers"
    whole = ModelCard.load(exported["hf"] / "method-full" / "README.md").text.partition("## Recipe")[0]
    assert "LoRA of rank 8" in card.text and "all weights tuned" in whole and "LoRA" not in whole
    assert "| math | fr | 3 | 3 |" in card.text and "study: small" in card.text
    scores = pl.read_parquet(runs / "small" / "scores.parquet")
    values: Any = scores.filter(cell="method-lora", task="math", metric="accuracy", language="ja")["value"]
    (row,) = [line for line in card.text.splitlines() if line.startswith("| ja* |") or line.startswith("| ja |")][:1]
    assert f"{100 * values.mean():.1f} (" in row and row.endswith("| 2 | 0 |")


def test_models_that_are_not_here_are_named_and_no_folder_of_others_is_replaced(
    tuned: tuple[Path, Path], tmp_path: Path
) -> None:
    recipe, runs = tuned
    (tmp_path / "method-full").mkdir()
    (tmp_path / "method-full" / "mine.txt").touch()
    refused = harness("export", recipe, "--runs", runs, "--to", "hf", "--out", tmp_path)
    assert refused.returncode == 2 and "method-full is there already; remove it" in refused.stderr
    assert (tmp_path / "method-full" / "mine.txt").is_file()
    untrained = harness("export", recipe, "--runs", tmp_path / "runs", "--to", "merged")
    assert untrained.returncode == 2 and "method-full, method-lora: not trained, so not exported" in untrained.stderr
    assert "no weights of the chosen cells; run: harness train RECIPE" in untrained.stderr


def test_an_axis_that_is_called_otherwise_asks_nothing_anew(tuned: tuple[Path, Path], tmp_path: Path) -> None:
    recipe, runs = tuned
    shutil.copytree(runs, tmp_path / "runs")
    data = json.loads(recipe.read_text())
    data["grid"] = {"way": data["grid"]["method"]}
    (tmp_path / "recipe.yaml").write_text(json.dumps(data))
    again = harness("eval", tmp_path / "recipe.yaml", "--runs", tmp_path / "runs")
    assert again.returncode == 0 and "all there already" in again.stderr and "generating" not in again.stderr
    before, after = (pl.read_parquet(folder / "small" / "scores.parquet") for folder in (runs, tmp_path / "runs"))
    renamed = before.with_columns(pl.col("cell").str.replace("method-", "way-"))
    assert after.equals(renamed) and {"way-full", "way-lora"} < set(after["cell"])


def test_a_damaged_model_is_found_and_trained_again(tuned: tuple[Path, Path]) -> None:
    recipe, runs = tuned
    with (runs / "small" / "method-full" / "model" / "tokenizer.json").open("a") as file:
        file.write(" ")
    assert "method-full/model/tokenizer.json is damaged" in harness("status", recipe, "--runs", runs).stderr
    before = record(runs, "method-full")["weights"]
    assert train_here(recipe, runs).returncode == 0
    assert record(runs, "method-full")["weights"] == before, "the same training gives the same weights"


def test_frozen_weights_stay_and_a_pattern_that_fits_nothing_is_refused(
    tiny_model: Path, write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe(full_recipe(tiny_model, freeze=["*embed_tokens*", "model.layers.0.*"]))
    assert train_here(recipe, tmp_path, "--cells", "amount-3").returncode == 0
    before, after = load_file(tiny_model / "model.safetensors"), weights(tmp_path, "amount-3")
    still = {name for name in before if torch.equal(before[name], after[name])}
    assert still == {name for name in before if "embed_tokens" in name or "layers.0." in name}
    refused = train_here(write_recipe(full_recipe(tiny_model, freeze=["*embedings*"])), tmp_path / "other")
    assert refused.returncode == 2 and "training.freeze: '*embedings*' is the name of no weight" in refused.stderr
    lora = full_recipe(tiny_model, freeze=["*norm*"], method="lora")
    assert "training.freeze: LoRA leaves every weight" in harness("plan", write_recipe(lora)).stderr


def test_updates_too_small_for_bfloat16_are_kept_in_float32(
    tiny_model: Path, write_recipe: Write, tmp_path: Path
) -> None:
    """64 steps of 1e-4 move a weight that bfloat16 would round back at every step."""
    data = full_recipe(tiny_model, learning_rate=1e-4, steps=64)
    del data["training"]["epochs"]
    data["model"]["dtype"] = "bfloat16"
    data["mixture"]["english"]["amount"] = 1
    assert train_here(write_recipe(data), tmp_path, "--cells", "amount-0").returncode == 0
    before, after = load_file(tiny_model / "model.safetensors"), weights(tmp_path, "amount-0")
    assert after["model.norm.weight"].dtype == torch.bfloat16
    moved = (after["model.norm.weight"].float() - before["model.norm.weight"]).abs()
    assert moved.max() >= 2**-8, "at 1 the numbers of bfloat16 are 2^-7 or 2^-8 apart"
    losses = record(tmp_path, "amount-0")["loss"]
    assert losses[-1] < losses[0]


def test_a_model_that_finds_no_memory_fails_its_cell_and_none_is_held_while_the_next_is_loaded(
    tiny_model: Path, write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = full_recipe(tiny_model)
    data["grid"]["amount"]["values"] = [0, 2, 3]
    load, loaded = loop.load_base_model, list[Any]()

    def short_of_memory(job: Any, *location: Any) -> Any:
        if job.name == "amount-0":
            raise MemoryError
        gc.collect()
        assert not any(model() for model in loaded)
        model = load(job, *location)
        loaded.append(weakref.ref(model))
        return model

    monkeypatch.setattr(loop, "load_base_model", short_of_memory)
    ended = train_here(write_recipe(data), tmp_path)
    assert ended.returncode == 1 and "error: not trained: amount-0 (out of memory" in ended.stderr
    states = {cell: record(tmp_path, cell)["state"] for cell in ("amount-0", "amount-2", "amount-3")}
    assert states == {"amount-0": "failed", "amount-2": "trained", "amount-3": "trained"} and len(loaded) == 2


def test_weights_go_when_they_are_evaluated_and_scores_stay(
    tiny_model: Path, write_recipe: Write, tmp_path: Path
) -> None:
    data = full_recipe(tiny_model, keep="nothing-after-evaluation")
    recipe = write_recipe(data)
    assert train_here(recipe, tmp_path).returncode == 0
    assert harness("eval", recipe, "--runs", tmp_path).returncode == 0
    assert not list((tmp_path / "small").glob("*/model"))
    scores = pl.read_parquet(tmp_path / "small" / "scores.parquet")
    assert set(scores["cell"]) == {"base", "amount-0", "amount-3"} and not scores["value"].is_null().all()
    again = harness("run", recipe, "--runs", tmp_path)
    assert again.returncode == 0 and "damaged" not in again.stderr and "already trained" in again.stderr
    (tmp_path / "small" / "evaluation" / "canary.json").unlink()
    ungated = harness("eval", recipe, "--runs", tmp_path)
    assert ungated.returncode == 0, "there are no weights to try again, and nothing is asked of them"
    assert pl.read_parquet(tmp_path / "small" / "scores.parquet").equals(scores)
    data["evaluation"]["items"] = 3
    refused = harness("eval", write_recipe(data), "--runs", tmp_path)
    assert refused.returncode == 2
    assert "amount-0: its weights were removed after evaluation, as training.keep says" in refused.stderr


PACE = KeptPace(micro_batch=1, reading=1, writing=1, adapter=100, model=5000, emulation=None, device="", probe=1)


def test_the_disk_that_a_grid_needs_is_reckoned_by_what_is_kept(tiny_model: Path) -> None:
    """A weight of a model takes what its number format does; a checkpoint three numbers of float32 for each."""
    lora = parse_recipe(small_recipe(tiny_model))
    full = parse_recipe(full_recipe(tiny_model))
    removed = parse_recipe(full_recipe(tiny_model, keep="nothing-after-evaluation"))
    cells = [(PACE.weights_trained(recipe), recipe, 9) for recipe in (full, full, lora)]
    checkpoints = 3 * 3 * 4 * 5000
    assert disk_for(cells[2:] * 2, "float32") == 4 * 100 * 8 * 2 + 3 * 3 * 4 * 100 * 8
    assert disk_for(cells, "bfloat16") == 2 * 5000 * 2 + 4 * 100 * 8 + checkpoints
    assert disk_for(cells, "bfloat16", at_once=2) == disk_for(cells, "bfloat16") + checkpoints
    assert disk_for([(5000, removed, 9)] * 2, "bfloat16") == 2 * 5000 + checkpoints
    assert disk_for([(5000, removed, 9)] * 3, "bfloat16", at_once=2) == 2 * (2 * 5000 + checkpoints)
