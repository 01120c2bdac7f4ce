"""Constraints hold whatever the writing: typed apart or composed, in any digits, between any quotation marks."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.scorers.constraints import KINDS, METRICS, constraints_problem, score_constraints
from eval.scorers.ifeval import IFEVAL
from eval.scorers.typography import QUOTATION_MARKS, is_bullet, list_number, plain
from tests.support import embedded


def strict(prediction: str, *constraints: dict[str, Any]) -> float | None:
    """Whether the prediction fulfils the constraints, strictly."""
    return score_constraints(prediction, constraints, "en")[0].value


SPACES = ("\u00a0", "\u202f", "\u2009", "\u2007")


@pytest.mark.parametrize("space", SPACES)
def test_spaces_that_do_not_break_are_spaces_in_constraints_too(space: str) -> None:
    sentence = f"Prix{space}: 5{space}€"
    for written, asked in [(sentence, f"5{space}€"), (sentence, "5 €"), ("Prix : 5 €", f"5{space}€")]:
        assert strict(written, {"kind": "contains", "text": asked}) == 1.0
        assert strict(written, {"kind": "excludes", "text": asked}) == 0.0
        assert strict(written, {"kind": "ends_with", "text": asked}) == 1.0
        assert strict(f"{written} {written}", {"kind": "occurs", "text": asked, "count": 2}) == 1.0
        assert strict(f"{asked} puis 6 €", {"kind": "in_order", "items": [asked, f"6{space}€"]}) == 1.0


@pytest.mark.parametrize("phrase", ["Thủ tướng", "안녕하세요", "Réunion à Genève", "ガソリン", "Übermäßig", "क़लम"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_composed_and_decomposed_texts_are_one(phrase: str, form: str) -> None:
    asked = unicodedata.normalize(form, phrase)
    for written in (unicodedata.normalize("NFC", phrase), unicodedata.normalize("NFD", phrase)):
        for kind in ("equals", "contains", "starts_with", "ends_with"):
            assert strict(written, {"kind": kind, "text": asked}) == 1.0, kind
        assert strict(f"„{written}”", {"kind": "quoted", "text": asked}) == 1.0
        assert strict(written, {"kind": "excludes", "text": asked}) == 0.0


def test_what_cannot_be_seen_is_neither_missed_nor_in_the_way() -> None:
    assert strict("\u200fשלום\u200e", {"kind": "equals", "text": "שלום"}) == 1.0
    assert strict("می\u200cخواهم", {"kind": "contains", "text": "میخواهم"}) == 1.0
    assert strict("co\u00adoperate", {"kind": "excludes", "text": "cooperate"}) == 0.0
    assert strict("a\r\nb\u2028c", {"kind": "lines", "count": 3}) == 1.0


DIGITS = [chr(code) for code in range(0x110000) if chr(code).isdecimal() and unicodedata.decimal(chr(code)) == 1]


def test_lists_are_numbered_in_every_system_of_digits() -> None:
    assert len(DIGITS) > 60
    for one in DIGITS:
        digits = [chr(ord(one) - 1 + value) for value in range(10)]
        lines = [f"{''.join(digits[int(digit)] for digit in str(number))}. x" for number in range(1, 13)]
        assert strict("\n".join(lines), {"kind": "numbered", "count": 12}) == 1.0, lines[0]
        assert strict("\n".join(reversed(lines)), {"kind": "numbered", "count": 12}) == 0.0


@pytest.mark.parametrize(
    "first",
    [
        "1. x", "1.x", "1) x", "(1) x", "[1] x", "（1）x", "１．x", "1：x", "1: x", "1、x", "1- x", "1 – x", "1.  x",
        "\u200f1. x", "১। x", "١- x", "१) x", "①x", "⑴ x", "⒈ x", "一、x", "（一）x", "1º x", "1]\u00a0x",
    ],
)  # fmt: skip
def test_a_number_of_a_list_is_set_in_many_ways(first: str) -> None:
    assert list_number(plain(first)) == 1


def test_numbers_within_a_text_are_none_of_a_list() -> None:
    for line in ("1.5 litres", "1,5 l", "1-2 days", "10:30 lunch", "1 apple", "12", "3.", "½. x", "一般的な", "x 1."):
        assert list_number(line) is None, line
    assert [list_number(f"{number}、x") for number in ("十", "十二", "二十", "九十九", "一〇")] == [10, 12, 20, 99, 10]


def test_bullets_of_all_kinds_but_rules_numbers_and_bold_text() -> None:
    for mark in "-*+•‣・·●○■▪–—◆➢":
        assert is_bullet(f"{mark} x") and (mark in "*" or is_bullet(f"{mark}x")), mark
    for line in ("---", "***", "**bold**", "*italic*", "-5", "– ", "x", "-", "+1"):
        assert not is_bullet(line), line


CLDR = "“” ‘’ «» „“ ’‘ ”“ „” ‚‘ ’’ ‹› ‚’ ”” 「」 『』 »« ›‹ “’"
"""Every pair of quotation marks, first or alternate, of the 700 locales of CLDR 48."""


@pytest.mark.parametrize("pair", [*map(tuple, CLDR.split()), *QUOTATION_MARKS])
def test_quotation_marks_of_every_language(pair: tuple[str, str]) -> None:
    opening, closing = pair
    quoted = {"kind": "quoted", "text": "oui"}
    assert strict(f"Il dit : {opening}oui{closing}.", quoted) == 1.0
    assert strict(f"Il dit : {opening}oui, oui{closing}.", {"kind": "quoted", "text": "non"}) == 0.0
    assert strict(f"Il dit : {opening}oui et non", quoted) == 0.0


@pytest.mark.parametrize("space", [" ", *SPACES])
def test_french_marks_stand_apart_from_what_they_quote(space: str) -> None:
    for opening, closing in ("«»", "‹›", "“”"):
        assert strict(f"{opening}{space}oui{space}{closing}", {"kind": "quoted", "text": "oui"}) == 1.0


AMONG = ["en", "fr"]
NEVER = [
    ({"kind": "lines", "count": "2"}, "count must be a whole number from 1 on, not '2'"),
    ({"kind": "lines", "count": True}, "not True"),
    ({"kind": "bullets", "count": 2.5}, "not 2.5"),
    ({"kind": "numbered", "count": 0}, "from 1 on"),
    ({"kind": "occurs", "text": "a", "count": -1}, "from 0 on"),
    ({"kind": "lines", "count": None}, "count is missing"),
    ({"kind": "lines"}, "count is missing"),
    ({"kind": "contains", "text": ""}, "text must be text that is not empty"),
    ({"kind": "excludes", "text": " \u200b"}, "text must be text that is not empty"),
    ({"kind": "starts_with", "text": 5}, "not 5"),
    ({"kind": "in_order", "items": "ab"}, "items must be a list"),
    ({"kind": "in_order", "items": []}, "items must be a list"),
    ({"kind": "in_order", "items": ["a", ""]}, "items must be a list"),
    ({"kind": "in_order", "items": ["an", "banana"]}, "'an' is in 'banana'"),
    ({"kind": "in_order", "items": ["é", "e\u0301"]}, "can never occur once each"),
    ({"kind": "language", "code": "pt", "among": ["en", "fr"]}, "'pt' is not among en, fr"),
    ({"kind": "language", "code": "pt-BR", "among": ["pt-BR", "en"]}, "does not know the language 'pt-BR'"),
    ({"kind": "language", "code": "fr", "among": ["fr"]}, "must name another language"),
    ({"kind": "language", "code": "fr", "among": "fr"}, "among must be a list"),
    ({"kind": ["lines"], "count": 2}, "no constraint of kind"),
    ({"count": 2}, "no constraint of kind None"),
]


@pytest.mark.parametrize(("spec", "reason"), NEVER, ids=lambda value: json.dumps(value))
def test_a_constraint_that_can_never_hold_is_unscored_with_the_reason(spec: dict[str, Any], reason: str) -> None:
    scores = score_constraints("a\nb", [spec, {"kind": "lines", "count": 2}], "en")
    assert [score.metric for score in scores] == list(METRICS)
    assert all(score.value is None and reason in (score.reason or "") for score in scores)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"kind": "uppercase"}, {"kind": "lowercase"}),
        ({"kind": "uppercase"}, {"kind": "ends_with", "text": "Amen"}),
        ({"kind": "lowercase"}, {"kind": "in_order", "items": ["a", "B"]}),
        ({"kind": "contains", "text": "une voix"}, {"kind": "excludes", "text": "voix"}),
        ({"kind": "quoted", "text": "b"}, {"kind": "occurs", "text": "b", "count": 0}),
        ({"kind": "occurs", "text": "b", "count": 1}, {"kind": "occurs", "text": "b", "count": 2}),
        ({"kind": "lines", "count": 2}, {"kind": "bullets", "count": 3}),
        ({"kind": "numbered", "count": 2}, {"kind": "bullets", "count": 2}),
        ({"kind": "equals", "text": "a b"}, {"kind": "ends_with", "text": "c"}),
        ({"kind": "starts_with", "text": "a"}, {"kind": "starts_with", "text": "b"}),
        ({"kind": "language", "code": "fr", "among": AMONG}, {"kind": "language", "code": "en", "among": AMONG}),
    ],
)  # fmt: skip
def test_constraints_that_exclude_each_other_are_unscored(one: dict[str, Any], other: dict[str, Any]) -> None:
    for specs in ([one, other], [other, one]):
        assert "can never hold together" in (constraints_problem(specs, "en") or ""), specs
    assert constraints_problem([one], "en") is None and constraints_problem([other], "en") is None


def test_constraints_that_go_together_are_scored() -> None:
    for specs in (
        [{"kind": "lines", "count": 2.0}, {"kind": "numbered", "count": 2}],
        [{"kind": "starts_with", "text": "a"}, {"kind": "starts_with", "text": "ab"}],
        [{"kind": "equals", "text": "a b"}, {"kind": "lowercase"}, {"kind": "contains", "text": "a"}],
        [{"kind": "uppercase"}, {"kind": "contains", "text": "ÉTÉ 1"}],
    ):
        assert constraints_problem(specs, "en") is None, specs


def test_the_answers_of_the_embedded_instructions_fulfil_their_constraints() -> None:
    source = next(source for source in embedded() if source.name == "instructions")
    kinds: set[str] = set()
    for language in source.languages:
        for split in ("train", "validation", "test"):
            for example in source.pool(split, language).examples(range(60)):
                kinds |= {spec["kind"] for spec in example.constraints}
                assert strict(example.target, *example.constraints) == 1.0, (language, example.target)
    assert kinds == set(KINDS) - set(IFEVAL)


def test_loosely_each_constraint_may_hold_of_another_variant() -> None:
    specs = [{"kind": "starts_with", "text": "a"}, {"kind": "ends_with", "text": "z"}]
    scores = {score.metric: score.value for score in score_constraints("Sure:\na to z\nBye", specs, "en")}
    assert (scores["prompt_pass"], scores["prompt_pass_loose"]) == (0.0, 1.0)
    specs = [{"kind": "starts_with", "text": "Sure"}, {"kind": "excludes", "text": "hm"}]
    apart = {score.metric: score.value for score in score_constraints("Sure, hm\na", specs, "en")}
    assert [apart[metric] for metric in METRICS] == [0.0, 0.5, 1.0, 1.0]


@given(st.text(max_size=60), st.sampled_from(["lines", "bullets", "numbered", "uppercase", "contains"]))
def test_loose_is_never_stricter_than_strict(prediction: str, kind: str) -> None:
    spec = {"kind": kind, "count": 1, "text": "a"}
    prompt, instruction, loose, loose_instruction = (
        score.value for score in score_constraints(prediction, [spec], "en")
    )
    assert prompt is not None and loose is not None and loose >= prompt
    assert (instruction, loose_instruction) == (prompt, loose)
