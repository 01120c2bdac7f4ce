"""Codes of languages: canonical, and one for each language."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_mixes.languages import canonical, nearest, same_language
from data_mixes.prompt_words import ANSWERS, PROMPTS
from data_mixes.sources import SOURCES
from harness.errors import UserError
from harness.recipe.load import load_recipe


def test_the_codes_that_ship_are_canonical() -> None:
    codes = {code for source in SOURCES.values() for code in source.languages} | {*ANSWERS}
    codes |= {code for words in PROMPTS.values() for code in words}
    assert len(codes) > 40 and not [code for code in codes if canonical(code) != code]


@pytest.mark.parametrize(
    ("code", "other", "same"),
    [("iw", "he", True), ("in", "id", True), ("ji", "yi", True), ("nb", "no", True), ("tl", "fil", True),
     ("zh-Hans", "zh", True), ("cmn", "zh", True), ("pt-BR", "pt", True), ("sr-Cyrl", "sr", True),
     ("zh-Hant", "zh", False), ("zh-TW", "zh", False), ("sr-Latn", "sr", False), ("pt-PT", "pt", False),
     ("es-MX", "es", False), ("yue", "zh", False), ("arz", "ar", False), ("nn", "no", False), ("en", "fr", False)],
)  # fmt: skip
def test_which_codes_mean_one_language(code: str, other: str, same: bool) -> None:
    assert same_language(code, other) is same and same_language(other, code) is same


def test_words_are_borrowed_within_a_script_alone() -> None:
    assert [nearest(code, PROMPTS["math"]) for code in ("es-MX", "pt-PT", "zh-Hans", "zh-Hant", "sr-Latn", "nn")] == [
        "es", "pt", "zh", None, None, None,
    ]  # fmt: skip


def study_of(seen: list[str], unseen: list[str], data: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "rows.jsonl").write_text("")
    data["sources"] = {"mine": {"task": "math", "languages": [*seen, *unseen], "files": "{language}.{split}.jsonl"}}
    data["languages"] = {"seen": seen, "unseen": unseen}
    data["mixture"] = {"all": {"sources": ["mine"], "languages": seen, "amount": 1}}
    data["grid"] = {}
    data["evaluation"] |= {"tasks": ["math"], "max_tokens": {}}
    codes = (*seen, *unseen)
    data["prompts"] = {"words": {"math": dict.fromkeys(codes, "{prompt}\n")}}
    return data


@pytest.mark.parametrize(
    ("seen", "unseen", "message"),
    [
        (["he"], ["iw"], r"languages\.unseen\.0: 'iw' is another code of 'he', which is in languages\.seen"),
        (["no"], ["nb"], r"'nb' is another code of 'no', which is in languages\.seen"),
        (["zh", "zh-Hans"], [], r"languages\.seen\.1: 'zh-Hans' is another code of 'zh', which is in languages\.seen"),
        (["en"], ["in"], r"languages\.unseen\.0: 'in' is another code of 'id'; write that"),
        (["en"], ["zh-hant"], r"'zh-hant' is another code of 'zh-Hant'; write that"),
    ],
)
def test_one_language_by_two_codes_is_refused(
    seen: list[str], unseen: list[str], message: str, recipe_data: dict[str, Any],
    write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path,
) -> None:  # fmt: skip
    with pytest.raises(UserError, match=message):
        load_recipe(write_recipe(study_of(seen, unseen, recipe_data, tmp_path)))


def test_scripts_are_languages_apart(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    recipe, _ = load_recipe(write_recipe(study_of(["zh", "sr"], ["zh-Hant", "sr-Latn"], recipe_data, tmp_path)))
    assert recipe.all_languages == ("zh", "sr", "zh-Hant", "sr-Latn")


@pytest.mark.parametrize("key", ["prompts_in", "answers_in"])
def test_an_alias_of_a_pair_s_language_is_refused_by_its_name(
    key: str, recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    data = study_of(["en", "he"], [], recipe_data, tmp_path)
    languages = {"prompts_in": ["en"], "answers_in": ["en"]} | {key: ["iw"]}
    data["mixture"] = {"all": {"sources": ["mine"], "amount": 1} | languages}
    with pytest.raises(UserError, match=rf"mixture\.all\.{key}\.0: 'iw' is another code of 'he'; write that"):
        load_recipe(write_recipe(data))


def test_an_alias_of_an_lm_eval_task_s_language_is_refused_by_its_name(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    data = study_of(["en", "he"], [], recipe_data, tmp_path)
    data["evaluation"]["lm_eval"] = {"belebele": {"iw": "belebele_heb_Hebr"}}
    with pytest.raises(UserError, match=r"evaluation\.lm_eval\.belebele\.iw: 'iw' is another code of 'he'; write that"):
        load_recipe(write_recipe(data))
