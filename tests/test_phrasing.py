"""Phrases with slots, and the grammar they follow."""

from __future__ import annotations

import pytest

from data_mixes.templates.phrasing import PhraseError, Word, arabic_form, counted, render, with_particle

BOOK = {
    "en": Word("book", "en", {"one": "book", "many": "books"}),
    "ja": Word("book", "ja", {"one": "本", "counter": "冊"}),
    "zh": Word("book", "zh", {"one": "书", "counter": "本"}),
    "ko": Word("book", "ko", {"one": "책", "counter": "권"}),
    "ar": Word("book", "ar", {"one": "كتاب", "few": "كتب", "many": "كتابًا", "gender": "m"}),
}


@pytest.mark.parametrize(
    ("language", "number", "expected"),
    [
        ("en", 1, "1 book"),
        ("en", 12, "12 books"),
        ("ja", 12, "本12冊"),
        ("zh", 12, "12本书"),
        ("ko", 12, "책 12권"),
        ("ar", 3, "3 كتب"),
        ("ar", 10, "10 كتب"),
        ("ar", 11, "11 كتابًا"),
        ("ar", 99, "99 كتابًا"),
        ("ar", 100, "100 كتاب"),
        ("ar", 103, "103 كتب"),
        ("ar", 111, "111 كتابًا"),
    ],
)
def test_numbers_agree_with_their_noun(language: str, number: int, expected: str) -> None:
    assert counted(number, BOOK[language]) == expected


@pytest.mark.parametrize("number", [0, 1, 2, 101, 102])
def test_arabic_refuses_numbers_that_do_not_stand_before_their_noun(number: int) -> None:
    with pytest.raises(PhraseError):
        arabic_form(number)


@pytest.mark.parametrize(
    ("text", "pair", "expected"),
    [
        ("사라", "은는", "사라는"),
        ("카림", "은는", "카림은"),
        ("책", "을를", "책을"),
        ("12권", "을를", "12권을"),
        ("서울", "로_", "서울로"),
        ("부산", "로_", "부산으로"),
        ("도쿄", "로_", "도쿄로"),
        ("3", "이가", "3이"),
        ("5", "이가", "5가"),
        ("10", "과와", "10과"),
        ("“사라”", "을를", "“사라”를"),
    ],
)
def test_korean_particles_fit_the_last_sound(text: str, pair: str, expected: str) -> None:
    assert with_particle(text, pair) == expected


def test_a_field_chooses_by_gender_filters_and_lists() -> None:
    slots = {"who": Word("sara", "es", {"one": "Sara", "gender": "f"}), "n": (3, 20, 7)}
    assert render("{who.is:Cuántos|Cuántas} {n|descending}", "es", slots) == "Cuántas 20, 7, 3"
    assert render("{n|reversed|bullets}", "es", slots) == "- 7\n- 20\n- 3"
    assert render("{n}", "ja", {"n": (3, 20)}) == "3、20"
    assert render("{who|times 3}", "es", slots) == "Sara Sara Sara"


@pytest.mark.parametrize("phrase", ["{nobody}", "{who.plural}", "{n|sideways}", "{n.is:a|b}", "{who n}", "{!}"])
def test_an_impossible_field_is_an_error_that_names_it(phrase: str) -> None:
    slots = {"who": Word("sara", "es", {"one": "Sara"}), "n": (3, 20)}
    with pytest.raises(PhraseError, match=r"\{.*\} in "):
        render(phrase, "es", slots)
