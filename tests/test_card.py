"""The card says what the data is; screening keeps out what is too long."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.planning.study import Study
from tests.support import harness

ENGLISH = "The harbour was closed on Monday because of the storm that came in from the sea."
FRENCH = "Le port a été fermé lundi à cause de la tempête qui est arrivée de la mer."


@pytest.fixture
def mixed(recipe_data: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Four rows said to be French: one that is English, one that reads like another, one with little to tell by."""
    rows = [
        {"language": "en", "text": ENGLISH, "summary": "The harbour was closed because of a storm."},
        {"language": "fr", "text": FRENCH, "summary": "Le port a été fermé à cause de la tempête."},
        {"language": "fr", "text": f"«{FRENCH.upper()}»", "summary": "le port a été fermé à cause de la tempête"},
        {"language": "fr", "text": ENGLISH + " Again.", "summary": "1, 2, 3"},
        {"language": "fr", "text": "2 + 2", "summary": "4"},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe_data["sources"] = {
        "mine": {
            "task": "summarization", "languages": ["en", "fr"], "files": "rows.jsonl",
            "columns": {"prompt": "text", "target": "summary", "language": "language"},
        }
    }  # fmt: skip
    recipe_data["mixture"] = {
        "french": {"sources": ["mine"], "languages": ["fr"], "amount": 7, "max_repeats": 2},
        "english": {"sources": ["mine"], "languages": ["en"], "amount": 1},
    }
    recipe_data["grid"] = {}
    return recipe_data


def test_the_card_counts_what_is_wrong_with_the_data(
    mixed: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    study = Study(write_recipe(mixed), tmp_path / "runs")
    (card,) = study.cards().values()
    english, french = card
    assert (french["rows"], french["items"], french["repeats"], french["duplicates"]) == (7, 4, 3, 1)
    assert (english["rows"], english["repeats"], english["duplicates"]) == (1, 0, 0)
    assert english["prompts_in_language"] == 1.0 and english["prompts_identified"] == 1
    rows = [row for row in study.plans[0].mixture if row.language == "fr"]
    told = [row for row in rows if sum(map(str.isalpha, row.prompt)) >= 20]
    assert french["prompts_identified"] == len(told)
    assert french["prompts_in_language"] == sum("port" in row.prompt.lower() for row in told) / len(told)
    assert french["tokens"] == sum(study.plans[0].lengths.tokens) - english["tokens"]
    tokenizer = study.bases[0].tokenizer
    tokens = sum(
        len(tokenizer.encode(text, add_special_tokens=False)) for row in rows for text in (row.prompt, row.target)
    )
    characters = sum(len(row.prompt) + len(row.target) for row in rows)
    assert french["fertility"] == pytest.approx(tokens / characters)
    assert list(french["lengths"]) == sorted(french["lengths"])


def test_the_card_is_printed_and_drawn(
    mixed: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    ran = harness("plan", write_recipe(mixed), "--runs", tmp_path / "runs", "--card")
    assert ran.returncode == 0, ran.stderr
    assert "mixture card: small" in ran.stdout and "of 6" in ran.stdout
    assert "small: rows repeated: mine fr up to 2 times" in ran.stdout
    drawn = (tmp_path / "runs" / "small" / "cards" / "small.svg").read_text(encoding="utf-8")
    assert drawn.startswith("<svg") and "supervised tokens" in drawn
    assert json.loads((tmp_path / "runs" / "small" / "cards" / "small.json").read_text())[1]["language"] == "fr"


def test_long_rows_are_refused_or_replaced_and_counted(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe_data["mixture"]["others"]["amount"] = 40
    recipe_data["grid"] = {"amount": {"path": "mixture.others.amount", "values": [10, 40]}}
    whole = Study(write_recipe(recipe_data), tmp_path / "whole").plans
    limit = sorted(whole[1].lengths.tokens.tolist())[-5]
    recipe_data["training"]["max_length"] = limit
    with pytest.raises(UserError, match=r"training.max_length: got .* rows? in fr .* up to .*long_rows: drop"):
        _ = Study(write_recipe(recipe_data), tmp_path / "refused").plans
    recipe_data["training"]["long_rows"] = "drop"
    study = Study(write_recipe(recipe_data), tmp_path / "dropped")
    small, large = study.plans
    assert max(large.lengths.tokens) <= limit
    assert [len(plan.rows) for plan in (small, large)] == [len(plan.rows) for plan in whole]
    assert {row.id for row in small.mixture} < {row.id for row in large.mixture}
    dropped = sum(each.count for each in study.dropped)
    too_long = int((whole[1].lengths.tokens > limit).sum())
    assert dropped >= too_long > 0 and dropped == study._screening.count
    assert all(each.reason == "longer than training.max_length" for each in study.dropped)


def test_shortened_texts_are_counted_per_language(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe_data["prompts"] = {"max_tokens": 100}
    plan = Study(write_recipe(recipe_data), tmp_path).plans[-1]
    assert max(plan.lengths.tokens - plan.lengths.supervised_tokens) <= 100
    shortened = {(each.task, each.language): each.shortened for each in plan.counts}
    assert sum(shortened.values()) == (plan.lengths.cut > 0).sum() > 0
