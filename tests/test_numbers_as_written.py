"""Numbers are read as people of each language and region write them, and as models wrap them."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from babel import Locale
from babel.localedata import locale_identifiers
from babel.numbers import format_decimal
from hypothesis import given
from hypothesis import strategies as st

from eval.scorers.alternatives import BETWEEN, OR
from eval.scorers.answers import MARKERS, final_answer, find_answer, score_answer
from eval.scorers.number_words import MINUS, SCALES
from eval.scorers.thoughts import THOUGHTS, answer_text, thoughts_of, without_thoughts

READ: list[tuple[str, str, int | str]] = [
    # units that multiply one another
    ("zh", "答案是3万亿元。", 3 * 10**12),
    ("ko", "정답은 3조 5천억 원", 35 * 10**11),
    ("ja", "答えは1万2千億円です", 12 * 10**11),
    ("zh", "答案是2百5十", 250),
    ("ko", "답은 7천만 원입니다", 70_000_000),
    ("zh", "共5千克。", 5),
    ("ko", "답: 5만큼 크다", 5),
    # words of scale
    ("en", "The answer is 2 crore 50 lakh", 25_000_000),
    ("id", "Rp 1,2jt", 1_200_000),
    ("id", "Rp10rb", 10_000),
    ("es", "La respuesta es 3 mil millones.", 3 * 10**9),
    ("sw", "Jibu ni elfu 5", 5_000),
    ("th", "คำตอบคือ 5 แสนล้าน", 5 * 10**11),
    ("pl", "Odpowiedź: 3 tys. zł", 3_000),
    ("it", "La risposta è 3mila euro", 3_000),
    ("te", "సమాధానం: 5 లక్షలు", 500_000),
    ("en", "The answer is 3 millimetres.", 3),
    ("bn", "৪০ শতাংশ", 40),
    # currencies in letters
    ("id", "Totalnya -Rp5.000", -5_000),
    ("id", "Rp-5.000", -5_000),
    ("sw", "Ksh. 1,500 kwa jumla", 1_500),
    ("es", "Q45", 45),
    ("en", "USD 1,250.50", "2501/2"),
    ("hi", "₹5,00,000", 500_000),
    # minus in words, and what only looks like it
    ("ja", "答えはマイナス7度です", -7),
    ("zh", "答案是零下7度", -7),
    ("fr", "La réponse est moins 7.", -7),
    ("fr", "Il y a au moins 7 pommes", 7),
    ("es", "al menos 7", 7),
    ("en", "The answer is 10 minus 5", 10),
    ("de", "5 - 12 ist minus 7", -7),
    ("ar", "الجواب: سالب ٧", -7),
    # TeX
    ("en", "\\boxed{-\\frac{1}{2}}", "-1/2"),
    ("en", "\\boxed{\\dfrac 1 4}", "1/4"),
    ("de", "\\boxed{\\frac{1{,}5}{2}}", "3/4"),
    ("en", "\\boxed{1,\\!250}", 1_250),
    ("en", "\\boxed{{1 \\over 2}}", "1/2"),
    # headings, and GSM8K's mark
    ("en", "#### 2. Count them\nThe answer is 18.", 18),
    ("en", "so 5 #### 18", 18),
    ("sw", "#### Ksh 2,500\nJibu ni zaidi ya 3.", 2_500),
    ("en", "#### Step 2\n18", 18),
    # regions
    ("es-AR", "La respuesta es 1.250", 1_250),
    ("pt-PT", "A resposta é 1 250", 1_250),
    ("en-IN", "The answer is 12,50,000", 1_250_000),
    # commas of other scripts
    ("zh", "答案是１２，３４５", 12_345),
    ("ar", "الجواب: ١٢،٥", "25/2"),
    ("ar", "الأعداد ١، ٢، ٣", 3),
    ("zh", "得到400，500，600。", 600),
    # several numbers of one value are one answer
    ("en", "The answer is 18 or 18.0", 18),
    ("en", "The answer is 18, that is 3 more than 15.", 18),
    ("en", "Aged 8–12.", 12),
]


@pytest.mark.parametrize(("language", "text", "value"), READ, ids=lambda value: str(value)[:24])
def test_the_number_is_read_as_written(language: str, text: str, value: int | str) -> None:
    assert final_answer(text, language) == Fraction(value)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "The answer is either 18 or 20."),
        ("en", "\\boxed{18, 20}"),
        ("en", "The answer is 18 to 20."),
        ("de", "18 oder 20"),
        ("ja", "答えは18または20です。"),
        ("ar", "الجواب: 18 أو 20"),
        ("sw", "Jibu ni 18 au 20"),
        ("en", "The answer is 18-20."),
    ],
)
def test_a_hedged_answer_is_none(language: str, text: str) -> None:
    for reference in ("18", "20"):
        score = score_answer(text, reference, language)
        assert (score.value, score.reason) == (0.0, "several answers")


def test_every_language_with_markers_has_words_for_minus_and_alternatives() -> None:
    assert set(MARKERS) <= set(MINUS) and set(MARKERS) <= set(OR)
    assert set(MARKERS) - {"ja", "ko", "zh"} <= set(SCALES), "those three have units"
    assert set(BETWEEN) <= set(OR) | {"nb"}
    for language, words in MINUS.items():
        for word in words.split("|"):
            assert final_answer(f"{word} 7", language) == -7, (language, word)
            assert final_answer(f"9 {word} 7", language) == 7, (language, word)


def test_every_word_of_scale_multiplies_in_its_language() -> None:
    for language, scales in SCALES.items():
        for scale, words in scales.items():
            for word in words.split("|"):
                text = f"{word} 3" if language == "sw" else f"3 {word}"
                assert final_answer(text, language) == 3 * scale, (language, word)


def test_every_locale_of_cldr_is_read_as_it_writes() -> None:
    locales = [name for name in locale_identifiers() if "_" not in name or name.endswith(("_MX", "_CH", "_ZA", "_IN"))]
    assert len(locales) > 200
    wrong = []
    for name in locales:
        if not Locale.parse(name).number_symbols:
            continue
        for value in ("1250", "12500", "-1234567", "1250.5", "0.125", "12.75"):
            text = format_decimal(float(value), format="#,##0.###", locale=name, numbering_system="default")
            if final_answer(f"Answer: {text}.", name) != Fraction(value):
                wrong.append((name, text))
    assert wrong == []


def test_references_are_in_the_languages_own_writing() -> None:
    assert score_answer("1250", "1.250", "de").value == 1.0 and score_answer("1,25", "1.250", "de").value == 0.0
    assert score_answer("1250", "1,250", "es-MX").value == 1.0 and score_answer("1250", "1.250", "es").value == 1.0
    minus = score_answer("minus 5", "5", "en")
    assert (minus.value, minus.answer) == (0.0, "-5"), "a minus in words belongs to the text"


def test_thoughts_are_set_apart_by_every_model_s_markers() -> None:
    for opening, closing in THOUGHTS:
        for text in (f"{opening}The answer is 5.{closing}7", f"The answer is 5.{closing}\n7"):
            assert answer_text(text).strip() == "7" and final_answer(text, "en") == 7, opening
        assert without_thoughts(f"{opening}The answer is 5") == "", "thoughts that never end hold no answer"
    assert without_thoughts("<a>5</a>7", [("<a>", "</a>")]) == "7"


def test_thoughts_are_what_the_answer_is_without() -> None:
    for opening, closing in THOUGHTS:
        for text in (f"{opening}The answer is 5.{closing}7", f"The answer is 5.{closing}\n7"):
            assert thoughts_of(text) == "The answer is 5.", opening
        assert thoughts_of(f"So: {opening}The answer is 5") == "The answer is 5", "thoughts that never end"
    assert thoughts_of("<think>one</think>2<thinking>three</thinking>4") == "one\nthree"
    assert thoughts_of("no thoughts here") == thoughts_of("<think></think>7") == ""


@given(st.lists(st.sampled_from(["<think>", "</think>", "<thought>", "</thought>", "a", "b "]), max_size=8))
def test_no_letter_is_lost_between_thoughts_and_answer(parts: list[str]) -> None:
    text = "".join(parts)
    letters = Counter(text.replace("<think>", "").replace("</think>", "").replace("<thought>", "").replace(
        "</thought>", ""))  # fmt: skip
    both = Counter(thoughts_of(text) + without_thoughts(text))
    assert {letter: both[letter] for letter in "ab"} == {letter: letters[letter] for letter in "ab"}


def test_code_is_set_apart_unless_nothing_else_is_there() -> None:
    assert final_answer("```python\nprint(5)\n```\nThe answer is 7.", "en") == 7
    assert final_answer("The answer is 7.\n```python\nprint(5)\n```", "en") == 7
    assert final_answer("```\n18\n```", "en") == 18
    assert answer_text("```\ntwo lines\nof text\n```") == "two lines\nof text"


def test_a_decomposed_text_has_the_markers_of_the_composed_one() -> None:
    import unicodedata

    for language, markers in MARKERS.items():
        text = f"{markers[0]} 18. 3 + 6"
        composed = find_answer(text, language)
        assert composed == find_answer(unicodedata.normalize("NFD", text), language) and not isinstance(composed, str)
        assert composed.value == 18, language
