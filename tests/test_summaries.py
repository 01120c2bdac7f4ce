"""Summaries are scored right in every script: what is the same agrees, what is not does not."""

from __future__ import annotations

import random
import unicodedata

import pytest
from babel import Locale
from rouge_score.rouge_scorer import RougeScorer

from eval.scorers.score import Score
from eval.scorers.summaries import score_summary
from eval.scorers.words import tokenizer_name, words

LANGUAGES = (
    "af", "am", "ar", "as", "az", "be", "bg", "bn", "bs", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et",
    "eu", "fa", "fi", "fil", "fr", "ga", "gl", "gu", "he", "hi", "hr", "hu", "hy", "id", "ig", "is", "it", "ja",
    "ka", "kk", "km", "kn", "ko", "ky", "lo", "lt", "lv", "mk", "ml", "mn", "mr", "ms", "my", "nb", "ne", "nl",
    "or", "pa", "pl", "ps", "pt", "ro", "ru", "sd", "si", "sk", "sl", "so", "sq", "sr", "sv", "sw", "ta", "te",
    "th", "tk", "tr", "uk", "ur", "uz", "vi", "yo", "zh", "zu",
)  # fmt: skip
COUNTRIES = "JP BR KE FR IN EG CN MX NO TH ET GR".split()  # noqa: SIM905


def names_of_countries(language: str) -> str:
    """Real words in the language, from CLDR."""
    territories = Locale.parse(language).territories
    return ", ".join(territories[country] for country in COUNTRIES if country in territories)


def values(prediction: str, reference: str, language: str, source: str = "") -> dict[str, float | None]:
    return {score.metric: score.value for score in score_summary(prediction, reference, source, language)}


def test_there_are_more_than_sixty_languages_in_many_scripts() -> None:
    assert len(set(LANGUAGES)) >= 60
    assert all(len(words(names_of_countries(language), language)) >= 10 for language in LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_agrees_with_itself_and_not_with_another(language: str) -> None:
    text = names_of_countries(language)
    same = values(text, text, language, text)
    assert same == pytest.approx(
        {"rouge_l": 1.0, "rouge_1": 1.0, "rouge_2": 1.0, "chrf": 1.0, "length_ratio": 1.0, "copy_rate": 1.0}
    )
    if language not in ("az", "tr"):  # whose capitals Python does not know
        assert values(text.upper() + " !", text, language)["rouge_1"] == pytest.approx(1.0)
    other = values("qqq xxx", text, language)
    assert other["rouge_l"] == other["rouge_1"] == other["rouge_2"] == 0.0
    half = text.split(", ")
    part = values(", ".join(half[: len(half) // 2]), text, language)
    assert 0 < part["rouge_l"] < 1 and 0 < part["length_ratio"] < 1


def test_turkish_has_capitals_of_its_own() -> None:
    assert words("İSTANBUL IŞIK", "tr") == words("istanbul ışık", "tr") == ["istanbul", "ışık"]


def test_the_thai_vowel_am_stays_whole_for_the_dictionary() -> None:
    for typed in ("น้ำท่วมทำให้", "น้\u0e4d\u0e32ท่วมทำให้", "น\u0e4d้\u0e32ท่วมท\u0e4d\u0e32ให้"):
        assert words(typed, "th") == ["น้ำท่วม", "ทำให้"], ascii(typed)
    assert words("ນ\u0ec9\u0ecd\u0eb2", "lo") == words("ນ\u0ec9\u0eb3", "lo")


@pytest.mark.parametrize(
    ("language", "word"),
    [
        ("si", "ශ්\u200dරී"), ("bn", "র\u200d্যাব"), ("hi", "क्\u200dया"), ("fa", "کتاب\u200cها"), ("mr", "वर\u200d्षा"),
        ("kn", "ಅರ್\u200cಥ"), ("ml", "അവന്\u200d"), ("ta", "க்\u200cஷ"), ("he", "שלו\u200fם"), ("en", "co\u00adoperate"),
        ("ar", "\ufeffسلام"), ("mn", "ᠬᠠᠭ\u180eᠠ"), ("de", "Auf\u2060lage"), ("ur", "بے\u200cشک"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_cuts_no_word(language: str, word: str) -> None:
    seen = "".join(letter for letter in word if letter not in "\u200c\u200d\u200f\u00ad\ufeff\u180e\u2060")
    assert words(word, language) == words(seen, language) == [seen.lower()]
    assert values(f"{word} x", f"{word} 7", language)["rouge_1"] == 0.5


def test_a_zero_width_space_parts_words_and_signs_are_none() -> None:
    assert words("foo\u200bbar", "en") == ["foo", "bar"]
    assert words("ok ❤\ufe0f \u0301 ☎", "en") == ["ok"]


FORMS = "'’‘ʼʻ`´＇"
"""What people type for an apostrophe, or for the letter that looks like one."""


@pytest.mark.parametrize(
    ("language", "word"),
    [
        ("uk", "обʼєкт"), ("be", "абʼект"), ("uz", "oʻzbek"), ("haw", "Hawaiʻi"), ("br", "cʼhoazh"), ("ha", "jaʼiz"),
        ("gn", "mbaʼe"), ("sw", "ngʼombe"), ("om", "taʼe"), ("to", "Haʻapai"), ("he", "צ׳כיה"), ("mi", "Maʼohi"),
    ],
)  # fmt: skip
def test_an_apostrophe_that_is_a_letter_is_one_however_it_is_typed(language: str, word: str) -> None:
    typed = [word.replace(letter, form) for letter in "ʼʻ׳" for form in FORMS]
    assert {tuple(words(form, language)) for form in typed} == {tuple(words(word, language))}
    assert len(words(word, language)) == 1
    assert words(f"‘{word}’ '{word}'", language) == words(f"{word} {word}", language)


@pytest.mark.parametrize(
    ("language", "word", "parts"),
    [
        ("fr", "lʼeau", ["l", "eau"]), ("it", "dellʼanno", ["dell", "anno"]), ("en", "donʼt", ["don", "t"]),
        ("ca", "dʼaigua", ["d", "aigua"]), ("tr", "İzmirʼde", ["izmir", "de"]), ("nl", "fotoʼs", ["foto", "s"]),
        ("ga", "bʼfhéidir", ["b", "fhéidir"]), ("pt", "dʼágua", ["d", "água"]), ("fr-CA", "lʼeau", ["l", "eau"]),
    ],
)  # fmt: skip
def test_an_apostrophe_of_what_is_left_out_parts_words_however_it_is_typed(
    language: str, word: str, parts: list[str]
) -> None:
    for form in FORMS:
        assert words(word.replace("ʼ", form), language) == parts, form


def test_hebrew_abbreviations_are_words() -> None:
    assert len({tuple(words(form, "he")) for form in ('ארה"ב', "ארה״ב", "ארה”ב")}) == 1
    assert words('הוא אמר "כן" ארה"ב', "he")[:3] == ["הוא", "אמר", "כן"]


@pytest.mark.parametrize(
    "text", ["한국어 요약입니다", "Thủ tướng thăm Việt Nam", "Réunion à Genève", "ガソリンが高い", "क़लम"]
)
def test_chrf_is_of_composed_text(text: str) -> None:
    apart = unicodedata.normalize("NFD", text)
    for language in ("ko", "vi", "fr", "ja", "hi"):
        assert values(apart, text, language)["chrf"] == values(text, apart, language)["chrf"] == 1.0
    assert values(apart + " x", text, "en")["chrf"] == values(text + " x", text, "en")["chrf"] != 1.0


def test_words_are_words_where_none_are_spaced() -> None:
    assert words("图书馆星期一关闭。", "zh") == ["图书馆", "星期一", "关闭"]
    assert words("図書館は月曜日に休館します。", "ja")[:2] == ["図書", "館"]
    assert "จันทร์" in words("ห้องสมุดจะปิดวันจันทร์", "th")
    assert words("ຫໍສະໝຸດ", "lo") and words("បណ្ណាល័យ", "km")
    assert {language: tokenizer_name(language).partition("-")[0] for language in ("zh", "ja", "th", "hi")} == {
        "zh": "jieba", "ja": "fugashi", "th": "newmm", "hi": "unicode",
    }  # fmt: skip


def test_english_agrees_with_rouge_score() -> None:
    chosen = random.Random(0)
    vocabulary = [
        "the",
        "a",
        "harbour",
        "was",
        "closed",
        "on",
        "Monday",
        "because",
        "of",
        "storm",
        "that",
        "came",
        "in",
        "from",
        "sea",
        "12",
        "don't",
        "well-known",
        "U.S.",
    ]
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    for _ in range(300):
        one, other = (" ".join(chosen.choices(vocabulary, k=chosen.randint(2, 30))) for _ in range(2))
        theirs = scorer.score(other, one)
        ours = values(one, other, "en")
        for mine, name in {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}.items():
            assert ours[mine] == pytest.approx(theirs[name].fmeasure, abs=1e-9), (one, other)


def test_copying_is_the_share_of_trigrams_from_the_source() -> None:
    source = "one two three four five six"
    assert values("two three four five", "x y", "en", source)["copy_rate"] == 1.0
    assert values("two three four nine ten", "x y", "en", source)["copy_rate"] == pytest.approx(1 / 3)
    assert values("two three", "x y", "en", source)["copy_rate"] is None
    assert values("two three four", "x y", "en")["copy_rate"] is None


def test_nothing_to_compare_is_unscored_with_a_reason_and_an_empty_prediction_is_zero() -> None:
    unscored: list[Score] = score_summary("words", "…", "", "en")
    assert {score.metric for score in unscored if score.value is None} == {
        "rouge_l", "rouge_1", "rouge_2", "length_ratio", "copy_rate",
    }  # fmt: skip
    assert all(score.reason for score in unscored if score.value is None)
    assert values("", "two words", "en")["rouge_l"] == 0.0
    one_word = {score.metric: score for score in score_summary("word", "word", "", "en")}
    assert one_word["rouge_1"].value == 1.0 and one_word["rouge_2"].value is None
    assert "unicode-words" in one_word["rouge_1"].version
