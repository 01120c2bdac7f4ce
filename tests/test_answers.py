"""The final answer is found in the ways people and models write it, in fourteen languages."""

from __future__ import annotations

import sys
import unicodedata
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from babel.numbers import format_decimal
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from data_mixes.prompt_words import ANSWERS, answer_sentence
from eval.scorers.answers import MARKERS, announces, final_answer, reference_value, score_answer, written
from eval.scorers.locales import has_decimal_comma
from eval.scorers.numerals import numbers, plain, separated
from tests.support import REPOSITORY

TABLES = sorted((REPOSITORY / "tests" / "answers").glob("*.yaml"))
MGSM = REPOSITORY.parent / "shared" / "data" / "mgsm"


def cases(path: Path) -> list[tuple[str, str | None]]:
    return [
        (case["text"], case["answer"]) for case in YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    ]


def test_there_are_tables_for_fourteen_languages() -> None:
    assert len(TABLES) == 14 and all(len(cases(path)) >= 60 for path in TABLES)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_the_final_answer_is_found(path: Path) -> None:
    wrong = []
    for text, answer in cases(path):
        found = final_answer(text, path.stem)
        if found != Fraction(answer) if answer is not None else not isinstance(found, str):
            wrong.append((text, answer, found))
    assert wrong == []


LOCALES = (
    "ar_EG", "bn_BD", "cs", "de", "el", "en", "es_ES", "es_MX", "fa", "fr", "he", "hi", "id", "it", "ja", "ko", "nl",
    "pl", "pt", "ro", "ru", "sw", "te", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip


@given(
    st.decimals(min_value=-10_000_000, max_value=10_000_000, places=2, allow_nan=False), st.sampled_from(LOCALES)
)  # fmt: skip
def test_what_a_locale_writes_is_read_again(value: Decimal, locale: str) -> None:
    text = format_decimal(value, format="#,##0.##", locale=locale, numbering_system="default")
    language = locale.partition("_")[0]
    told = [answer_sentence(text, language)] if value >= 0 or language != "te" else []  # "సమాధానం -4" may be a dash
    for sentence in (*told, f"{MARKERS[language][-1]}: {text}."):
        assert final_answer(sentence, locale) == Fraction(value), sentence


@given(st.fractions(max_denominator=10_000))
@example(Fraction(1, 8192))  # 13 places, once written as 0.0
def test_a_value_written_is_the_value_read(value: Fraction) -> None:
    assert reference_value(written(value)) == value


def test_digits_of_every_unicode_system_are_read() -> None:
    zeros = [
        chr(code) for code in range(sys.maxunicode) if chr(code).isdecimal() and unicodedata.decimal(chr(code)) == 0
    ]
    assert len(zeros) > 50
    for zero in zeros:
        digits = "".join(chr(ord(zero) + digit) for digit in (1, 8, 0))
        assert final_answer(f"Answer: {digits}", "en") == 180, zero


def test_one_separator_means_what_it_means_in_the_language() -> None:
    for language in ("de", "es", "fr", "pt", "ru", "it", "nl", "tr"):
        assert has_decimal_comma(language)
        assert (separated("1.250", language), separated("1,250", language)) == ([1250], [Fraction(5, 4)])
    for language in ("en", "zh", "ja", "ko", "th", "te", "bn", "hi", "sw", "ar"):
        assert (separated("1.250", language), separated("1,250", language)) == ([Fraction(5, 4)], [1250])
    for language in ("de", "en"):
        assert separated("1.250,50", language) == separated("1,250.50", language) == [Fraction(2501, 2)]
        assert separated("0,125", language) == separated("0.125", language) == [Fraction(1, 8)]
        assert separated("12.05.2024", language) == [12, 5, 2024]


def test_a_failure_to_find_an_answer_is_said_and_is_no_wrong_answer_in_silence() -> None:
    reasons = {
        text: score_answer(text, "5", "en").reason for text in ("", "five", "Answer: none", "\\boxed{x}", "5", "6")
    }
    assert reasons == {
        "": "no number found", "five": "no number found", "Answer: none": "no number after the answer marker",
        "\\boxed{x}": "no number in the box", "5": None, "6": None,
    }  # fmt: skip
    assert score_answer("3 + 4 = 7. The answer is unknown", "7", "en").reason == "no number after the answer marker"
    with pytest.raises(ValueError, match="is not one number"):
        score_answer("5", "five", "en")


def test_very_long_digits_are_no_number_and_take_no_time() -> None:
    assert final_answer("9" * 100_000, "en") == "no number found"
    assert final_answer("9" * 100_000 + " so 5", "en") == 5
    assert next(numbers(plain("1" * 250), "en")).value == int("1" * 250)


def test_every_language_with_prompts_has_markers() -> None:
    assert set(MARKERS) >= set(ANSWERS)
    for language in ANSWERS:
        assert final_answer(f"3\n{answer_sentence(18, language)}\n7", language) == 18, language


@pytest.mark.skipif(not MGSM.is_dir(), reason="MGSM's files are not here")
def test_mgsm_gold_answers_are_right_in_any_dress() -> None:
    files = sorted(MGSM.glob("mgsm_*.tsv"))
    assert len(files) == 5
    for file in files:
        language = file.stem.partition("_")[2]
        golds = [line.split("\t")[1] for line in file.read_text(encoding="utf-8").splitlines()]
        assert len(golds) == 250
        for gold in golds:
            for text in (gold, f"1 + 2 = 3\n{answer_sentence(gold, language)}", f"\\boxed{{{gold}}}", f"#### {gold}"):
                assert score_answer(text, gold, language).value == 1.0, (language, text)


def test_a_copula_makes_a_phrase_and_a_letter_of_one_does_not() -> None:
    assert announces("คำตอบคือ") and announces("答案是") and announces("the answer is")
    assert not announces("ข้อ") and not announces("answer")
