"""No row is trained on that is tested on: by item, by text, by nearly the same text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_mixes.leakage import Holdout, normalised, shingles
from data_mixes.mixture import BudgetError, Component, Orders, allot, materialise
from data_mixes.pairs import Variant
from data_mixes.reading.files import FileSource
from data_mixes.reading.table import Columns
from harness.errors import UserError
from harness.planning.study import Study

ARTICLES = {
    "en": "The town council met on Tuesday to discuss the new bridge over the river, and voted nine to two in favour.",
    "zh": "市议会星期二开会讨论了横跨河流的新桥梁，最终以九票赞成、两票反对的结果通过了建设计划，明年开工。",
    "th": "สภาเทศบาลประชุมเมื่อวันอังคารเพื่อหารือเรื่องสะพานใหม่ข้ามแม่น้ำและลงมติเห็นชอบด้วยคะแนนเก้าต่อสองเสียงในที่สุด",
}


def news(tmp_path: Path, name: str, rows: list[dict[str, str]], languages: tuple[str, ...]) -> FileSource:
    path = tmp_path / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    columns = Columns(prompt="text", target="summary", item="item", language="language")
    return FileSource(name, "summarization", languages, {"train": str(path), "test": str(path)}, columns)


def row(item: str, language: str, text: str) -> dict[str, str]:
    return {"item": item, "language": language, "text": text, "summary": "s"}


def found(tmp_path: Path, tested: str, trained: str, language: str, similarity: float = 0.8) -> list[str]:
    tests = news(tmp_path, "tests", [row("t", language, tested)], (language,)).pool("test", language).examples([0])
    pool = news(tmp_path, "news", [row("n", language, trained)], (language,)).pool("train", language)
    return [leak.kind for leak in Holdout(tests, similarity).leaks(pool, np.arange(1))]


@pytest.mark.parametrize("language", sorted(ARTICLES))
def test_the_same_text_in_another_dress_is_found(language: str, tmp_path: Path) -> None:
    text = ARTICLES[language]
    assert found(tmp_path, text, f"  «{text.upper()}»!! ", language) == ["text"]


@pytest.mark.parametrize("language", sorted(ARTICLES))
def test_nearly_the_same_text_is_found_in_every_script(language: str, tmp_path: Path) -> None:
    text = ARTICLES[language]
    assert found(tmp_path, text, text[:-4] + "xyz", language) == ["near"]
    assert found(tmp_path, text, text[: len(text) // 2] + "abcdefg" * 8, language) == []
    assert found(tmp_path, text, text[:-4] + "xyz", language, similarity=1.0) == []


def test_short_texts_must_be_the_same_to_leak(tmp_path: Path) -> None:
    assert found(tmp_path, "2 + 2?", "2 + 3?", "en") == []
    assert found(tmp_path, "2 + 2?", "2+2", "en") == ["text"]


@pytest.mark.parametrize(
    ("one", "other"), [("12 + 3 = ?", "12 × 3 = ?"), ("1.5 times -4", "15 times 4"), ("x-4", "x 4")]
)
def test_arithmetic_is_no_punctuation(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


def test_an_allowed_sign_hides_no_other(tmp_path: Path) -> None:
    source = news(tmp_path, "news", [row("a", "en", ARTICLES["en"])], ("en",))
    holdout = Holdout(source.pool("test", "en").examples([0]))
    assert [leak.kind for leak in holdout.leaks(source.pool("train", "en"), np.arange(1), ["text", "near"])] == ["text"]


def test_what_is_read_besides_the_prompt_leaks_as_well() -> None:
    from data_mixes.example import Example, Exchange
    from data_mixes.leakage import read_texts

    common = {"id": "x", "item_id": "x", "language": "fr", "prompt": "p", "target": "t"}
    assert read_texts(Example(task="instructions", history=(Exchange("q", "a"),), **common)) == ["p", "q"]
    assert read_texts(Example(task="translation", **common)) == ["p", "t"]


def test_an_item_leaks_in_every_language(tmp_path: Path) -> None:
    rows = [row("a", "en", "One thing."), row("a", "fr", "Une chose."), row("b", "fr", "Une autre.")]
    source = news(tmp_path, "news", rows, ("en", "fr"))
    holdout = Holdout(source.pool("test", "en").examples([0]))
    (leak,) = holdout.leaks(source.pool("train", "fr"), np.arange(2))
    assert leak.kind == "item"
    assert str(leak) == "news/a@fr is the same item as test news/a@en: 'Une chose.'"


@given(st.text())
def test_normalising_is_stable_and_shingles_are_parts(text: str) -> None:
    once = normalised(text)
    assert normalised(once) == once
    assert all(gram in once for gram in shingles(once))


@pytest.fixture
def leaking(recipe_data: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A recipe that trains on ten articles in two languages, of which it tests two, one of them changed a little."""
    data = recipe_data
    english = [f"{ARTICLES['en']} Item {number} is about {word * 12}." for number, word in enumerate("abcdefghij")]
    rows = [row(str(number), language, f"{text} {language}") for number, text in enumerate(english)
            for language in ("en", "fr")]  # fmt: skip
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    tests = [row("3", "en", "Something else entirely."), row("new", "en", english[7] + " en!"),
             row("newer", "en", ARTICLES["en"][::-1])]  # fmt: skip
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(each) + "\n" for each in tests), encoding="utf-8")
    data["sources"] = {
        "news": {
            "task": "summarization", "languages": ["en", "fr"], "files": "{split}.jsonl",
            "columns": {"prompt": "text", "target": "summary", "item": "item", "language": "language"},
        }
    }  # fmt: skip
    (tmp_path / "validation.jsonl").write_text("".join(json.dumps(each) + "\n" for each in tests), encoding="utf-8")
    data["languages"] = {"seen": ["en", "fr"]}
    data["mixture"] = {"all": {"sources": ["news"], "languages": ["en", "fr"], "amount": 8}}
    data["grid"] = {"amount": {"path": "mixture.all.amount", "values": [2, 4, 8]}}
    data["evaluation"] = {"engine": "transformers", "tasks": ["summarization"], "items": 3,
                          "sources": {"summarization": "news"}}  # fmt: skip
    data["leakage"] = {"similarity": 0.95}
    return data


def test_leaks_are_refused_with_examples(
    leaking: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    leaking["languages"] = {"seen": ["en"], "unseen": []}
    leaking["mixture"]["all"]["languages"] = ["en"]
    leaking["mixture"]["all"]["amount"] = 10
    del leaking["grid"]
    with pytest.raises(UserError) as caught:
        _ = Study(write_recipe(leaking), tmp_path / "runs").plans
    messages = [str(problem) for problem in caught.value.problems]
    assert len(messages) == 2 and all(
        each.startswith("leakage: training rows that give test items away: 1. ") for each in messages
    )
    assert "news/3@en is the same item as test news/3@en" in messages[0]
    assert "news/7@en is the same text as test news/new@en" in messages[1]
    assert "leakage: {text: allow}" in messages[1] and "leakage: drop" in messages[1]


def test_dropped_leaks_are_counted_replaced_and_gone_from_every_language(
    leaking: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    leaking["mixture"]["seed"] = 3  # one under which the first eight items hold both leaks
    leaking["languages"] = {"seen": ["en", "fr"]}
    leaking["leakage"] = {"items": "drop", "text": "drop", "near": "drop", "similarity": 0.95}
    study = Study(write_recipe(leaking), tmp_path / "runs")
    plans = study.plans
    for plan, amount in zip(plans, (2, 4, 8), strict=True):
        rows = list(plan.mixture)
        assert {row.item_id for row in rows}.isdisjoint({"news/3", "news/7"})
        assert sorted(row.language for row in rows) == ["en"] * amount + ["fr"] * amount
    small, middle, large = ({row.id for row in plan.mixture} for plan in plans)
    assert small < middle < large
    assert {(each.reason, each.language): each.count for each in study.dropped} == {
        ("same item as a test", "en"): 1,
        ("same item as a test", "fr"): 1,
        ("same text as a test", "en"): 1,
        ("near a test text", "fr"): 1,
    }


def test_rows_are_dropped_for_the_whole_test_split_so_that_more_test_items_change_no_mixture(
    leaking: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    leaking["leakage"] = "drop"
    items = leaking["evaluation"]["items"]
    assert items > 1
    mixtures: list[list[set[str]]] = []
    for number in (1, items):
        leaking["evaluation"]["items"] = number
        study = Study(write_recipe(leaking), tmp_path / f"runs-{number}")
        mixtures.append([{row.id for row in plan.mixture} for plan in study.plans])
    assert mixtures[0] == mixtures[1]


def test_too_few_rows_after_dropping_is_an_error(
    leaking: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    leaking["grid"]["amount"]["values"] = [9]
    leaking["leakage"] = "drop"
    with pytest.raises(UserError, match="got 9 examples, but news can serve 8 in 'en'"):
        _ = Study(write_recipe(leaking), tmp_path / "runs").plans


def test_embedded_items_in_training_are_never_in_the_tests(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe_data["mixture"]["others"]["amount"] = 300
    recipe_data["grid"] = {}
    recipe_data["evaluation"]["items"] = 200
    study = Study(write_recipe(recipe_data), tmp_path)
    trained = {row.item_id for plan in study.plans for row in plan.mixture}
    tested = {example.item_id for each in study.evaluation_sets for example in each.examples}
    assert trained and tested and not trained & tested and study.dropped == []


@settings(deadline=None, max_examples=25)
@given(
    st.sets(st.integers(0, 25), min_size=3), st.sets(st.integers(0, 25), min_size=1), st.integers(1, 6),
    st.integers(0, 3),
)  # fmt: skip
def test_whatever_is_tested_nothing_of_it_is_trained_on(
    trained: set[int], tested: set[int], amount: int, seed: int
) -> None:
    """Item n and item n + 100 read the same, so there are leaks by item and by text."""
    folder = Path(SHARED["folder"])
    rows = [row(str(n), language, f"Story number {n % 100} in {language}.")
            for n in sorted({*trained, *(n + 100 for n in trained)}) for language in ("en", "fr")]  # fmt: skip
    train = news(folder, f"train-{hash(frozenset(trained))}", rows, ("en", "fr"))
    held_out = [example for n in tested for example in train.pool("train", "en").examples(range(len(rows) // 2))
                if example.item_id.endswith(f"/{n}")]  # fmt: skip
    component = Component("all", [train], [Variant("en"), Variant("fr")], amount=amount)
    excluded: dict[str, Any] = {}
    while True:
        try:
            orders = Orders([component], seed, excluded)
            mixture = materialise(allot([component], orders), [component], orders, seed)
        except BudgetError:
            return
        found = [
            (pool, leak) for pool, _, places in mixture.by_pool() for leak in Holdout(held_out).leaks(pool, places)
        ]
        if not found:
            break
        keys = [pool.items[[leak.row]] for pool, leak in found]
        excluded[train.name] = np.unique(np.concatenate([excluded.get(train.name, np.empty(0, np.uint64)), *keys]))
    texts = {normalised(example.prompt) for example in held_out}
    kept = list(mixture)
    assert len(kept) == 2 * amount
    assert not {each.item_id for each in kept} & {example.item_id for example in held_out}
    assert not {normalised(each.prompt) for each in kept} & texts


SHARED: dict[str, str] = {}


@pytest.fixture(autouse=True)
def shared(tmp_path: Path) -> None:
    """Hypothesis gives a test no fixtures of its own."""
    SHARED["folder"] = str(tmp_path)
