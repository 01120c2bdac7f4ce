"""A tiny model made on the spot, and recipes that use it."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support import embedded, leave_modules_out_of_collections, small_recipe

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several processes test: their threads would wait for one another
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
settings.register_profile("machines-are-noisy", deadline=None)
settings.load_profile("machines-are-noisy")

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


SLOW = {
    "test_attack_recipes", "test_bases", "test_card", "test_checkpoints", "test_curves", "test_damage",
    "test_engine_judge", "test_engines", "test_export", "test_families", "test_fetch", "test_forecast",
    "test_four_bits", "test_full_tuning", "test_generated", "test_ifeval", "test_inside", "test_interrupts",
    "test_judge_study", "test_kept_steps", "test_lm_eval", "test_made_before", "test_matrix", "test_micro_batches",
    "test_mothello", "test_noise", "test_objectives", "test_odd_machines", "test_othello_model", "test_outside",
    "test_own_groups", "test_own_objective", "test_page", "test_planned", "test_reinitialise",
    "test_representations", "test_score_command", "test_selection", "test_sharding", "test_slurm_and_ray",
    "test_sources", "test_stages", "test_stats", "test_study", "test_suites", "test_training", "test_transfer",
    "test_transfer_study", "test_vllm_serve", "test_workers",
}  # fmt: skip
"""Files whose tests start processes or an engine, train, or simulate for long; `make test-fast` leaves them out."""


SLOWEST = (
    "test_study", "test_sharding", "test_workers", "test_page", "test_suites", "test_interrupts", "test_training",
    "test_stages", "test_vllm_serve", "test_fetch", "test_damage", "test_generated",
)  # fmt: skip
"""Files that take half a minute and more, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of slow files, and begins with the longest, so that all processes end at about the same time."""
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker(pytest.mark.slow)
    ranks = {name: rank for rank, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: (ranks.get(item.path.stem, len(ranks)), item.path.stem not in SLOW))


DRAWN = {"test_finite", "test_mothello", "test_page", "test_report", "test_study"}
"""Files whose tests look at figures for papers."""


@pytest.fixture(autouse=True, scope="module")
def _figures_for_papers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Writes empty figures where no test looks at them: drawing those of one report takes most of a second."""
    with pytest.MonkeyPatch.context() as patched:
        if request.path.stem not in DRAWN:
            patched.setattr(
                "eval.report.files.drawn", lambda shown: {f"{each.name}.svg": b"" for each in shown.pictures}
            )
        yield


def pytest_runtest_setup() -> None:
    leave_modules_out_of_collections()


def pytest_sessionfinish() -> None:
    gc.unfreeze()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says in a line how to have the tests run that want a browser."""
    skipped = terminalreporter.stats.get("skipped", [])
    if any("no chromium" in str(report.longrepr) for report in skipped):
        terminalreporter.write_line(
            "The report's page was not tested, for want of Chromium. To have it tested: "
            "sudo apt-get install chromium (macOS: brew install chromium), then make test"
        )


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A byte-level tokenizer of 700 tokens, with BOS, that does not add BOS by itself."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    texts = [
        example.prompt
        for source in embedded()
        for language in source.languages
        for example in source.pool("validation", language).examples(range(40))
    ]
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    special = ["<pad>", "<bos>", "<eos>", "<|user|>", "<|assistant|>", "<|end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    built.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=700, special_tokens=special, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(tokenizer_object=built, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")


@pytest.fixture(scope="session")
def chat_tokenizer(tokenizer: Any) -> Any:
    """The same with a chat template, whose turns end with <|end|>."""
    import copy

    chat = copy.deepcopy(tokenizer)
    chat.chat_template = CHAT_TEMPLATE
    chat.eos_token = "<|end|>"
    return chat


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A folder with a causal model of two layers and random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("model") / "tiny"
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _disks_are_not_waited_for() -> Iterator[None]:
    """Leaves out the wait for each file to be on the disk: no test cuts the power."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own, for the programs they start as well."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("HARNESS_CACHE")
    os.environ["HARNESS_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["HARNESS_CACHE"]
    else:
        os.environ["HARNESS_CACHE"] = before


@pytest.fixture
def recipe_data(tiny_model: Path) -> dict[str, Any]:
    """The data of a small study's recipe, to change at will."""
    return small_recipe(tiny_model)


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Writes recipe data as a file; JSON is YAML."""

    def write(data: dict[str, Any]) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    return write
