"""The embedded sources: parallel, correct by their own scorers, and cleanly split."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from ruamel.yaml import YAML

from data_mixes.example import Split
from data_mixes.leakage import Holdout
from data_mixes.prompt_words import answer_sentence, task_prompt
from data_mixes.templates.bank import Draw
from data_mixes.templates.embedded import ITEMS, EmbeddedSource
from eval.scorers.identifiers import identify
from eval.tasks import TASKS
from tests.support import REPOSITORY, embedded

SAMPLE = 400
SPLITS: tuple[Split, ...] = get_args(Split)


@pytest.fixture(params=embedded(), ids=lambda source: source.name)
def source(request: pytest.FixtureRequest) -> EmbeddedSource:
    return request.param


def sample(source: EmbeddedSource) -> list[str]:
    """Items of every template."""
    return [item for split in SPLITS for item in source.item_ids(split)[: SAMPLE // 3]]


def test_there_are_thousands_of_items_from_two_dozen_templates(source: EmbeddedSource) -> None:
    ids = {split: source.item_ids(split) for split in SPLITS}
    assert {split: len(items) for split, items in ids.items()} == ITEMS
    assert len({item for items in ids.values() for item in items}) == sum(ITEMS.values())
    assert len(source.bank.templates) >= 24


def test_a_template_is_of_one_split_alone(source: EmbeddedSource) -> None:
    """So that no test item, and no exemplar of the validation split, is a variation of what was trained on."""
    templates = {split: {source.draw(item).template for item in source.item_ids(split)} for split in SPLITS}
    assert [len(templates[split]) for split in SPLITS] == [12, 4, 8]
    assert set.union(*templates.values()) == {*source.bank.templates} and sum(map(len, templates.values())) == 24
    for split in SPLITS:
        pool = source.pool(split, "ko")
        clusters = {example.cluster for example in pool.examples(range(48))}
        assert clusters == {f"{source.name}/{template}" for template in templates[split]}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_that_is_tested_nearly_reads_like_training(source: EmbeddedSource, language: str) -> None:
    held_out = [item for split in ("test", "validation") for item in source.item_ids(split)[:SAMPLE]]
    holdout = Holdout(source.render(held_out, language), similarity=0.7)
    assert [str(leak) for leak in holdout.leaks(source.pool("train", language), np.arange(4 * SAMPLE))] == []


def test_no_target_of_a_math_test_item_is_one_of_training() -> None:
    source = embedded()[0]
    for language in ("en", "ar"):
        trained = {example.target for example in source.render(source.item_ids("train"), language)}
        tested = [example.target for example in source.render(source.item_ids("test")[:250], language)]
        assert [target for target in tested if target in trained] == []


def test_math_targets_work_in_words_and_end_in_the_answer() -> None:
    source = embedded()[0]
    for language in source.languages:
        for example in source.render(source.item_ids("train")[:24] + source.item_ids("test")[:24], language):
            worked, sentence = example.target.split("\n")
            assert example.answer and sentence == answer_sentence(example.answer, language)
            assert re.search(rf" = {example.answer}(?!\d)", worked) and sum(map(str.isalpha, worked)) > 8, worked


def test_every_rendering_is_whole(source) -> None:
    for language in source.languages:
        for example in source.render(sample(source), language):
            for text in (example.prompt, example.target):
                assert text and text == text.strip()
                assert not re.search(r"[{}]|  ", text), text
            assert task_prompt(example).endswith("\n")


def test_references_are_right_by_the_tasks_own_scorer(source) -> None:
    task = TASKS[source.task]
    for language in source.languages:
        for example in source.render(sample(source), language):
            assert task.score(example, example.target)[0].value == 1.0, (example, task.score(example, example.target))
            assert task.score(example, "")[0].value == 0.0


def test_texts_are_in_their_language(source) -> None:
    """Longer texts, by a language identifier; instructions quote code words, so not every one is certain."""
    for language in source.languages:
        examples = source.render(sample(source), language)
        right = sum(identify(task_prompt(example), source.languages) == language for example in examples)
        assert right / len(examples) > 0.97, language


def test_translations_of_a_problem_have_the_same_numbers() -> None:
    source = embedded()[0]
    items = sample(source)
    answers = {
        language: [example.answer for example in source.render(items, language)] for language in source.languages
    }
    assert all(answers[language] == answers["en"] for language in source.languages)
    for item in items:
        numbers = {
            language: Counter(re.findall(r"\d+", example.prompt))
            for language in source.languages
            for example in source.render([item], language)
        }
        drawn = Counter(str(value) for name, value in source.draw(item).values if isinstance(value, int))
        for language, found in numbers.items():
            assert found >= Counter({number: 1 for number in drawn if number in numbers["en"]}), (language, item)


def test_an_item_depends_neither_on_how_many_are_drawn_nor_on_other_templates() -> None:
    bank, templates = embedded()[0].bank, embedded()[0].templates("train")
    few = [draw.key for draw in islice(bank.draws(templates), 50)]
    assert few == [draw.key for draw in islice(bank.draws(templates), 500)][:50]
    assert len(set(few)) == 50
    alone = [draw.key for draw in islice(bank.draws(templates[:1]), 5)]
    assert [key for key in few if key.startswith(f"{templates[0]}(")][: len(alone)] == alone[: len(few)]


def drawn(source: EmbeddedSource) -> dict[str, Draw]:
    return {item: source.draw(item) for split in SPLITS for item in source.item_ids(split)}


def test_items_are_the_same_from_the_cache(
    source: EmbeddedSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    fresh = type(source)()
    items, words = drawn(fresh), fresh.bank.words
    assert items == drawn(source)
    kept = sorted((tmp_path / "banks").glob("*.json"))
    assert len(kept) == 2
    written = [path.read_bytes() for path in kept]
    monkeypatch.setattr("data_mixes.templates.bank.YAML", None)
    monkeypatch.setattr("data_mixes.templates.bank.random", None)
    from_cache = type(source)()
    assert drawn(from_cache) == items and from_cache.bank.words == words
    monkeypatch.undo()
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    for path in kept:
        path.write_bytes(path.read_bytes()[:-9] + b"garbage")
    again = type(source)()
    assert drawn(again) == items and again.bank.words == words
    assert [path.read_bytes() for path in kept] == written


def test_banks_are_the_same_as_json() -> None:
    paths = sorted((REPOSITORY / "data_mixes" / "templates").glob("*.yaml"))
    assert len(paths) == 4
    for path in paths:
        read = YAML(typ="safe", pure=True).load(path)
        assert json.loads(json.dumps(read)) == read
