"""Scorers are right in every script, and say so when they cannot tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.scorers.answers import score_answer
from eval.scorers.constraints import score_constraints
from eval.scorers.identifiers import identify
from eval.scorers.language import score_language
from eval.scorers.summaries import rouge_l, rouge_n, score_chrf, score_rouge_l
from eval.scorers.words import words


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_rouge_is_symmetric_and_within_range(one: list[str], other: list[str]) -> None:
    assert rouge_l(one, other) == rouge_l(other, one)
    assert 0 <= rouge_l(one, other) <= 1
    if one:
        assert rouge_l(one, one + other) == 2 * len(one) / (2 * len(one) + len(other))


WORDS = st.lists(st.sampled_from(["kat", "hund", "fisk", "vann", "sol"]), min_size=1, max_size=12)


@given(WORDS, st.data())
def test_a_summary_that_goes_on_as_the_reference_does_is_never_scored_lower(
    words_of: list[str], data: st.DataObject
) -> None:
    length = data.draw(st.integers(0, len(words_of) - 1))
    shorter, longer = words_of[:length], words_of[: length + 1]
    assert rouge_l(shorter, words_of) <= rouge_l(longer, words_of)
    for size in (1, 2):
        assert rouge_n(shorter, words_of, size) <= rouge_n(longer, words_of, size)
    less, more = (score_chrf(" ".join(each), " ".join(words_of)).value for each in (shorter, longer))
    assert less is not None and more is not None and less <= more + 1e-9


@given(WORDS, st.integers(1, 4))
def test_what_is_off_the_reference_never_raises_a_score(words_of: list[str], more: int) -> None:
    padded = [*words_of, *["xyz"] * more]
    assert rouge_l(padded, words_of) < rouge_l(words_of, words_of) == 1
    assert rouge_n(padded, words_of, 1) < 1


@given(
    st.lists(
        st.sampled_from(["The cat sleeps on the table today.", "Le chat dort sur la table de la cuisine."]), max_size=4
    )
)
def test_a_line_in_another_language_never_helps(lines: list[str]) -> None:
    def passed(text: str) -> float:
        return score_language(text, "fr", ["en", "fr"])[0].value or 0.0

    assert passed("\n".join([*lines, "The cat sleeps on the table today."])) <= passed("\n".join(lines))


@given(st.sampled_from(["en", "de", "ja", "ar", "hi"]), st.integers(0, 10**6), st.text("abc xyz\n", max_size=30))
def test_chatter_before_an_answer_changes_nothing(language: str, number: int, chatter: str) -> None:
    answer = f"#### {number}"
    assert score_answer(f"{chatter}\n{answer}", str(number), language).value == 1.0
    assert score_answer(f"{chatter}\n{answer}", str(number + 1), language).value == 0.0


def test_combining_marks_stay_in_their_word() -> None:
    assert words("पुस्तकालय सोमवार", "hi") == ["पुस्तकालय", "सोमवार"]
    assert words("Kütüphane günü", "tr") == ["kütüphane", "günü"]


def test_an_empty_reference_is_unscored_not_zero() -> None:
    score = score_rouge_l("something", " … ", "en")
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
    assert [score.value for score in score_constraints(right, [spec], "en")] == [1.0] * 4
    failed = score_constraints(wrong, [spec], "en")[0]
    assert failed.value == 0.0 and failed.answer == f"failed: {spec['kind']}"
    assert score_constraints("", [spec], "en")[0].value == 0.0


def test_every_constraint_must_hold_and_none_is_unscored() -> None:
    specs = [{"kind": "uppercase"}, {"kind": "contains", "text": "A"}]
    assert score_constraints("AB", specs, "en")[0].value == 1.0
    assert [score.value for score in score_constraints("B", specs, "en")] == [0.0, 0.5, 0.0, 0.5]
    assert all(score.value is None and score.reason == "nothing to check" for score in score_constraints("B", [], "en"))
    (unknown, *_) = score_constraints("B", [{"kind": "rhymes"}], "en")
    assert unknown.value is None and unknown.reason.startswith("no constraint of kind 'rhymes'")


def test_loose_means_without_a_first_or_last_line_or_asterisks() -> None:
    spec = [{"kind": "equals", "text": "A B"}]
    for prediction in ("Sure:\nA B", "A B\nBye", "Sure:\nA B\nBye", "**A B**"):
        strict, _, loose, _ = (score.value for score in score_constraints(prediction, spec, "en"))
        assert (strict, loose) == (0.0, 1.0), prediction


def test_languages_are_told_apart_among_candidates_only() -> None:
    assert identify("Guten Morgen", ["en", "fr"]) in ("en", "fr")
    assert identify("18 + 5", ["en", "fr"]) is None
