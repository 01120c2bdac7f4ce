"""Models that are there already: an adapter, a folder and an endpoint, evaluated without training anything."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from harness.errors import UserError
from harness.evaluation import cells as evaluation
from harness.planning.choice import Choice
from harness.planning.kept_plan import planned_study
from harness.planning.study import Study
from harness.recipe.grid import cells_of
from harness.recipe.load import parse_recipe
from harness.training.forecast import requests_left
from tests.judge_server import Answer, JudgeServer, judge_server, refusal
from tests.support import harness, small_recipe

MODELS = ["base", "someones", "other", "remote"]
ITEMS = 2 * 2 * 2  # tasks, languages, items


def alone(tiny_model: Path, **models: Any) -> dict[str, Any]:
    """A recipe that trains nothing."""
    data = small_recipe(tiny_model)
    kept = {key: data[key] for key in ("study", "model", "evaluation")}
    return kept | {"languages": ["en", "fr"], "models": models}


def random_adapter(model: Path, folder: Path) -> Path:
    """A LoRA adapter that PEFT wrote, which changes what the model says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=64, target_modules="all-linear", init_lora_weights=False)
    peft_model = get_peft_model(AutoModelForCausalLM.from_pretrained(model), config)
    peft_model.save_pretrained(str(folder))
    return folder


def changed_model(model: Path, folder: Path) -> Path:
    """Another whole model."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] *= -1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_adapter(tiny_model, tmp_path_factory.mktemp("adapter") / "someones")


@pytest.fixture(scope="module")
def other(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return changed_model(tiny_model, tmp_path_factory.mktemp("other") / "model")


@pytest.fixture(scope="module")
def server() -> Iterator[JudgeServer]:
    def write(number: int, question: str) -> Answer:
        return Answer(
            text="The answer is 7.", usage=None if number == 0 else {"prompt_tokens": 9, "completion_tokens": 5}
        )

    with judge_server(write) as served:
        yield served


@pytest.fixture(scope="module")
def study(
    tiny_model: Path, adapter: Path, other: Path, server: JudgeServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, str]:
    """A recipe of an adapter, a folder and an endpoint, its runs folder after `harness run`, and what was printed."""
    folder = tmp_path_factory.mktemp("alone")
    data = alone(
        tiny_model,
        someones={"adapter": str(adapter)},
        other=str(other),
        remote={"endpoint": server.endpoint, "model": "remote-1"},
    )
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(data))
    run = harness("run", recipe, "--runs", folder / "runs")
    assert run.returncode == 0, run.stderr
    return recipe, folder / "runs", run.stdout + run.stderr


def test_all_are_rows_of_the_study(study: tuple[Path, Path, str], server: JudgeServer) -> None:
    _, runs, printed = study
    scores = pl.read_parquet(runs / "small" / "scores.parquet")
    assert scores["cell"].unique(maintain_order=True).to_list() == MODELS
    predictions = pl.read_parquet(runs / "small" / "predictions.parquet")
    assert predictions.group_by("cell").len()["len"].to_list() == [ITEMS] * 4
    written = {cell: part["completion"].to_list() for (cell,), part in predictions.group_by("cell")}
    assert written["base"] != written["someones"] != written["other"] and set(written["remote"]) == {"The answer is 7."}
    tokens = predictions.filter(cell="remote")["tokens"].to_list()
    assert sorted(tokens, key=lambda count: count or 0) == [None] + [5] * (ITEMS - 1), "what is not said is blank"
    assert len(server.requests) == ITEMS
    request = server.requests[0]
    assert request["temperature"] == 0 and request["max_tokens"] == 8 and "seed" not in request
    assert request["model"] == "remote-1" and [turn["role"] for turn in request["messages"]] == ["user"]
    weights = dict(scores.select("cell", "weights").unique().iter_rows())
    assert weights["remote"] == f"remote-1 at {server.endpoint}" and weights["base"].startswith("sha256:")
    verdicts = json.loads((runs / "small" / "evaluation" / "canary.json").read_text())
    assert {name: verdict["passed"] for name, verdict in verdicts.items()} == dict.fromkeys(MODELS[:3], True)
    assert "evaluation alone" in printed


def test_the_report_compares_them_with_the_base_and_speaks_of_no_mixtures(study: tuple[Path, Path, str]) -> None:
    recipe, runs, _ = study
    compared = pl.read_csv(runs / "small" / "comparisons.csv").select("cell", "other").unique().sort("cell")
    assert compared.rows() == [(name, "base") for name in ("other", "remote", "someones")]
    page = (runs / "small" / "report.html").read_text()
    text = page[page.index("<main") if "<main" in page else 0 :]
    assert "3 models and the untuned model" in page and "Trained on" not in text.replace("trained on", "")
    assert "Models are compared as they are" in page
    assert all(name in page for name in MODELS)
    status = json.loads(harness("status", recipe, "--runs", runs, "--json").stdout)
    assert [(cell["name"], cell["state"], cell["scored"]) for cell in status["cells"]] == [
        ("base", "untuned", ITEMS), *((name, "from elsewhere", ITEMS) for name in MODELS[1:])
    ]  # fmt: skip
    assert harness("compare", recipe, "someones", "other", "--runs", runs).returncode == 0


def test_nothing_is_asked_twice_and_changed_weights_are_evaluated_anew(
    study: tuple[Path, Path, str], server: JudgeServer, adapter: Path, tiny_model: Path, other: Path, tmp_path: Path
) -> None:
    recipe, runs, _ = study
    again = harness("run", recipe, "--runs", runs)
    assert again.returncode == 0 and "all there already" in again.stderr and len(server.requests) == ITEMS
    shutil.copytree(runs, tmp_path / "runs")
    data = json.loads(recipe.read_text())
    data["models"]["someones"] = str(other)
    (tmp_path / "recipe.yaml").write_text(json.dumps(data))
    report = harness("report", tmp_path / "recipe.yaml", "--runs", tmp_path / "runs")
    assert "scores of other weights are left out: someones" in report.stdout + report.stderr


def test_cells_may_name_them(study: tuple[Path, Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is named is evaluated, and no other model; an endpoint, which may cost money, is asked where it is named."""
    recipe, runs, _ = study
    planned, wanted, asked = Study(recipe, runs), list[str](), list[str]()
    monkeypatch.setattr(
        evaluation, "told_missing", lambda parts, _: wanted.extend(m.name for p in parts for m in p.models)
    )
    monkeypatch.setattr(evaluation, "ask", lambda endpoint, _: asked.append(endpoint.name))
    monkeypatch.setattr(evaluation, "write_tables", lambda *_: None)
    for names, models, endpoints in (
        ("oth*", ["other"], []), ("remote", [], ["remote"]), ("base,rem*", ["base"], ["remote"]),
        (None, MODELS[:3], ["remote"]),
    ):  # fmt: skip
        evaluation.evaluate_cells(planned, names)
        assert (wanted, asked) == (models, endpoints)
        wanted.clear()
        asked.clear()
    with pytest.raises(
        UserError, match=r"--cells: no cell or model 'remoet'; did you mean 'remote'\? \(allowed: base, ot"
    ):
        evaluation.evaluate_cells(planned, "remoet")


def test_the_forecast_counts_the_requests_of_an_endpoint(
    study: tuple[Path, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, runs, _ = study
    planned = planned_study(recipe, runs)
    assert requests_left(planned, planned.choice(None)) == {}, "all there already"
    monkeypatch.setattr("harness.training.forecast.completions_there", lambda _: Counter({("other", "gone"): 3}))
    assert requests_left(planned, planned.choice("oth*")) == {}
    plan = ("plan", recipe, "--runs", runs, "--cells", "remote")
    told = f"Requests: {ITEMS} to the endpoint of remote; how long it takes for them cannot be told from here"
    assert told in " ".join(harness(*plan).stdout.split())
    assert json.loads(harness(*plan, "--json").stdout)["time"]["requests"] == {"remote": ITEMS}


def test_beside_cells_they_are_rows_that_no_finding_is_of(tiny_model: Path, adapter: Path, tmp_path: Path) -> None:
    data = small_recipe(tiny_model) | {"models": {"someones": {"adapter": str(adapter)}}}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(data))
    study = Study(recipe, tmp_path / "runs")
    assert list(study.design.settings) == ["amount-0", "amount-3"] and study.design.base_of("someones") == "base"
    assert [host.name for host in study.hosts] == ["base"], "the adapter is served beside the cells'"
    assert study.choice("amount-3") == Choice(frozenset({"amount-3"}), frozenset({"base"}), frozenset())
    assert study.choice("some*") == Choice(frozenset(), frozenset(), frozenset({"someones"}))
    fingerprints = [plan.run.identity for plan in study.plans]
    recipe.write_text(json.dumps(small_recipe(tiny_model)))
    assert fingerprints == [plan.run.identity for plan in Study(recipe, tmp_path / "runs").plans]


def test_an_endpoint_that_refuses_is_said_at_its_key(tiny_model: Path, tmp_path: Path) -> None:
    with judge_server(lambda *_: refusal(401, "wrong key")) as refusing:
        data = alone(tiny_model, remote={"endpoint": refusing.endpoint, "model": "m", "api_key_variable": "NO_KEY"})
        del data["model"]
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(json.dumps(data))
        refused = harness("run", recipe, "--runs", tmp_path / "runs")
    assert refused.returncode == 2
    assert "models.remote.endpoint: " in refused.stderr and "NO_KEY, which is not set" in refused.stderr


@pytest.mark.parametrize(
    ("models", "told"),
    [
        ({"a": {}}, "models.a: give one of name"),
        ({"a": {"name": "x", "endpoint": "http://h/v1"}}, "models.a: got name and endpoint; give one of"),
        ({"a": {"name": "x", "base": "y"}}, "models.a.base: does not go with name; remove it"),
        ({"a": {"endpoint": "http://h/v1"}}, "models.a.model: missing; add the endpoint's name"),
        ({"a": {"endpoint": "ftp://h", "model": "m"}}, "models.a.endpoint: got 'ftp://h'"),
        ({"../a": "x"}, r"models.../a: got '../a'; a name is of letters"),
        ({"base": "x"}, "models.base: 'base' is taken"),
        ({"a": {"adapter": "x", "revision": "r"}}, "models.a.revision: is of a base"),
    ],
)
def test_models_that_make_no_sense(models: dict[str, Any], told: str, tiny_model: Path) -> None:
    with pytest.raises(UserError) as refused:
        parse_recipe(alone(tiny_model, **models))
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"training": {"epochs": 1}}, "mixture: missing; add this key"),
        ({"grid": {"seed": {"path": "training.seed", "values": [0]}}}, "grid: goes with training"),
        ({"languages": {"pivot": "en"}}, "languages: names no language"),
        ({"model": None, "models": {}}, "model: missing; add this key, or name models"),
    ],
)
def test_half_a_recipe(changed: dict[str, Any], told: str, tiny_model: Path) -> None:
    data = alone(tiny_model, a="x") | changed
    with pytest.raises(UserError) as refused:
        parse_recipe(data)
    assert told in str(refused.value)
    assert cells_of(parse_recipe(alone(tiny_model)), {}) == []


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"peft_type": "IA3"}, "is of the kind 'IA3', and LORA is what engines serve"),
        ({"r": 4096}, "has the rank '4096', and a rank is 1 to 512"),
        ({"r": "8"}, "has the rank '8'"),
        ({"use_dora": True}, "is a DoRA adapter"),
        ({"modules_to_save": ["lm_head"]}, "holds whole layers beside LoRA's"),
        ({"bias": "all"}, "trains biases too"),
        (None, "is no JSON object"),
        ("pickle", "holds pickled weights (*.bin), which can run code when they are read"),
        ("cut", "is cut off, or no safetensors file"),
        ("none", "holds no adapter of PEFT's"),
        ("nowhere", "no folder"),
    ],
)
def test_adapters_that_cannot_be_served(
    config: Any, told: str, adapter: Path, tiny_model: Path, tmp_path: Path
) -> None:
    from harness.models.adapters import find_adapter

    folder = tmp_path / "adapter"
    if config != "nowhere":
        shutil.copytree(adapter, folder)
    path, tensors = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    if isinstance(config, dict):
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
    elif config is None:
        path.write_text("[1]")
    elif config == "pickle":
        tensors.rename(folder / "adapter_model.bin")
    elif config == "cut":
        tensors.write_bytes(tensors.read_bytes()[:-9])
    elif config == "none":
        tensors.unlink()
    with pytest.raises(UserError, match=r"models\.a\.adapter") as refused:
        find_adapter(str(folder), "models.a.adapter")
    assert told in str(refused.value)
