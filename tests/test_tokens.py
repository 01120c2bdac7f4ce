"""A row is tokenized once, whatever cell, study or process wants it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from data_mixes.prompts import Renderer
from data_mixes.sources import SOURCES
from data_mixes.tokens import Measures, TokenStore
from harness.planning.study import Study


def test_what_is_stored_is_what_was_rendered(tokenizer: Any, tmp_path: Path) -> None:
    renderer = Renderer(tokenizer, max_prompt_tokens=60)
    examples = SOURCES["notices"].pool("train", "ja").examples(range(30))
    store = TokenStore(tmp_path / "tokens.sqlite", renderer)
    fresh = store.render(examples)
    assert fresh == renderer.render_all(examples) and store.made == 30
    again = TokenStore(tmp_path / "tokens.sqlite", renderer)
    assert again.render(examples[::-1]) == fresh[::-1] and again.made == 0
    assert any(each.cut for each in fresh)


def test_other_words_or_another_tokenizer_is_another_store(tokenizer: Any, chat_tokenizer: Any) -> None:
    renderers = [Renderer(tokenizer), Renderer(chat_tokenizer), Renderer(tokenizer, max_prompt_tokens=9),
                 Renderer(tokenizer, words={"math": {"en": "{prompt}"}})]  # fmt: skip
    assert len({each.identity for each in renderers}) == 4
    assert Renderer(tokenizer).identity == renderers[0].identity


def test_a_torn_store_is_made_anew(tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "tokens.sqlite"
    path.write_bytes(b"this is no database" * 100)
    store = TokenStore(path, Renderer(tokenizer))
    assert len(store.render(SOURCES["notices"].pool("train", "en").examples([0]))) == 1


def test_costs_are_the_lengths_of_the_rows(tokenizer: Any, tmp_path: Path) -> None:
    measures = Measures(TokenStore(tmp_path / "tokens.sqlite", Renderer(tokenizer)))
    pool = SOURCES["word-problems"].pool("train", "fr")
    places = np.array([5, 3, 5])
    rendered = Renderer(tokenizer).render_all(pool.examples(places))
    assert measures.costs(pool, places, "tokens").tolist() == [each.tokens for each in rendered]
    assert measures.costs(pool, places, "supervised_tokens").tolist() == [each.supervised_tokens for each in rendered]


def test_a_second_cell_or_study_tokenizes_nothing_again(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    recipe_data["grid"]["amount"]["values"] = [3, 5]
    study = Study(write_recipe(recipe_data), tmp_path / "runs")
    small, large = study.plans
    shared = {row.id for row in small.rows} & {row.id for row in large.rows}
    assert len(shared) == len(small.rows) == 16
    assert study.bases[0].tokens.made == len(large.rows) == 20
    again = Study(write_recipe(recipe_data | {"study": "another"}), tmp_path / "runs")
    assert [plan.lengths.content.tolist() for plan in again.plans] == [
        plan.lengths.content.tolist() for plan in study.plans
    ]
    assert again.bases[0].tokens.made == 0
