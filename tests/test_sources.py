"""The embedded sources: parallel, correct by their own scorers, and cleanly split."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from data_mixes.prompt_words import task_prompt
from data_mixes.templates.embedded import EmbeddedSource, split_of
from eval.scorers.identifiers import identify
from eval.tasks import TASKS
from tests.support import embedded

SAMPLE = 400


@pytest.fixture(params=embedded(), ids=lambda source: source.name)
def source(request: pytest.FixtureRequest) -> EmbeddedSource:
    return request.param


def test_there_are_thousands_of_items_from_a_dozen_templates(source) -> None:
    ids = {split: source.item_ids(split) for split in ("train", "validation", "test")}
    assert len(ids["train"]) > 15_000 and len(ids["validation"]) > 1900 and len(ids["test"]) > 1900
    assert len(source.bank.templates) >= 12
    assert len({*ids["train"], *ids["validation"], *ids["test"]}) == sum(map(len, ids.values()))
    assert all(split_of(item) == split for split, items in ids.items() for item in items)


def test_different_items_read_differently(source) -> None:
    """So that no text of the test items was trained on in the same language under another id."""
    for language in source.languages:
        texts: dict[str, str] = {}
        clashes = []
        for split in ("train", "validation", "test"):
            for example in source.render(source.item_ids(split), language):
                if example.prompt in texts and split_of(texts[example.prompt]) != split:
                    clashes.append(example.prompt)
                texts.setdefault(example.prompt, example.item_id)
        assert clashes == []


def test_every_rendering_is_whole(source) -> None:
    for language in source.languages:
        for example in source.render(source.item_ids("train")[:SAMPLE], language):
            for text in (example.prompt, example.target):
                assert text and text == text.strip()
                assert not re.search(r"[{}]|  ", text), text
            assert task_prompt(example).endswith("\n")


def test_references_are_right_by_the_tasks_own_scorer(source) -> None:
    task = TASKS[source.task]
    for language in source.languages:
        for example in source.render(source.item_ids("train")[:SAMPLE], language):
            assert task.score(example, example.target)[0].value == 1.0, (example, task.score(example, example.target))
            assert task.score(example, "")[0].value == 0.0


def test_texts_are_in_their_language(source) -> None:
    """Longer texts, by a language identifier; instructions quote code words, so not every one is certain."""
    for language in source.languages:
        examples = source.render(source.item_ids("train")[:SAMPLE], language)
        right = sum(identify(task_prompt(example), source.languages) == language for example in examples)
        assert right / len(examples) > 0.97, language


def test_translations_of_a_problem_have_the_same_numbers() -> None:
    source = embedded()[0]
    items = source.item_ids("train")[:SAMPLE]
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
        drawn = Counter(str(value) for name, value in source.draws[item].values if isinstance(value, int))
        for language, found in numbers.items():
            assert found >= Counter({number: 1 for number in drawn if number in numbers["en"]}), (language, item)


def test_items_do_not_depend_on_how_many_are_drawn() -> None:
    from itertools import islice

    bank = embedded()[0].bank
    few = [draw.key for draw in islice(bank.draws(), 50)]
    assert few == [draw.key for draw in islice(bank.draws(), 500)][:50]
    assert len(set(few)) == 50
