"""Recipes, templates and models that are broken or hostile: a line each, no traceback, no hang."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.models import base
from harness.models.broken import broken_files
from harness.recipe.schema import Training
from harness.training.batches import micro_batch_of
from tests.attacks import mutated_recipes, no_hang
from tests.support import Ended, harness
from tests.test_recipe import changed

LONGEST_LINE = 700


@pytest.fixture
def rich_recipe(recipe_data: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A recipe with nearly every key, so that there is something to mutate."""
    rows = [{"prompt": f"Say {number}", "target": f"{number}", "id": f"{number}"} for number in range(9)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "published.csv").write_text("task,language,score,x\nmath,en,0.5,3\n")
    data = recipe_data
    data["model"] |= {"revision": None, "trust_remote_code": False}
    data["adapter"] = {"rank": 4, "alpha": 8, "dropout": 0.0, "targets": ["q_proj", "v_proj"]}
    data["training"] |= {"schedule": "linear", "warmup_steps": 1, "weight_decay": 0.0, "long_rows": "drop", "seed": 1}
    data["languages"] |= {"groups": {"both": ["fr", "ja"]}, "pivot": "en"}
    own = {"task": "instructions", "languages": ["fr"], "files": str(tmp_path / "own.jsonl"), "columns": {"id": "id"}}
    data["sources"] = {"own": own}
    data["mixture"]["others"] |= {"sources": ["own"], "unit": "examples", "items": "independent", "max_repeats": 1}
    data["mixture"]["third"] = {"sources": ["word-problems"], "languages": ["fr"], "total": 3, "temperature": 1.0}
    few_shot = {"math": {"shots": 1, "seed": 0}}
    words = {"math": {"fr": "Combien ? {prompt}"}}
    data["prompts"] = {"words": words, "max_tokens": 300, "few_shot": few_shot}
    data["leakage"] = {"items": "drop", "text": "drop", "near": "drop", "similarity": 0.9}
    data["evaluation"] |= {
        "decoding": {"math": {"stop": ["\n"]}},
        "split": "test",
        "primary": {"math": "unseen"},
        "base": True,
    }
    data["reference"] = [{"name": "published", "file": str(tmp_path / "published.csv"), "x": "x"}]
    return data


def refused(ended: Ended, *said: str) -> None:
    """Checks that a command ended with a line for the user."""
    assert ended.returncode in (1, 2), ended.stderr
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert errors and all(len(line) < LONGEST_LINE for line in errors)
    for words in said:
        assert words in ended.stderr, ended.stderr


def test_fifty_mutated_recipes_are_planned_or_refused_in_lines(rich_recipe: dict[str, Any], tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    ends: dict[int, int] = {}
    for told, text in mutated_recipes(rich_recipe, 50, seed=14):
        recipe.write_bytes(text)
        try:
            with no_hang(60):
                ended = harness("plan", recipe, "--runs", tmp_path / "runs", "--json")
        except BaseException as error:
            raise AssertionError(told) from error
        ends[ended.returncode] = ends.get(ended.returncode, 0) + 1
        if ended.returncode:
            assert ended.stderr.startswith("error: ") or "\nerror: " in ended.stderr, told
            assert all(len(line) < LONGEST_LINE for line in ended.stderr.splitlines()), told
    assert set(ends) == {0, 2}, ends


def nested(levels: int) -> str:
    return "a: " + "[" * levels + "]" * levels


TEXTS = [
    ("study: !!bool maybe", "not valid YAML: a tag such as !!bool or !!int has a value that does not fit it"),
    ("study: !!int many", "not valid YAML"),
    ("study: !!float many", "not valid YAML"),
    ("study: !!timestamp soon", "not valid YAML"),
    ("study: !!python/object/apply:os.system ['touch owned']", "not valid YAML"),
    ("study: &a [*a]", "with every alias (*name) written out it has more than"),
    ("\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20))]), "alias"),
    (nested(1500), "is nested too deeply"),
    ("x" * 1_000_001, "at most 1,000,000"),
    ("- study", "a recipe is a mapping of keys"),
    ("", "a recipe is a mapping of keys"),
    ("study: \x00", "not valid YAML"),
]


@pytest.mark.parametrize(("text", "said"), TEXTS, ids=[text[:30] for text, _ in TEXTS])
def test_yaml_that_is_no_recipe(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with no_hang(60):
        refused(harness("plan", tmp_path / "recipe.yaml"), said)


@pytest.mark.parametrize("name", ["/dev/zero", "pipe", "folder", "absent", "x" * 300])
def test_only_regular_files_are_opened_as_recipes(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with no_hang(20):
        refused(harness("plan", tmp_path / name), "cannot read the recipe")


PATHS = (
    "model.name", "mixture", "sources.own.files", "sources.own.hub", "reference.0.file", "evaluation.lm_eval_folder",
    "prompts.chat_template", "study",
)  # fmt: skip
NAMES = ("x" * 300, "~nobody-of-this-name/x", "/dev/zero", "a\0b", "%7B{language}*?[x]", "no/no/no", "")


@pytest.mark.parametrize("path", PATHS)
def test_names_that_lead_nowhere(
    path: str, rich_recipe: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    for name in NAMES if path != "evaluation.lm_eval_folder" else NAMES[:-1]:  # "" is the recipe's own folder
        data = changed(rich_recipe, path, name)
        if path == "sources.own.hub":
            data["sources"]["own"] |= {"revision": "main"}
            del data["sources"]["own"]["files"]
        with no_hang(60):
            ended = harness("plan", write_recipe(data), "--runs", tmp_path / "runs", "--json")
        refused(ended)


SIZES = [
    ("training.global_batch", 10**9), ("training.global_batch", 10**40), ("training.seed", 10**15),
    ("evaluation.max_tokens", {"math": 10**9}), ("adapter.alpha", 10**12), ("evaluation.items", 2**31),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), SIZES)
def test_sizes_beyond_what_can_be_counted(
    path: str, value: Any, recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path]
) -> None:
    refused(harness("plan", write_recipe(changed(recipe_data, path, value))), "should be at most")


@pytest.mark.parametrize(("key", "value"), [("epochs", 10**6), ("steps", 10**9), ("supervised_tokens", 10**9)])
def test_more_rows_than_can_be_planned(
    key: str, value: int, recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    del recipe_data["training"]["epochs"]
    recipe_data["training"][key] = value
    with no_hang(60):
        refused(harness("plan", write_recipe(recipe_data), "--runs", tmp_path), f"training.{key}: got {value:,}, which")


def test_a_huge_micro_batch_is_the_whole_share_of_the_global_batch() -> None:
    training = Training(epochs=1, global_batch=12, micro_batch=2**31 - 1)
    with no_hang(20):
        assert micro_batch_of(training, 1) == 12 and micro_batch_of(training, 4) == 3


TEMPLATES = [
    ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}{{ '' }}", "is not done"),
    ("{% set s = namespace(x='a' * 999) %}{% for a in range(40) %}{% set s.x = s.x ~ s.x %}{% endfor %}{{ s.x }}",
     "more than 1 GiB of memory"),
    ("{{ 10 ** 10 ** 10 }}", "computes powers"),
    ("{{ 'a' * 10 ** 12 }}", "computes powers"),
    ("{{ 'a' * 999999999999 }}", "the chat template"),
    ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "the chat template refuses"),
    ("{% for a in range(10 * 999999999) %}{% endfor %}{{ 1 }}", "the chat template refuses"),
    ("{{ 1 / 0 }}", "the chat template refuses"),
    ("{{ messages[99].content }}", "the chat template"),
    ("{{ ''.__class__.__mro__ }}", "the chat template"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "said"), TEMPLATES, ids=[said + str(n) for n, (_, said) in enumerate(TEMPLATES)])
def test_chat_templates_that_do_not_end_or_raise(
    template: str,
    said: str,
    recipe_data: dict[str, Any],
    write_recipe: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("data_mixes.limits.SECONDS", 1.0)
    recipe_data["prompts"] = {"chat_template": template}
    with no_hang(120):
        refused(harness("plan", write_recipe(recipe_data), "--runs", tmp_path), said)


def as_list(config: dict[str, Any]) -> Any:
    return [config]


def with_entries(**entries: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda config: config | entries


CONFIGS = [
    (as_list, "is no JSON object"),
    (with_entries(hidden_size=-64), "hidden_size is -64, and a size is positive"),
    (with_entries(vocab_size=0), "vocab_size is 0, and a size is positive"),
    (with_entries(text_config={"num_hidden_layers": -2}), "text_config.num_hidden_layers is -2"),
    (with_entries(torch_dtype="no-dtype"), "torch_dtype is 'no-dtype', which is no number format"),
    (with_entries(dtype=7), "dtype is 7, which is no number format"),
]


@pytest.fixture
def model_copy(tiny_model: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_model, tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(("change", "said"), CONFIGS, ids=[said for _, said in CONFIGS])
def test_configurations_that_are_none(
    change: Callable[[dict[str, Any]], Any],
    said: str,
    model_copy: Path,
    recipe_data: dict[str, Any],
    write_recipe: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
) -> None:
    config = model_copy / "config.json"
    config.write_text(json.dumps(change(json.loads(config.read_text()))))
    recipe_data["model"]["name"] = str(model_copy)
    refused(harness("plan", write_recipe(recipe_data), "--runs", tmp_path / "runs"), said)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("kind", ["half", "empty", "pipe", "device", "garbage"])
def test_files_of_a_model_that_are_broken_or_no_files(
    name: str,
    kind: str,
    model_copy: Path,
    recipe_data: dict[str, Any],
    write_recipe: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
) -> None:
    path = model_copy / name
    content = path.read_bytes()
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes({"half": content[: len(content) // 2], "empty": b"", "garbage": bytes(range(256))}[kind])
    recipe_data["model"]["name"] = str(model_copy)
    with no_hang(60):
        refused(harness("plan", write_recipe(recipe_data), "--runs", tmp_path / "runs"), "error: model.name: ")


def test_a_whole_model_has_nothing_wrong(tiny_model: Path) -> None:
    assert not list(broken_files(tiny_model, sorted(tiny_model.glob("*.safetensors"))))
    assert base.find_model(str(tiny_model), None).identity.startswith("sha256:")


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv"])
def test_a_bomb_of_one_line_is_refused_by_its_size(
    suffix: str,
    rich_recipe: dict[str, Any],
    write_recipe: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("data_mixes.reading.arrays.LONGEST_ROW", 1 << 20)
    begin = {".jsonl": b'{"prompt": "', ".json": b'[{"prompt": "'}.get(suffix, b'prompt,target,id\n"')
    begin = begin.replace(b",", b"\t") if suffix == ".tsv" else begin
    path = tmp_path / f"bomb{suffix}.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(begin)
        for _ in range(8):
            file.write(b"0" * (1 << 20))
    rich_recipe["sources"]["own"]["files"] = str(path)
    with no_hang(60):
        ended = harness("plan", write_recipe(rich_recipe), "--runs", tmp_path / "runs")
    refused(ended, "is longer than 1,048,576 characters")
