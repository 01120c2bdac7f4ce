"""What models see: shown by harness plan, and kept of every test prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_mixes.example import Exchange
from data_mixes.prompts import Renderer
from eval.generation.requests import Evaluation
from eval.predictions_and_scores import prompts_table
from tests.support import harness
from tests.test_conversations import CHAT, CONVERSATION
from tests.test_evaluate import evaluation  # noqa: F401  # a fixture

Write = Callable[[dict[str, Any]], Path]


def shown(recipe: Path, runs: Path, *options: str) -> list[dict[str, Any]]:
    done = harness("plan", recipe, "--runs", runs, "--show-rows", 2, "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["rendered"]


def test_rows_are_shown_by_task_and_language_with_what_is_supervised(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe(recipe_data)
    rows = shown(recipe, tmp_path / "runs")
    counted = pl.DataFrame(rows).group_by("kind", "task", "language").len()
    assert {tuple(row) for row in counted.iter_rows()} == {
        *((("training", task, language, 2)) for task in ("math", "instructions") for language in ("en", "fr")),
        *((("test", task, language, 2)) for task in ("math", "instructions") for language in ("en", "fr", "ja")),
    }
    for row in rows:
        prompt, *completion = row["parts"]
        assert prompt["text"].startswith("<bos>") and not prompt["supervised"]
        if row["kind"] == "training":
            assert [part["supervised"] for part in completion] == [True] and completion[0]["text"].endswith("<eos>")
        else:
            assert not completion
    text = harness("plan", recipe, "--runs", tmp_path / "runs", "--show-rows", 1).stdout
    assert text.count("⟦") == 1 + 4 and text.count("<eos>⟧") == 4 and "training row: math, fr" in text
    only_english = shown(recipe, tmp_path / "runs", "--cells", "amount-0")
    assert {row["language"] for row in only_english if row["kind"] == "training"} == {"en"}


def test_every_supervised_turn_of_a_conversation_is_marked(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    turns = [{"role": role, "content": f"{role} {turn}"} for turn in (1, 2) for role in ("user", "assistant")]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps({"turns": turns, "id": f"{n}"}) + "\n" for n in range(4)))
    recipe_data["prompts"] = {"chat_template": CHAT, "supervise": "every"}
    recipe_data["sources"] = {
        "chats": {"task": "instructions", "languages": ["fr"], "files": "chats.jsonl",
                  "columns": {"conversation": "turns", "id": "id"}},
    }  # fmt: skip
    recipe_data["mixture"]["others"]["sources"] = ["chats"]
    recipe_data["evaluation"] |= {"tasks": ["math"], "max_tokens": {"math": 8}}
    rows = [row for row in shown(write_recipe(recipe_data), tmp_path / "runs") if row["source"] == "chats"]
    assert [[part["text"] for part in row["parts"] if part["supervised"]] for row in rows] == [
        ["assistant 1<eos>", "assistant 2<eos>"]
    ] * 2


def test_prompts_are_kept_once_as_models_get_them(evaluation: Evaluation) -> None:  # noqa: F811
    table = prompts_table(evaluation)
    assert table.height == 8, "four items in two languages, whatever the number of models"
    for tested in evaluation.evaluation_sets:
        kept = table.filter(language=tested.language)
        assert kept["rendered"].to_list() == [
            "<bos>" + evaluation.renderer.prompt_text(example) for example in tested.examples
        ]
        assert kept["item"].to_list() == [example.item_id for example in tested.examples]
        assert kept["messages"].null_count() == 4


@pytest.mark.parametrize("limit", [None, 60])
def test_prompts_of_a_chat_are_kept_as_messages_with_exemplars(
    limit: int | None,
    evaluation: Evaluation,  # noqa: F811
    tokenizer: Any,
) -> None:
    renderer = Renderer(tokenizer, CHAT, max_prompt_tokens=limit)
    example = replace(CONVERSATION, prompt="And now? " * 20, history=(Exchange("Two?", "2."), *CONVERSATION.history))
    tested = replace(evaluation.evaluation_sets[0], examples=(example,))
    put = replace(
        evaluation, evaluation_sets=[tested], renderer=renderer, rendered=lambda of: renderer.prompts(of.examples)
    )
    (row,) = prompts_table(put).iter_rows(named=True)
    messages = json.loads(row["messages"])
    assert messages[0] == {"role": "system", "content": "Be kind."}
    assert row["rendered"] == "<bos>" + tokenizer.apply_chat_template(
        messages, chat_template=CHAT, tokenize=False, add_generation_prompt=True
    )
    if limit is None:
        assert row["shortened"] == 0 and [turn["content"] for turn in messages[1:3]] == ["Two?", "2."]
    else:
        assert row["shortened"] > 0 and len(messages) < 8 and messages[-1]["content"].startswith("And no")
