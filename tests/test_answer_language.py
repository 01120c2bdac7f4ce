"""Scores of the language of answers to items: fair to every script, and blank where an item has no language."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from data_mixes.example import Example
from data_mixes.sources import SOURCES
from eval.answer_language import AnswerLanguages, dictated_texts
from eval.engines.engine import Completion, Request
from eval.generation.requests import EvaluationSet, ModelUnderTest, Prompted
from eval.predictions_and_scores import scores_table
from eval.scorers.language import ANOTHER, score_language
from eval.scorers.score import Score
from eval.scorers.thoughts import THOUGHTS
from eval.tasks import TASKS

STUDY = ("en", "es", "fr", "pt", "ja", "zh", "ar", "ko")
CANDIDATES = (*STUDY, ANOTHER)
CODE = "HARBOR-ZULU-29"
ENGLISH = "The cat sleeps on the kitchen table every day."
JAPANESE = f"倉庫の入り口で係員に{CODE}と伝えると、荷物を受け取ることができます。"


def item(target: str, language: str = "ja", number: int = 1, **more: object) -> Example:
    given: dict[str, object] = {"id": f"{number}@{language}", "item_id": str(number), "task": "instructions",
             "language": language, "prompt": "", "target": target} | more  # fmt: skip
    return Example(**given)  # pyright: ignore[reportArgumentType]


def scored(example: Example, answer: str) -> list[Score]:
    return AnswerLanguages([example], CANDIDATES, "py3langid").score(example, answer)


@pytest.mark.parametrize("name", ["word-problems", "notices", "instructions"])
def test_right_answers_are_in_their_language_in_every_script(name: str) -> None:
    source = SOURCES[name]
    items = source.item_ids("test")[:60]
    examples = [example for language in STUDY for example in source.render(items, language)]
    languages = AnswerLanguages(examples, CANDIDATES, "py3langid")
    counts = dict.fromkeys(STUDY, 0)
    for example in examples:
        for score in languages.score(example, example.target):
            assert score.value in (None, 1.0), (example, score)
            counts[example.language] += score.metric == "language_pass" and score.value is not None
        bare = score_language(example.target, example.language, CANDIDATES, dictated=dictated_texts(example))
        assert bare[0].value in (None, 1.0), "what is not left out is right as well"
    assert len(set(counts.values())) == 1, "as many in every language"
    assert counts["ja"] == 60 or name == "instructions", "of these, many dictate all that is to be written"


def test_where_targets_carry_no_language_an_answer_has_no_language_score() -> None:
    sum_ = item("3 × 12 = 36, 36 - 5 = 31\n答え：31", answer="31")
    for answer in ("The answer is 31 because 36 minus 5 is 31.", sum_.target, JAPANESE):
        scores = scored(sum_, answer)
        assert [score.value for score in scores] == [None, None]
        assert scores[0].reason == "the target carries no language"


def test_an_item_has_a_language_score_in_all_its_languages_or_in_none() -> None:
    long, short = item(JAPANESE), item("Cat", "en")
    languages = AnswerLanguages([long, short, item(JAPANESE, number=2)], CANDIDATES, "py3langid")
    assert languages.score(long, JAPANESE)[0].value is None
    assert languages.score(item(JAPANESE, number=2), ENGLISH)[0].value == 0.0


def test_what_the_item_dictates_is_no_other_language() -> None:
    constrained = item(JAPANESE, constraints=({"kind": "contains", "text": "please remember the milk"},))
    assert [score.value for score in scored(constrained, f"{JAPANESE}\n「please remember the milk」")] == [1.0, 1.0]
    assert scored(item(JAPANESE), f"{JAPANESE} please remember the milk")[1].value == 0.0
    quoting = item(JAPANESE, prompt="次の言葉を使ってください：「remember the milk」")
    assert scored(quoting, f"{JAPANESE} remember the milk")[1].value == 1.0
    named = item(f"{JAPANESE} bandcamp と mastodon でも知らせます。")
    assert scored(named, named.target)[1].value == 1.0
    assert scored(constrained, f"{ENGLISH} please remember the milk")[0].value == 0.0
    assert dictated_texts(constrained) == ("please remember the milk", CODE)


def test_a_phrase_is_dictated_as_a_whole_word() -> None:
    short = item(JAPANESE, constraints=({"kind": "occurs", "text": "and", "count": 2},))
    assert scored(short, f"{JAPANESE} understanding は大切です。")[1].answer == "understanding"


def test_an_item_without_a_target_is_scored() -> None:
    assert scored(item("", "fr"), "Le chat dort sur la table de la cuisine.")[0].value == 1.0


def test_thoughts_have_a_language_of_their_own() -> None:
    languages = AnswerLanguages([item("31")], CANDIDATES, "py3langid")
    for thoughts, passed, english in ((JAPANESE, 1.0, 0.0), (ENGLISH, 0.0, 1.0), ("", None, None)):
        scores = languages.score_thoughts(item("31"), thoughts)
        assert [(score.metric, score.value) for score in scores] == [
            ("thinking_pass", passed), ("thinking_in_english", english)
        ]  # fmt: skip
        assert scores[0].reason == (None if thoughts else "no thoughts"), "though the target carries no language"


def test_a_table_of_scores_has_them_where_some_completion_thinks() -> None:
    english = item(ENGLISH, "en")
    task = replace(TASKS["instructions"], score=lambda example, answer: [Score("right", 1.0, "1")])
    evaluation: Any = SimpleNamespace(
        tasks={"instructions": task},
        evaluation_sets=[EvaluationSet("instructions", "en", (english,), 9)], identifier="py3langid", thoughts=THOUGHTS,
    )  # fmt: skip
    model = ModelUnderTest("base")
    tested = evaluation.evaluation_sets[0]
    put: Any = [Prompted(model, tested, english, Request((1,), 9, (), None), key) for key in ("a", "b")]
    thinks, silent = Completion(f"<think>{JAPANESE}</think>{ENGLISH}", 9, "stop"), Completion(ENGLISH, 9, "stop")
    table = scores_table(evaluation, put, {"a": thinks, "b": silent})
    scores = table.filter(pl.col("metric").is_in(["language_pass", "thinking_pass"]))
    assert scores["value"].to_list() == [1.0, 0.0, 1.0, None] and scores["reason"][3] == "no thoughts"
    assert "thinking_pass" not in set(scores_table(evaluation, put, {"a": silent, "b": silent})["metric"])
