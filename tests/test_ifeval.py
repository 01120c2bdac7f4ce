"""IFEval's types of instruction: as its own program has them in English, and right in other languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ifeval import agreement, their_program
from data_mixes.reading.files import FileSource
from data_mixes.reading.table import Columns
from eval.prediction_files.file import PredictionFile
from eval.prediction_files.score import score_file
from eval.scorers.constraints import constraints_problem, score_constraints
from eval.scorers.ifeval import IFEVAL, constraints_from_ifeval
from eval.scorers.sentences import count_sentences
from eval.scorers.words import count_words, has_word


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Their program, whose identifier draws alike each time: unseeded it is not of one mind with itself."""
    from langdetect import DetectorFactory

    DetectorFactory.seed = 0
    return their_program(tmp_path_factory.mktemp("nltk_data"))


@pytest.mark.parametrize("kind", IFEVAL)
def test_english_responses_are_judged_as_by_ifevals_own_program(kind: str, theirs: Any) -> None:
    found = agreement(kind, 150, theirs)
    assert 0 < found.counts["held"] < 150, "a sample of one verdict tells nothing"
    assert found.share("strict") >= 0.99 and found.share("loose") >= 0.99, found.differing[:3]


def test_there_are_the_25_types_of_ifeval(theirs: Any) -> None:
    from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

    assert set(IFEVAL) == set(INSTRUCTION_DICT) and len(IFEVAL) == 25


def strict(prediction: str, language: str, kind: str, **kwargs: Any) -> float | None:
    return score_constraints(prediction, [{"kind": kind, **kwargs}], language)[0].value


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("zh", "图书馆星期一关闭。", 3), ("ja", "図書館は月曜日に休館します。", 9), ("th", "ห้องสมุดปิดวันจันทร์", 4),
        ("hi", "पुस्तकालय सोमवार को बंद रहेगा", 5), ("fa", "می‌خواهم بروم", 2),
        ("ko", "도서관은 월요일에 닫습니다", 3), ("en", "don't go", 3),
    ],
)  # fmt: skip
def test_words_are_counted_as_the_language_has_them(language: str, text: str, words: int) -> None:
    assert count_words(text, language) == words
    for relation, number in (("at least", words), ("less than", words + 1)):
        assert strict(text, language, "length_constraints:number_words", num_words=number, relation=relation) == 1.0
    assert strict(text, language, "length_constraints:number_words", num_words=words + 1, relation="at least") == 0.0


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("zh", "图书馆关闭。你好！真的吗？“好。”", 4),
        ("ja", "閉まります。本当ですか？はい！", 3),
        ("hi", "यह बंद है। क्यों? तूफान।", 3),
        ("ar", "هل هذا صحيح؟ نعم. شكرا!", 3), ("ur", "یہ بند ہے۔ کیوں؟", 2),
        ("my", "ဟုတ်ကဲ့။ ကောင်းပါတယ်။", 2),
        ("am", "ሰላም። እንዴት ነህ?", 2),
        ("de", "Das ist z.B. ein Satz. Und noch einer.", 2), ("vi", "Thư viện đóng cửa. Vì sao? Vì bão", 3),
        ("sw", "Bei ni 3.5. Sawa.", 2),
        ("hy", "Գրադարանը փակ է։ Ինչո՞ւ։", 2), ("en", "Dr. Smith went. He was tired.", 2),
    ],
)  # fmt: skip
def test_sentences_end_as_the_script_has_it(language: str, text: str, sentences: int) -> None:
    assert count_sentences(text, language) == sentences


def test_forbidden_words_are_whole_words_in_every_script() -> None:
    for language, word, text in [
        ("zh", "熊", "熊猫在动物园里。"), ("hi", "काम", "कामना पूरी हुई"), ("en", "cat", "category"),
        ("ru", "кот", "который час"), ("tr", "ışık", "ışıklar"), ("bn", "কল", "কলা"),
    ]:  # fmt: skip
        assert not has_word(word, text, language), language
        assert strict(text, language, "keywords:forbidden_words", forbidden_words=[word]) == 1.0, language
    for language, word, text in [
        ("zh", "猫", "我有一只猫和狗。"), ("zh", "图书馆", "图书馆关闭了"), ("ja", "猫", "庭に猫がいます。"),
        ("th", "แมว", "ฉันมีแมวหนึ่งตัว"), ("hi", "काम", "यह काम है"), ("en", "cat", "The CAT sat"),
        ("ru", "кот", "Кот спит."), ("tr", "ışık", "IŞIK var"),
    ]:  # fmt: skip
        assert strict(text, language, "keywords:forbidden_words", forbidden_words=[word]) == 0.0, (language, text)


def test_the_first_word_of_a_paragraph_in_scripts_without_spaces() -> None:
    kind, places = "length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 2}
    for language, text, right, wrong in [
        ("zh", "你好。\n\n“图书馆星期一关闭。”", "图书馆", "图书"),
        ("ja", "はい。\n\n「図書館は休みです。」", "図書", "館"),
        ("th", "สวัสดี\n\nห้องสมุดปิดวันจันทร์", "ห้องสมุด", "ปิด"), ("es", "Hola.\n\n¡Buenos días!", "buenos", "días"),
        ("ar", "نعم.\n\n«المكتبة» مغلقة", "المكتبة", "مغلقة"), ("en", "Yes.\n\nWell, no.", "well", "no"),
    ]:  # fmt: skip
        assert strict(text, language, kind, first_word=right, **places) == 1.0, language
        assert strict(text, language, kind, first_word=wrong, **places) == 0.0, language


def test_commas_bullets_and_quotation_marks_are_the_languages_own() -> None:
    for language, text in [
        ("zh", "你好，世界"),
        ("ja", "犬、猫"),
        ("ar", "نعم، شكرا"),
        ("hy", "այո, ոչ"),
        ("en", "a, b"),
    ]:
        assert strict(text, language, "punctuation:no_comma") == 0.0, language
    assert strict("• un\n• deux", "fr", "detectable_format:number_bullet_lists", num_bullets=2) == 1.0
    assert strict("text\n* a\n- b\nmore", "en", "detectable_format:number_bullet_lists", num_bullets=2) == 1.0
    for language, text in [("fr", "« oui »"), ("ja", "「はい」"), ("de", "„ja“"), ("sv", "”ja”"), ("en", '"yes"')]:
        assert strict(text, language, "startend:quotation") == 1.0, language
    assert strict("oui", "fr", "startend:quotation") == 0.0


def test_case_is_that_of_the_language() -> None:
    assert strict("IŞIK", "tr", "keywords:existence", keywords=["ışık"]) == 1.0
    assert strict("ÉTÉ", "fr", "keywords:frequency", keyword="été", frequency=1, relation="at least") == 1.0
    assert strict("C++ and c++", "en", "keywords:frequency", keyword="C++", frequency=2, relation="at least") == 1.0


WRONG = [
    ({"kind": "keywords:existence"}, "keywords is missing"),
    ({"kind": "length_constraints:number_words", "num_words": 0, "relation": "at least"}, "from 1 on, not 0"),
    ({"kind": "length_constraints:number_words", "num_words": "5", "relation": "at least"}, "not '5'"),
    ({"kind": "length_constraints:number_words", "num_words": 5, "relation": "at most"}, "'less than' or 'at least'"),
    ({"kind": "language:response_language", "language": "xx"}, "is not known"),
    ({"kind": "keywords:letter_frequency", "letter": "ab", "let_frequency": 1, "let_relation": "at least"}, "one"),
    ({"kind": "keywords:rhymes"}, "no constraint of kind 'keywords:rhymes'"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "reason"), WRONG, ids=str)
def test_instructions_that_cannot_be_checked_say_why(spec: dict[str, Any], reason: str) -> None:
    assert reason in (constraints_problem([spec], "en") or "")


def test_what_a_language_cannot_tell_is_unscored_with_the_reason() -> None:
    words = [{"kind": "length_constraints:number_words", "num_words": 3, "relation": "at least"}]
    sentences = [{"kind": "length_constraints:number_sentences", "num_sentences": 3, "relation": "at least"}]
    assert "no segmenter for 'km'" in (constraints_problem(words, "km") or "")
    assert "end without a mark" in (constraints_problem(sentences, "th") or "")
    assert constraints_problem(words, "th") is None
    answer_in_khmer = [*words, {"kind": "language:response_language", "language": "km"}]
    assert "no segmenter for 'km'" in (constraints_problem(answer_in_khmer, "en") or "")


def test_an_answer_in_another_language_is_judged_by_the_rules_of_that() -> None:
    specs = constraints_from_ifeval(
        ["language:response_language", "length_constraints:number_words"],
        [{"language": "zh"}, {"num_words": 3, "relation": "at least"}],
    )
    assert score_constraints("图书馆星期一关闭。", specs or [], "en")[0].value == 1.0


NAMES = ["keywords:existence", "punctuation:no_comma"]
KWARGS = [{"keywords": ["cat"], "num_words": None}, {"keywords": None}]


def test_rows_of_predictions_are_read_as_ifeval_has_them(tmp_path: Path) -> None:
    row = {"id": 1, "language": "en", "prediction": "A Cat", "instruction_id_list": NAMES, "kwargs": KWARGS}
    rows = [row, row | {"id": 2, "prediction": "A cat, a dog"}, row | {"id": 3, "kwargs": KWARGS[:1]}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    right, wrong, bad = score_file(PredictionFile(path), "instructions", processes=1)
    assert right.scores[0].value == 1.0  # pyright: ignore[reportAttributeAccessIssue]
    assert wrong.scores[0].answer == "failed: punctuation:no_comma"  # pyright: ignore[reportAttributeAccessIssue]
    assert "instruction_id_list and kwargs" in str(bad)
    table = tmp_path / "rows.csv"
    quoted = [json.dumps(value).replace('"', '""') for value in (NAMES, KWARGS)]
    table.write_text(f'id,language,prediction,instruction_id_list,kwargs\n1,en,A Cat,"{quoted[0]}","{quoted[1]}"\n')
    (only,) = score_file(PredictionFile(table), "instructions", processes=1)
    assert only.scores[0].value == 1.0  # pyright: ignore[reportAttributeAccessIssue]


def test_a_source_is_read_as_ifeval_has_it(tmp_path: Path) -> None:
    row = {"key": 1, "prompt": "Write.", "instruction_id_list": NAMES, "kwargs": KWARGS}
    rows = [row, row | {"key": 2, "kwargs": KWARGS[:1]}, row | {"key": 3, "instruction_id_list": []}]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    columns = Columns(prompt="prompt", target="prompt", id="key", constraints="instruction_id_list", kwargs="kwargs")
    source = FileSource("ifeval", "instructions", ("en",), {"test": str(tmp_path / "test.jsonl")}, columns)
    (only,) = source.pool("test", "en").examples(range(1))
    assert list(only.constraints) == [{"keywords": ["cat"], "kind": NAMES[0]}, {"kind": NAMES[1]}]
    assert source.drops("test").counts == {"constraints are not a JSON list of objects": 2}
