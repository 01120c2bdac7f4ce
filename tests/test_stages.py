"""Trainings that follow one another: planned, trained once where they begin alike, and gone on with after a kill."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from data_mixes.holds import Holder, holder_of, holding
from harness.executors import local
from harness.recipe.grid import cells_of
from harness.recipe.load import load_recipe
from harness.recipe.settings import with_settings
from harness.runs.checkpoints import last_whole_checkpoint
from harness.training import loop
from harness.training.loop import start_process, train_jobs
from tests.support import REPOSITORY, harness, kill_with_children, run_here, small_recipe, train_here

Write = Callable[[dict[str, Any]], Path]
EN, FR, ES = (f"order-up_stage-{language}" for language in ("en", "fr", "es"))
DOWN = ("order-down_stage-es", "order-down_stage-fr")


def continual(tiny_model: Path) -> dict[str, Any]:
    """Three languages in two orders that begin with the same one."""
    data = small_recipe(tiny_model)
    del data["mixture"], data["training"]["epochs"]
    data["study"] = "continual"
    data["training"]["steps"] = 2
    data["languages"] = {"seen": ["en", "fr", "es"], "unseen": ["ja"]}
    data["stages"] = {"each": "language", "order": ["en", "fr", "es"],
                      "mixture": {"rows": {"sources": ["word-problems"], "amount": 6}}}  # fmt: skip
    data["grid"] = {"order": {"path": "stages.order", "values": {"up": ["en", "fr", "es"], "down": ["en", "es", "fr"]}}}
    data["evaluation"] |= {"tasks": ["math"], "max_tokens": {"math": 4}, "after": "every-stage"}
    return data


def cells(data: dict[str, Any], write: Write) -> dict[str, Any]:
    return {cell.name: cell for cell in cells_of(*load_recipe(write(data)))}


def adapter(study: Path, cell: str, folder: str = "adapter") -> dict[str, torch.Tensor]:
    return load_file(study / cell / folder / "adapter_model.safetensors")


def record(study: Path, cell: str) -> dict[str, Any]:
    return json.loads((study / cell / "record.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Path, Path]:
    """A recipe, and the study's folder after `harness run`."""
    folder = tmp_path_factory.mktemp("continual")
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(continual(tiny_model)))
    ended = run_here(recipe, "--runs", folder / "runs")
    assert ended.returncode == 0, ended.stderr
    return recipe, folder / "runs" / "continual"


def test_what_two_orders_begin_with_is_trained_once(trained: tuple[Path, Path]) -> None:
    _, study = trained
    assert {path.parent.name for path in study.glob("*/record.json")} == {EN, FR, ES, *DOWN}
    for cell, before in ((FR, EN), (ES, FR), (DOWN[0], EN), (DOWN[1], DOWN[0])):
        assert record(study, cell)["parents"] == {before: record(study, before)["weights"]}
        assert record(study, cell)["start"] == "continue"
    assert "parents" not in record(study, EN) and "after" not in record(study, EN)["identity"]


def test_every_stage_is_tested_in_every_language(trained: tuple[Path, Path]) -> None:
    _, study = trained
    scores = pl.read_parquet(study / "scores.parquet").filter(metric="accuracy")
    counts = scores.group_by("cell").agg(pl.col("language").n_unique())
    assert dict(counts.iter_rows()) == dict.fromkeys(["base", EN, FR, ES, *DOWN], 4)
    verdicts = json.loads((study / "evaluation" / "canary.json").read_text())
    assert len(verdicts) == 6 and all(verdict["passed"] for verdict in verdicts.values())


def test_the_report_has_the_matrix_of_both_orders(trained: tuple[Path, Path]) -> None:
    _, study = trained
    matrix = pl.read_csv(study / "stages.csv")
    scores = pl.read_parquet(study / "scores.parquet").filter(metric="accuracy")
    for chain, order in (("order up", ["en", "fr", "es"]), ("order down", ["en", "es", "fr"])):
        stages = matrix.filter(chain=chain)
        assert stages.filter(language="ja")["stage"].to_list() == ["", *order]
        assert stages.height == 4 * 4
    for row in matrix.iter_rows(named=True):
        values = scores.filter(cell=row["cell"], language=row["language"])["value"]
        assert row["mean"] == pytest.approx(values.mean()) and row["scored"] == 2
    continual = pl.read_csv(study / "continual.csv")
    assert {*continual["measure"]} == {"final", "forgetting", "backward", "forward", "forward_1", "forward_2"}
    assert {*continual["chain"]} == {"order up", "order down", "mean of 2"}
    assert "After each stage" in (study / "report.html").read_text()


def test_a_kill_in_the_second_stage_loses_no_stage(trained: tuple[Path, Path], tmp_path: Path) -> None:
    recipe, _ = trained
    steps = ("--set", "training.steps=16", "--set", "training.checkpoint_every=2", "--set", "stages.start=stack")
    command = [sys.executable, "-m", "harness.cli", "work", recipe, "--runs", tmp_path, "--phase", "train", *steps]
    doomed = subprocess.Popen([*command, "--cells", FR], cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    study = tmp_path / "continual"
    while not last_whole_checkpoint(study / FR / "checkpoints"):
        assert doomed.poll() is None
        time.sleep(0.005)
    kill_with_children(doomed)
    first = (study / EN / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns
    assert train_here(with_settings(recipe, steps[1::2]), tmp_path, "--cells", FR).returncode == 0
    assert record(study, FR)["resumed_at"] > 0 and record(study, EN)["resumed_at"] == 0
    assert (study / EN / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns == first
    again = tmp_path / "again"
    assert train_here(with_settings(recipe, steps[1::2]), again, "--cells", FR).returncode == 0
    for folder in ("adapter", "own"):
        one, other = adapter(study, FR, folder), adapter(again / "continual", FR, folder)
        assert one.keys() == other.keys() and all((one[name] - other[name]).abs().max() < 1e-5 for name in one)
    assert {path.parent.name for path in study.glob("*/record.json")} == {EN, FR}


def test_a_stage_begins_with_the_bytes_of_the_one_before(tiny_model: Path, tmp_path: Path) -> None:
    data = continual(tiny_model)
    del data["grid"]
    data["stages"]["order"], data["stages"]["training"] = ["en", "fr"], {"learning_rate": 1e-12}
    data["evaluation"] |= {"items": 1, "base": False}
    (tmp_path / "recipe.yaml").write_text(json.dumps(data))
    assert train_here(tmp_path / "recipe.yaml", tmp_path / "runs").returncode == 0
    first, second = (adapter(tmp_path / "runs" / "continual", f"stage-{name}") for name in ("en", "fr"))
    assert first.keys() == second.keys() and all((first[name] - second[name]).abs().max() < 1e-7 for name in first)


def parts(tiny_model: Path) -> dict[str, Any]:
    """Adapters of two languages and of a task, some on top of others, and cells that are composed of them."""
    data = continual(tiny_model)
    del data["grid"]
    data["study"] = "parts"

    def rows(source: str, language: str) -> dict[str, Any]:
        return {"rows": {"sources": [source], "languages": [language], "amount": 6}}

    data["stages"] = {
        "text-en": {"mixture": rows("notices", "en")},
        "text-fr": {"start": "fresh", "adapter": {"rank": 4}, "mixture": rows("notices", "fr")},
        "task": {"start": "fresh", "mixture": rows("word-problems", "en")},
        "on-fr": {"start": "stack", "after": "text-fr", "mixture": rows("word-problems", "en")},
        "again": {"start": "stack", "mixture": rows("word-problems", "fr")},
    }
    data["compose"] = {
        "mad-x": {"sum": {"on-fr.own": 1, "text-en": 1}},
        "away": {"sum": {"task": 1, "text-fr": 0.5, "text-en": -1}},
        "swap": {"take": "task", "layers": {"text-fr": [[1, 2]]}},
    }
    return data


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Path, Path]:
    """A recipe, and the study's folder once it is trained and evaluated."""
    folder = tmp_path_factory.mktemp("parts")
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(parts(tiny_model)))
    assert train_here(recipe, folder / "runs").returncode == 0
    assert harness("eval", recipe, "--runs", folder / "runs").returncode == 0
    return recipe, folder / "runs" / "parts"


def test_composed_cells_are_gated_scored_and_reported(composed: tuple[Path, Path]) -> None:
    recipe, study = composed
    cells = {f"stage-{name}" for name in ("text-en", "text-fr", "task", "on-fr", "again", "mad-x", "away", "swap")}
    verdicts = json.loads((study / "evaluation" / "canary.json").read_text())
    assert verdicts.keys() == cells | {"base"} and all(verdict["passed"] for verdict in verdicts.values())
    assert {*pl.read_parquet(study / "scores.parquet")["cell"]} == cells | {"base"}
    done = record(study, "stage-away")
    assert done["state"] == "trained" and done["steps"] == 0
    assert done["parents"] == {
        name: record(study, name)["weights"] for name in ("stage-task", "stage-text-fr", "stage-text-en")
    }
    cards = {
        "stage-away": "Made of the weights of stage-task, stage-text-fr, stage-text-en, and not trained",
        "stage-on-fr": "Begun with the weights of stage-text-fr (`start: stack`). LoRA of rank 8",
    }
    for cell, told in cards.items():
        ended = harness("export", recipe, "--runs", study.parent, "--to", "hf", "--cells", cell)
        assert ended.returncode == 0, ended.stderr
        assert told in (study / "exports" / "hf" / cell / "README.md").read_text()
    again = harness("run", recipe, "--runs", study.parent)
    assert "every cell is already trained" in again.stderr and "all there already" in again.stderr


def test_composed_cells_are_what_their_recipe_says(composed: tuple[Path, Path], tiny_model: Path) -> None:
    _, study = composed
    change = {name: changes_of(study / f"stage-{name}" / "adapter") for name in ("text-en", "text-fr", "task", "on-fr")}
    own = changes_of(study / "stage-on-fr" / "own")
    for module, whole in changes_of(study / "stage-on-fr" / "adapter").items():
        assert torch.allclose(whole, change["text-fr"][module] + own[module], atol=1e-6)
    assert any(weight.abs().max() > 1e-3 for weight in own.values())
    for module, whole in changes_of(study / "stage-mad-x" / "adapter").items():
        assert torch.allclose(whole, own[module] + change["text-en"][module], atol=1e-6)
    for module, whole in changes_of(study / "stage-away" / "adapter").items():
        wanted = change["task"][module] + 0.5 * change["text-fr"][module] - change["text-en"][module]
        assert torch.allclose(whole, wanted, atol=1e-6)
    for module, whole in changes_of(study / "stage-swap" / "adapter").items():
        assert torch.allclose(whole, change["text-fr" if ".layers.1." in module else "task"][module], atol=1e-6)


def changes_of(folder: Path) -> dict[str, torch.Tensor]:
    """ΔW of each module of an adapter, by PEFT's definition."""
    config = json.loads((folder / "adapter_config.json").read_text())
    tensors = load_file(folder / "adapter_model.safetensors")
    modules = [name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight")]
    scale = config["lora_alpha"] / config["r"]
    return {name: scale * tensors[f"{name}.lora_B.weight"] @ tensors[f"{name}.lora_A.weight"] for name in modules}


def test_what_a_stack_is_evaluated_as_is_what_it_was_trained_as(composed: tuple[Path, Path], tiny_model: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    _, study = composed
    ids = torch.arange(5, 60)[None]

    def logits(model: Any) -> torch.Tensor:
        with torch.inference_mode():
            return model(ids).logits

    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    plain = logits(base)
    both: Any = PeftModel.from_pretrained(base, str(study / "stage-on-fr" / "own"), adapter_name="own")
    both.load_adapter(str(study / "stage-text-fr" / "adapter"), adapter_name="below")
    both.base_model.set_adapter(["own", "below"])
    together = logits(both)
    served = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_model), str(study / "stage-on-fr" / "adapter")
    )
    assert float((together - plain).abs().max()) > 1e-2
    assert float((logits(served) - together).abs().max()) < 1e-5


def test_fully_tuned_stages_go_on_and_are_composed(tiny_model: Path, tmp_path: Path) -> None:
    data = continual(tiny_model)
    del data["grid"]
    data["training"] |= {"method": "full", "learning_rate": 1e-3}
    data["stages"]["order"] = ["en", "fr"]
    data["compose"] = {
        "less": {"sum": {"en": 1.5, "fr": -1}},
        "swap": {"take": "en", "layers": {"fr": [[0, 1]]}},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(data))
    assert train_here(tmp_path / "recipe.yaml", tmp_path / "runs").returncode == 0
    study = tmp_path / "runs" / "continual"
    base = load_file(tiny_model / "model.safetensors")
    en, fr, less, swap = (load_file(study / f"stage-{name}" / "model" / "model.safetensors")
                          for name in ("en", "fr", "less", "swap"))  # fmt: skip
    assert base.keys() == en.keys() == fr.keys() == less.keys() == swap.keys()
    assert record(study, "stage-fr")["parents"] == {"stage-en": record(study, "stage-en")["weights"]}
    for name, weight in base.items():
        assert torch.allclose(less[name], weight + 1.5 * (en[name] - weight) - (fr[name] - weight), atol=1e-6)
        assert torch.equal(swap[name], (fr if ".layers.0." in name else en)[name])
    farther = [float((fr[name] - base[name]).norm()) > float((en[name] - base[name]).norm()) for name in base]
    assert sum(farther) > len(farther) / 2, "French went on from English"


def test_a_stage_is_not_trained_where_the_one_before_could_not_be(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = continual(tiny_model)
    del data["grid"]
    (tmp_path / "recipe.yaml").write_text(json.dumps(data))
    train = loop.train

    def fail(model: Any, tokenizer: Any, job: Any, *rest: Any) -> Any:
        if job.name == "stage-fr":
            raise ValueError("a matrix is singular")
        return train(model, tokenizer, job, *rest)

    monkeypatch.setattr(loop, "train", fail)
    ended = train_here(tmp_path / "recipe.yaml", tmp_path / "runs")
    assert ended.returncode == 1 and "stage-es: not trained: it begins with stage-fr, which failed" in ended.stderr
    states = {name: record(tmp_path / "runs" / "continual", f"stage-{name}")["state"] for name in ("en", "fr", "es")}
    assert states == {"en": "trained", "fr": "failed", "es": "failed"}
    monkeypatch.undo()
    assert train_here(tmp_path / "recipe.yaml", tmp_path / "runs").returncode == 0, "both are tried again"


def test_a_worker_waits_for_a_stage_that_another_trains(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = continual(tiny_model)
    del data["grid"]
    data["stages"]["order"] = ["en", "fr"]
    (tmp_path / "recipe.yaml").write_text(json.dumps(data))
    monkeypatch.setattr(local, "launch_training", lambda *_: 3)
    assert harness("train", tmp_path / "recipe.yaml", "--runs", tmp_path).returncode == 3  # its jobs are on disk
    study, held = tmp_path / "continual", ExitStack()
    held.enter_context(holding(study / "stage-en" / ".lock"))
    asked: list[Path] = []

    def holder_until_asked(path: Path) -> Holder | None:
        asked.append(path)
        holder = holder_of(path)
        held.close()
        return holder

    monkeypatch.setattr(loop, "holder_of", holder_until_asked)
    monkeypatch.setattr(loop, "POLLED", 0.0)
    train_jobs(study, ["stage-en", "stage-fr"], start_process())
    assert asked[0] == study / "stage-en" / ".lock"
    assert [record(study, f"stage-{name}")["state"] for name in ("en", "fr")] == ["trained", "trained"]
