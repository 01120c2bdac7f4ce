"""A model behind a real `vllm serve` writes what the same model writes in an engine here."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.support import free_port, harness, kill_with_children
from tests.test_outside import MODELS, alone, changed_model, random_adapter

pytest.importorskip("vllm")


@pytest.fixture(scope="module")
def chat_model(tiny_model: Path, chat_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a chat template, which begins a prompt with BOS: no server adds it by itself."""
    folder = tmp_path_factory.mktemp("chat") / "tiny"
    shutil.copytree(tiny_model, folder)
    tokenizer = copy.deepcopy(chat_tokenizer)
    tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def endpoint(chat_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that has loaded it."""
    port = free_port()
    options = ("--host", "127.0.0.1", "--port", str(port), "--served-model-name", "served", "--dtype", "float32")
    server_of_vllm = "vllm.entrypoints.openai.api_server"  # what `vllm serve` starts, which wheels for CPUs cannot
    command = [sys.executable, "-m", server_of_vllm, "--model", str(chat_model), *options, "--enforce-eager"]
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    log = tmp_path_factory.mktemp("served") / "log.txt"
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file, env=environment) as server:
        while not answers(f"http://127.0.0.1:{port}/health"):
            assert server.poll() is None, log.read_text()[-3000:]
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
        kill_with_children(server)


def answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(address).status == 200
    except (urllib.error.URLError, ConnectionError):
        return False


def test_an_adapter_a_folder_and_a_served_model_are_reported(chat_model: Path, endpoint: str, tmp_path: Path) -> None:
    data = alone(
        chat_model,
        someones={"adapter": str(random_adapter(chat_model, tmp_path / "adapter"))},
        other=str(changed_model(chat_model, tmp_path / "other")),
        remote={"endpoint": endpoint, "model": "served"},
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(data))
    run = harness("run", recipe, "--runs", tmp_path / "runs")
    assert run.returncode == 0, run.stderr
    study = tmp_path / "runs" / "small"
    predictions = pl.read_parquet(study / "predictions.parquet").sort("task", "language", "item")
    written = {cell: predictions.filter(cell=cell)["completion"].to_list() for cell in MODELS}
    for here, served in zip(written["base"], written["remote"], strict=True):
        # random tokens leave characters unfinished, whose end a server holds back
        assert len(served) >= len(here) / 2 and here.startswith(served.rstrip("\ufffd"))
    assert written["other"] != written["base"] != written["someones"]
    assert all(count is not None for count in predictions.filter(cell="remote")["tokens"])
    assert "3 models and the untuned model" in (study / "report.html").read_text()
