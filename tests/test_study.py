"""The whole study from the shell, with the real vLLM: one engine start for the suite."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from eval.engines.transformers_engine import TransformersEngine
from eval.scorers import answers
from tests.support import harness, harness_process, killed_after_two_chunks, small_recipe, written_chunks

CELLS = ["base", "amount-0", "amount-3"]
ROWS = 3 * 2 * 3 * 2  # models, tasks, languages, items


OLD_PROCESSOR = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
"""Has a newer x86 processor behave like one without AVX-512 and AMX, which emulates bfloat16."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Path, Path, str]:
    """A recipe, its runs folder after `harness run` as on an old processor, and what the command printed.

    The machine decides on the number format and the engine, as it does for a newcomer.
    """
    folder = tmp_path_factory.mktemp("study")
    data = small_recipe(tiny_model)
    data["model"]["dtype"] = data["evaluation"]["engine"] = "auto"
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(data))
    run = harness_process("run", recipe, "--runs", folder / "runs", **OLD_PROCESSOR)
    assert run.returncode == 0, run.stderr
    return recipe, folder / "runs", run.stdout + run.stderr


def test_every_model_is_scored_on_everything(study: tuple[Path, Path, str]) -> None:
    _, runs, _ = study
    predictions = pl.read_parquet(runs / "small" / "predictions.parquet")
    scores = pl.read_parquet(runs / "small" / "scores.parquet")
    main = scores.filter(pl.col("metric").is_in(["accuracy", "prompt_pass"]))
    assert predictions.height == main.height == ROWS
    assert scores["cell"].unique(maintain_order=True).to_list() == CELLS
    assert main["value"].null_count() == 0 and scores["value"].drop_nulls().is_between(0, 1).all()
    unscored = scores.filter(pl.col("value").is_null())
    assert unscored["reason"].is_not_null().all(), "what has no score says why"
    assert scores.select("cell", "id", "metric").is_unique().all() and main.select("cell", "id").is_unique().all()
    per_language = scores.group_by("language").agg(pl.col("item").unique().sort())
    assert per_language["item"].n_unique() == 1, "every language is tested on the same items"
    assert (predictions["tokens"] > 0).all() and predictions["completion"].n_unique() > ROWS / 4


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the two variables are of x86 alone")
def test_a_processor_that_emulates_bfloat16_computes_in_float32(study: tuple[Path, Path, str]) -> None:
    recipe, runs, printed = study
    assert "in float32: " in printed and "has no instructions for bfloat16" in printed
    assert "Generation by vllm" in printed and "it is installed" in printed
    noted = json.loads((runs / "small" / "study.json").read_text())
    assert noted["dtype"] == "float32" and "has no instructions for bfloat16" in noted["reason"]
    assert noted["engine"].startswith("vllm")
    for cell in CELLS[1:]:
        record = json.loads((runs / "small" / cell / "record.json").read_text())
        assert record["identity"]["model"]["dtype"] == "float32"
    elsewhere = json.loads(harness("plan", recipe, "--runs", runs, "--json").stdout)
    assert elsewhere["precision"]["dtype"] == "float32", "on a machine that may choose another it stays the same"
    assert elsewhere["time"]["total"] == 0, "and nothing is left to do there"


def test_vllm_applies_each_adapter_as_peft_does(study: tuple[Path, Path, str]) -> None:
    _, runs, _ = study
    verdicts = json.loads((runs / "small" / "evaluation" / "canary.json").read_text())
    assert list(verdicts) == CELLS
    assert verdicts.pop("base")["passed"]
    for verdict in verdicts.values():
        assert verdict["passed"] and verdict["conclusive"]
        assert verdict["gap"] < 0.01 < verdict["effect"] and verdict["noise"] < 0.01


def test_the_report_says_it_all(study: tuple[Path, Path, str]) -> None:
    _, runs, printed = study
    page = (runs / "small" / "report.html").read_text()
    for text in (
        *CELLS,
        "math",
        "instructions",
        "seen",
        "unseen",
        "performance_to_pivot",
        answers.VERSION,
        "items per language",
    ):
        assert text in page, text
    assert "math: accuracy" in printed and "time: plan" in printed
    assert "Content-Security-Policy" in page, "the page asks for nothing from a network (tests/test_page.py sees to it)"
    for file in ("summary.csv", "summary.parquet", "tables/math-accuracy.tex", "figures/math-curves.pdf"):
        assert (runs / "small" / file).is_file(), file


def test_run_again_it_does_nothing_twice_and_says_so(study: tuple[Path, Path, str]) -> None:
    recipe, runs, _ = study
    scores = (runs / "small" / "scores.parquet").read_bytes()
    again = harness("run", recipe, "--runs", runs)
    assert again.returncode == 0
    assert "every cell is already trained" in again.stderr
    assert f"{ROWS} predictions wanted, all there already" in again.stderr
    assert (runs / "small" / "scores.parquet").read_bytes() == scores


def test_plan_status_and_report_speak_json(study: tuple[Path, Path, str]) -> None:
    recipe, runs, _ = study
    plan, status, report = (
        json.loads(harness(command, recipe, "--runs", runs, "--json").stdout)
        for command in ("plan", "status", "report")
    )
    assert [cell["rows"] for cell in plan["cells"]] == [10, 16]
    french = [count for count in plan["cells"][1]["counts"] if count["language"] == "fr"]
    assert [count["examples"] for count in french] == [3, 3]
    assert all(count["tokens"] > count["supervised_tokens"] > 0 for count in french)
    assert [(cell["name"], cell["scored"], cell["wanted"]) for cell in status["cells"]] == [
        (name, 12, 12) for name in CELLS
    ]
    assert plan["schema"] == status["schema"] == report["schema"] == 1
    assert {row["group"] for row in report["summary"]} >= {"en", "fr", "ja", "seen", "unseen", "non_pivot"}
    assert all({"mean", "low", "high", "scored", "unscored", "version"} <= row.keys() for row in report["summary"])


def test_two_cells_are_compared_item_by_item(study: tuple[Path, Path, str]) -> None:
    recipe, runs, _ = study
    done = harness("compare", recipe, "amount-3", "base", "--runs", runs, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = {(row["task"], row["group"]): row for row in found["differences"]}
    assert {"en", "fr", "ja", "seen", "unseen"} <= {group for _, group in rows}
    scores = pl.read_parquet(runs / "small" / "scores.parquet").filter(pl.col("metric") == "accuracy")
    means = dict(scores.filter(pl.col("language") == "ja").group_by("cell").agg(pl.col("value").mean()).iter_rows())
    assert rows["math", "ja"]["difference"] == pytest.approx(means["amount-3"] - means["base"])
    kept = Path(found["file"]).read_text(encoding="utf-8").splitlines()
    assert [json.loads(each) for each in kept] == found["flipped"]
    assert all(len({answer["value"] for answer in item["answers"].values()}) == 2 for item in found["flipped"])
    refused = harness("compare", recipe, "amount-3", "amount-30", "--runs", runs)
    assert refused.returncode == 2 and "did you mean 'amount-3'" in refused.stderr


def test_a_changed_recipe_of_the_same_name_is_refused(study: tuple[Path, Path, str], tmp_path: Path) -> None:
    recipe, runs, _ = study
    data = json.loads(recipe.read_text())
    data["training"]["learning_rate"] = 0.5
    changed = tmp_path / "changed.yaml"
    changed.write_text(json.dumps(data))
    refused = harness("plan", changed, "--runs", runs)
    assert refused.returncode == 2
    assert "training.learning_rate was 0.01, is 0.5" in refused.stderr
    data["training"] |= {"learning_rate": 0.01, "micro_batch": 4, "checkpoint_every": 7}
    changed.write_text(json.dumps(data))
    assert harness("plan", changed, "--runs", runs).returncode == 0


def test_a_changed_adapter_is_set_aside(study: tuple[Path, Path, str], tmp_path: Path) -> None:
    recipe, runs, _ = study
    shutil.copytree(runs, tmp_path / "runs")
    weights = tmp_path / "runs" / "small" / "amount-3" / "adapter" / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    done = harness("eval", recipe, "--runs", tmp_path / "runs")
    assert done.returncode == 0 and "amount-3 is to be trained again" in done.stderr
    assert "amount-3: training, so not evaluated" in done.stderr
    assert weights.with_name(f"{weights.name}.damaged").exists() and not weights.exists()


def test_killed_in_the_middle_of_evaluation_it_ends_the_same(
    study: tuple[Path, Path, str], tmp_path: Path, write_recipe: Callable[[dict[str, Any]], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With the transformers engine and small chunks, over the adapters trained above."""
    recipe, trained, _ = study
    data = json.loads(recipe.read_text())
    data["evaluation"] |= {"engine": "transformers", "items": 6}
    changed, undisturbed, killed = write_recipe(data), tmp_path / "undisturbed", tmp_path / "killed"
    for runs in (undisturbed, killed):
        shutil.copytree(trained, runs, ignore=shutil.ignore_patterns("evaluation", "*.parquet"))
    kept = killed_after_two_chunks(10, killed / "small", "eval", changed, "--runs", killed)
    assert 2 <= len(kept) < 11
    monkeypatch.setattr(TransformersEngine, "chunk", 10)
    for runs in (undisturbed, killed):
        assert harness("eval", changed, "--runs", runs).returncode == 0
    assert kept.items() <= written_chunks(killed / "small").items()
    for table in ("predictions.parquet", "scores.parquet"):
        of_killed, of_undisturbed = (pl.read_parquet(runs / "small" / table) for runs in (killed, undisturbed))
        assert of_killed.equals(of_undisturbed)
