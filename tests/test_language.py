"""Languages of answers: identifiers, and scores split by them."""

from __future__ import annotations

import polars as pl
import pytest

from eval.scorers.identifiers import IDENTIFIERS, Identifier, identify
from eval.scorers.language import ANOTHER, score_language
from eval.scorers.split import split_scores

STUDY = ["ar", "en", "es", "fr", "ja", "ko", "pt", "zh"]
SENTENCES = {
    "ar": "القطة تنام على الطاولة في المطبخ كل يوم",
    "en": "The cat sleeps on the kitchen table every day",
    "es": "El gato duerme todos los días sobre la mesa de la cocina",
    "fr": "Le chat dort tous les jours sur la table de la cuisine",
    "ja": "猫は毎日台所のテーブルの上で寝ています",
    "ko": "고양이는 매일 부엌 식탁 위에서 잠을 잡니다",
    "pt": "O gato dorme todos os dias em cima da mesa da cozinha",
    "zh": "这只猫每天都在厨房里的桌子上睡觉，因为那里比较暖和",
}


@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_every_identifier_tells_the_studys_languages_apart(identifier: Identifier) -> None:
    assert {language: identify(text, STUDY, identifier) for language, text in SENTENCES.items()} == {
        language: language for language in SENTENCES
    }
    for expected in STUDY:
        for language, text in SENTENCES.items():
            score = score_language(text, expected, STUDY, identifier)[0]
            assert score.value == float(language == expected), (language, expected)


@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_a_language_outside_the_candidates_is_never_the_answer(identifier: Identifier) -> None:
    assert identify(SENTENCES["pt"], ["en", "ja"], identifier) == "en"
    assert identify("18 + 5", STUDY, identifier) is None


@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_norwegian_is_not_a_wrong_language_for_being_called_danish(identifier: Identifier) -> None:
    text = "Det er atten epler på bordet i dag, sier hun"
    assert score_language(text, "nb", ["da", "en", "nb"], identifier)[0].value == 1.0
    assert score_language(SENTENCES["en"], "nb", ["da", "en", "nb"], identifier)[0].value == 0.0


def test_short_answers_are_skipped_in_all_scripts_alike() -> None:
    short = {
        "ja": "はい、そうです",
        "ko": "네",
        "ar": "نعم",
        "fr": "oui",
        "zh": "猫",
        "th": "ใช่",
        "bo": "ཨིན།",
        "en": "はい",
    }
    for language, text in short.items():
        scores = score_language(text, language, STUDY)
        assert [score.value for score in scores] == [None, None] and scores[0].reason, language
    assert score_language("はい", "ja", STUDY)[0].reason == "too short to tell"


SENTENCES_ELSEWHERE = [
    "Il gatto dorme ogni giorno sul tavolo della cucina",
    "Domani il museo sarà aperto dalle nove alle sei",
    "Non so quando torneranno a casa i bambini",
    "Die Katze schläft jeden Tag auf dem Küchentisch",
    "El gat dorm cada dia damunt la taula de la cuina",
    "Кошка каждый день спит на кухонном столе",
    "Kočka spí každý den na kuchyňském stole",
]


@pytest.mark.parametrize("text", SENTENCES_ELSEWHERE)
def test_an_answer_in_a_language_that_nobody_named_fails_unless_the_set_is_closed(text: str) -> None:
    assert score_language(text, "es", [*STUDY, ANOTHER])[0].value == 0.0
    closed = score_language(text, "es", ["es", "zh"])[0]
    assert closed.value == (0.0 if text.startswith("К") else 1.0), "it is nearer to Spanish than to Chinese"


@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_what_is_right_stays_right_among_all_languages(identifier: Identifier) -> None:
    for language, text in SENTENCES.items():
        assert score_language(text, language, ["en", ANOTHER], identifier)[0].value == 1.0, language


def test_a_language_written_in_other_letters_than_the_code_says_fails() -> None:
    def passed(text: str, language: str) -> float | None:
        return score_language(text, language, ["en", ANOTHER])[0].value

    latin, cyrillic = "Mačka spava svaki dan na kuhinjskom stolu", "Мачка спава сваки дан на кухињском столу"
    assert (passed(latin, "sr-Latn"), passed(cyrillic, "sr-Latn"), passed(cyrillic, "sr")) == (1.0, 0.0, 1.0)
    assert passed("O gato dorme todos os dias em cima da mesa", "pt-BR") == 1.0


def test_a_language_that_the_identifier_does_not_know_is_unscored() -> None:
    score = score_language("Ina son ku sosai yau da gobe mu je", "ha", ["en", "ha"], "fasttext")[0]
    assert score.value is None and score.reason == "fasttext does not know ha"


def scored(metric: str, value: float | None, item: str, reason: str | None = None) -> dict[str, object]:
    place = {"cell": "base", "weights": None, "task": "instructions", "language": "fr", "item": item, "id": item}
    return place | {"metric": metric, "value": value, "version": "v", "answer": None, "reason": reason}


def test_scores_are_split_by_the_language_of_the_completion() -> None:
    rows = [
        *(scored("judge_rating", 4.0, item) for item in ("right", "wrong", "unknown")),
        scored("judge_rating", None, "unjudged", "no rating"),
        scored("language_pass", 1.0, "right"),
        scored("language_pass", 0.0, "wrong"),
        scored("language_pass", None, "unknown", "too short to tell"),
        scored("language_pass", 0.0, "unjudged"),
        scored("judge_rating", None, "unwritten", "not generated"),
    ]
    table = pl.DataFrame(rows, schema_overrides={"value": pl.Float64, "weights": pl.String, "answer": pl.String})
    split = split_scores(table, "judge_rating")
    assert split.columns == table.columns
    values = {
        (metric.removeprefix("judge_rating_"), item): (value, reason)
        for metric, item, value, reason in split.select("metric", "item", "value", "reason").iter_rows()
    }
    assert values == {
        ("in_language", "right"): (4.0, None),
        ("in_language", "wrong"): (None, "in another language"),
        ("in_language", "unknown"): (None, "language not known: too short to tell"),
        ("in_language", "unjudged"): (None, "no rating"),
        ("switch_aware", "right"): (4.0, None),
        ("switch_aware", "wrong"): (1.0, "in another language"),
        ("switch_aware", "unknown"): (4.0, None),
        ("switch_aware", "unjudged"): (None, "no rating"),
        ("in_language", "unwritten"): (None, "not generated"),
        ("switch_aware", "unwritten"): (None, "not generated"),
    }
