"""Scorers are right in every script, and say so when they cannot tell."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.scorers.constraints import score_constraints
from eval.scorers.language import identify
from eval.scorers.numbers import NO_ANSWER, final_number, parse_number, score_final_number
from eval.scorers.rouge import common_subsequence, rouge_l, score_rouge_l, tokenize


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("25 + 39 = 64\nAnswer: 64", "en", "64"),
        ("3 × 12 = 36\n答案：36。", "zh", "36"),
        ("答え：１８個", "ja", "18"),
        ("الجواب: ٢٥", "ar", "25"),
        ("정답: 18개입니다.", "ko", "18"),
        ("Réponse : 1 250", "fr", "1"),
        ("Réponse : 1\u202f250", "fr", "1250"),
        ("Respuesta: 1.250", "es", "1250"),
        ("Answer: 1,250", "en", "1250"),
        ("Answer: 1.5", "en", "1.5"),
        ("Resposta: 1,5", "pt", "1.5"),
        ("Answer: -7", "en", "-7"),
        ("It is 12, then 13.", "en", "13"),
        ("Answer: 5\n\nProblem: 6 + 7\nAnswer: 13", "en", "5"),
        ("উত্তর ১৮", "en", "18"),
        ("no idea", "en", None),
        ("", "en", None),
    ],
)
def test_the_final_number(text: str, language: str, expected: str | None) -> None:
    assert final_number(text, language) == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("1.234.567,89", "es", "1234567.89"),
        ("1,234,567.89", "en", "1234567.89"),
        ("1,234,567", "pt", "1234567"),
        ("0,5", "en", "0.5"),
        ("١٢٬٣٤٥٫٥", "ar", "12345.5"),
        ("1’250", "en", "1250"),
        ("−3", "en", "-3"),
    ],
)
def test_separators_follow_the_language(text: str, language: str, expected: str) -> None:
    assert parse_number(text, language) == Decimal(expected)


def test_no_answer_is_wrong_and_said() -> None:
    score = score_final_number("I do not know", "5", "en")
    assert (score.value, score.reason) == (0.0, NO_ANSWER)
    assert score_final_number("6", "5", "en").reason is None


SENTENCES = [
    "The library will close on Monday.", "La bibliothèque fermera lundi.", "図書館は月曜日から休館します。",
    "图书馆星期一关闭。", "ستغلق المكتبة يوم الاثنين", "도서관은 월요일에 닫습니다", "पुस्तकालय सोमवार को बंद रहेगा",
    "గ్రంథాలయం సోమవారం మూసివేయబడుతుంది", "Библиотека закроется", "ห้องสมุดจะปิดวันจันทร์", "ቤተ መጻሕፍቱ ሰኞ ይዘጋል",
    "Kütüphane pazartesi günü kapanacak", "Thư viện sẽ đóng cửa", "গ্রন্থাগার সোমবার বন্ধ",
]  # fmt: skip


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_text_agrees_with_itself_in_every_script(sentence: str) -> None:
    assert score_rouge_l(sentence, sentence).value == 1.0
    assert score_rouge_l("xyz", sentence).value == 0.0
    assert len(tokenize(sentence)) >= 2


def test_combining_marks_stay_in_their_word() -> None:
    assert tokenize("पुस्तकालय सोमवार") == ["पुस्तकालय", "सोमवार"]
    assert tokenize("Kütüphane günü") == ["kütüphane", "günü"]


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_rouge_is_symmetric_and_within_range(one: list[str], other: list[str]) -> None:
    assert rouge_l(one, other) == rouge_l(other, one)
    assert 0 <= rouge_l(one, other) <= 1
    assert common_subsequence(one, one + other) == len(one)


def test_an_empty_reference_is_unscored_not_zero() -> None:
    score = score_rouge_l("something", " … ")
    assert score.value is None and score.reason


@pytest.mark.parametrize(
    ("spec", "right", "wrong"),
    [
        ({"kind": "equals", "text": "a, b"}, " a,  b\n", "a b"),
        ({"kind": "lines", "count": 2}, "a\n\nb", "a"),
        ({"kind": "bullets", "count": 2}, "- a\n• b", "- a\nb"),
        ({"kind": "numbered", "count": 2}, "1. a\n2) b", "1. a\n3. b"),
        ({"kind": "in_order", "items": ["a", "b"]}, "a then b", "b then a"),
        ({"kind": "in_order", "items": ["a", "b"]}, "a b", "a b a"),
        ({"kind": "contains", "text": "a"}, "bab", "b"),
        ({"kind": "excludes", "text": "a"}, "b", "bab"),
        ({"kind": "starts_with", "text": "a"}, "ab", "ba"),
        ({"kind": "ends_with", "text": "a"}, "ba\n", "ab"),
        ({"kind": "quoted", "text": "mot"}, "le mot «\u00a0mot\u00a0»", "le mot"),
        ({"kind": "quoted", "text": "語"}, "「語」です", "語です"),
        ({"kind": "uppercase"}, "ABC-1", "ABc"),
        ({"kind": "uppercase"}, "ABC", "123"),
        ({"kind": "lowercase"}, "abc-1", "aBc"),
        ({"kind": "occurs", "text": "la", "count": 2}, "la la", "la la la"),
        ({"kind": "language", "code": "fr", "among": ["en", "fr"]}, "Le chat dort sur la table.", "The cat sleeps."),
    ],
)  # fmt: skip
def test_constraints(spec: dict, right: str, wrong: str) -> None:
    assert score_constraints(right, [spec]).value == 1.0
    failed = score_constraints(wrong, [spec])
    assert failed.value == 0.0 and failed.answer == f"failed: {spec['kind']}"
    assert score_constraints("", [spec]).value == 0.0


def test_every_constraint_must_hold_and_none_is_unscored() -> None:
    specs = [{"kind": "uppercase"}, {"kind": "contains", "text": "A"}]
    assert score_constraints("AB", specs).value == 1.0
    assert score_constraints("B", specs).value == 0.0
    assert score_constraints("B", []).value is None


def test_languages_are_told_apart_among_candidates_only() -> None:
    assert identify("Guten Morgen", ["en", "fr"]) in ("en", "fr")
    assert identify("18 + 5", ["en", "fr"]) is None
