"""Prompts in one language with targets in another, and translations, from the translations of an item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data_mixes.mixture import Component, Orders, allot, materialise
from data_mixes.order import key_of
from data_mixes.pairs import TRANSLATION, Variant
from data_mixes.prompt_words import ANSWERS, PROMPTS, RESPONSE_LANGUAGE, task_prompt
from data_mixes.sources import SOURCES
from harness.planning.study import Study

LANGUAGES = ["en", "es", "fr", "ja", "zh"]
PAIRS = st.permutations(LANGUAGES).map(lambda order: (order[0], order[1]))


@settings(deadline=None, max_examples=30)
@given(PAIRS, st.sampled_from(["word-problems", "notices", "instructions"]), st.booleans())
def test_a_pair_is_made_of_two_translations_of_one_item(pair: tuple[str, str], source: str, translates: bool) -> None:
    asked, answered = pair
    pool = Variant(answered, asked, translates).pool(SOURCES[source], "train")
    for row in pool.examples(range(5)):
        prompt, target = (
            SOURCES[source]
            .pool("train", language)
            .examples(np.flatnonzero(SOURCES[source].pool("train", language).items == key_of(row.item_id)))[0]
            for language in pair
        )
        assert (row.prompt_language, row.language) == pair
        assert row.prompt == prompt.prompt
        assert row.target == (target.prompt if translates else target.target)
        assert row.task == (TRANSLATION if translates else SOURCES[source].task)


def test_english_to_others_others_to_english_and_others_to_others_share_their_items() -> None:
    others = ["es", "fr", "ja"]
    variants = {
        "en>x": [Variant(language, "en") for language in others],
        "x>en": [Variant("en", language) for language in others],
        "x>y": [Variant(one, other) for one in others for other in others if one != other],
        "translated": [Variant(language, "en", True) for language in others],
        "x>x": [Variant(language) for language in others],
    }
    components = [Component(name, [SOURCES["instructions"]], each, amount=7) for name, each in variants.items()]
    orders = Orders(components)
    rows = list(materialise(allot(components, orders), components, orders, 0))
    assert Counter((row.prompt_language, row.language, row.task) for row in rows) == Counter(
        {
            (each.prompt_language, each.language, TRANSLATION if each.translates else "instructions"): 7
            for part in variants.values()
            for each in part
        }
    )
    assert len({row.item_id for row in rows}) == 7 and len({row.id for row in rows}) == len(rows)


def test_the_prompt_names_the_language_and_the_marker_of_the_answer() -> None:
    (row,) = Variant("ja", "fr").pool(SOURCES["word-problems"], "train").examples([0])
    text = task_prompt(row)
    assert text.startswith("Problème : ") and "\nLangue de la réponse : japonais\n" in text
    assert "« 答えは »" in text and row.target.endswith(f"\n答えは{row.answer}です。")
    (row,) = Variant("zh", "en", True).pool(SOURCES["notices"], "train").examples([0])
    assert task_prompt(row).endswith("\nTranslation (Chinese):\n")


def test_every_language_has_words_for_every_task() -> None:
    for task, words in PROMPTS.items():
        assert set(words) == set(ANSWERS) == set(RESPONSE_LANGUAGE) and len(words) == 27, task
        for language, text in words.items():
            assert text.count("{prompt}") == 1 and text.endswith("\n") and not text.endswith("\n\n"), (task, language)


def test_pairs_in_a_recipe(recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe_data["mixture"] = {
        "english": {"sources": ["instructions"], "languages": ["en"], "amount": 4},
        "crossed": {"sources": ["instructions"], "prompts_in": ["en", "fr"], "answers_in": ["fr", "en"], "amount": 3},
        "translated": {
            "sources": ["instructions"], "prompts_in": ["en"], "answers_in": ["fr"], "translate": True, "amount": 2,
        },
    }  # fmt: skip
    recipe_data["grid"] = {"translated": {"path": "mixture.translated.amount", "values": [0, 2]}}
    _, plan = Study(write_recipe(recipe_data), tmp_path).plans
    assert {each.variant: each.examples for each in plan.allotments} == {
        "en": 4, "en>fr": 3, "fr>en": 3, "en>fr translation": 2,
    }  # fmt: skip
    assert {(each.task, each.language): each.examples for each in plan.counts} == {
        ("instructions", "en"): 7, ("instructions", "fr"): 3, ("translation", "fr"): 2,
    }  # fmt: skip
