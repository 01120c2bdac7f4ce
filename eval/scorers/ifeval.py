"""IFEval's 25 types of instruction by its names and arguments (Zhou et al. 2023, arXiv 2311.07911).

In English each holds of what IFEval's own program says it holds of, but that keywords are texts and not patterns. In
other languages it means what its words say: words are those of a segmenter or have their combining marks, sentences end
as they do in that script, and commas, bullets and quotation marks are the language's own too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import regex

from eval.scorers.constraint_fields import FieldCheck, Kind, Spec, at_least, is_list_of_texts, is_text, one_of
from eval.scorers.identifiers import DEFAULT, identify, knows, same
from eval.scorers.locales import base_of
from eval.scorers.sentences import UNMARKED, count_sentences
from eval.scorers.sentences import VERSION as SENTENCES_VERSION
from eval.scorers.typography import QUOTATION_MARKS
from eval.scorers.words import DOTTED, SEGMENTERS, UNSEGMENTED, begins_with_word, count_words, has_word, tokenizer_name

SEGMENTED_BY = " ".join(tokenizer_name(language) for language in SEGMENTERS)
VERSION = f"ifeval/2 langdetect-{version('langdetect')} {SENTENCES_VERSION} {SEGMENTED_BY}"
RESPONSE_LANGUAGE = "language:response_language"
LANGUAGES = frozenset((
    "af", "ar", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "gu", "he",
    "hi", "hr", "hu", "id", "it", "ja", "kn", "ko", "lt", "lv", "mk", "ml", "mr", "ne", "nl", "no", "pa", "pl",
    "pt", "ro", "ru", "sk", "sl", "so", "sq", "sv", "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "vi", "zh",
))  # fmt: skip
"""Those that IFEval's identifier tells apart, and ours from each other."""
OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
COMMAS = re.compile("[,،、，﹐﹑､՝፣߸᠂꘍]")
BULLETS = {True: re.compile(r"^\s*\*[^*].*$|^\s*-.*$", re.M), False: re.compile(r"^\s*(?:\*[^*]|[-•・●◦‣▪·]).*$", re.M)}
"""Bullet points, in English and elsewhere."""
FENCED = re.compile(r"\A(?:```(?:json|Json|JSON)?)?(?P<inside>.*?)(?:```)?\Z", re.S)
TOKEN_BREAK = regex.compile(
    r"[\s;@#$%&?!\"()\[\]{}<>«»“”‘’„`…]+|,(?!\d)|:(?!\d)|--+|\.\.\.+"
    r"|(?='(?:S|M|D|LL|RE|VE)\b)|(?<=\w)(?=N'T\b)"
)
"""Where the Penn Treebank's rules part words, as far as capitals go."""


def constraints_from_ifeval(names: Sequence[Any], kwargs: Sequence[Any]) -> list[dict[str, Any]] | None:
    """IFEval's `instruction_id_list` and `kwargs` as constraints; arguments that are null are left out.

    None if they are not a list of names and as many objects.
    """
    if len(names) != len(kwargs) or not all(isinstance(given, Mapping) for given in kwargs):
        return None
    return [
        {key: value for key, value in given.items() if value is not None} | {"kind": name}
        for name, given in zip(names, kwargs, strict=True)
    ]


def _lower(text: str, language: str) -> str:
    dotted = base_of(language) in DOTTED
    return (text.replace("İ", "i").replace("I", "ı") if dotted else text).lower()


def _related(count: int, threshold: float, relation: str) -> bool:
    return count < threshold if relation == "less than" else count >= threshold


def _has_keywords(text: str, spec: Spec, language: str) -> bool:
    return all(_lower(keyword, language) in _lower(text, language) for keyword in spec["keywords"])


def _keyword_frequency(text: str, spec: Spec, language: str) -> bool:
    count = _lower(text, language).count(_lower(spec["keyword"], language).strip())
    return _related(count, spec["frequency"], spec["relation"])


def _no_forbidden_words(text: str, spec: Spec, language: str) -> bool:
    return not any(has_word(word, text, language) for word in spec["forbidden_words"])


def _letter_frequency(text: str, spec: Spec, language: str) -> bool:
    count = _lower(text, language).count(_lower(spec["letter"], language).strip())
    return _related(count, spec["let_frequency"], spec["let_relation"])


def _is_in(text: str, language: str) -> bool:
    """Whether a text is in a language; as to IFEval, one without letters is in every language."""
    if not any(map(str.isalpha, text)):
        return True
    likeliest = identify(text, (*LANGUAGES, language))
    return likeliest is not None and same(likeliest, language)


def _is_english_to_ifeval(text: str) -> bool:
    """Whether a text is English to langdetect, which decides it in IFEval, and misjudges many a short text in capitals.

    langdetect draws at random; here always alike.
    """
    from langdetect.lang_detect_exception import LangDetectException

    detector: Any = _langdetect().create()
    detector.append(text)
    try:
        return detector.detect() == "en"
    except LangDetectException:  # no letters that it knows: to IFEval this is English too
        return True


@lru_cache(maxsize=1)
def _langdetect() -> Any:
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    factory: Any = DetectorFactory()
    factory.load_profile(PROFILES_DIRECTORY)
    factory.set_seed(0)
    return factory


def _paragraphs(text: str, spec: Spec, _: str) -> bool:
    parts = re.split(r"\s?\*\*\*\s?", text)
    empty = [index for index, part in enumerate(parts) if not part.strip()]
    within = any(index not in (0, len(parts) - 1) for index in empty)
    return not within and len(parts) - len(empty) == spec["num_paragraphs"]


def _first_word_of_paragraph(text: str, spec: Spec, language: str) -> bool:
    parts = text.split("\n\n")
    filled, nth = sum(1 for part in parts if part.strip()), int(spec["nth_paragraph"])
    if filled != spec["num_paragraphs"] or nth > filled or not parts[nth - 1].strip():
        return False
    paragraph, word = parts[nth - 1].strip(), spec["first_word"].strip()
    if base_of(language) in SEGMENTERS:
        return begins_with_word(paragraph, word, language)
    first = paragraph.split()[0].lstrip("'").lstrip('"')
    if base_of(language) != "en":
        first = regex.sub(r"^\p{P}+", "", paragraph).split(maxsplit=1)[0] if regex.search(r"\P{P}", paragraph) else ""
        return _lower(regex.split(r"(?![-'’ʼ־])\p{P}", first)[0], language) == _lower(word, language)
    return re.split("[.,?!'\"]", first)[0].lower() == word.lower()


def _postscript(text: str, spec: Spec, language: str) -> bool:
    marker = spec["postscript_marker"].strip()
    patterns = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return re.search(patterns.get(marker, re.escape(_lower(marker, language))), _lower(text, language)) is not None


def _highlights(text: str, spec: Spec, _: str) -> bool:
    once = [part for part in re.findall(r"\*[^\n*]*\*", text) if part.strip("*").strip()]
    twice = [part for part in re.findall(r"\*\*[^\n*]*\*\*", text) if part[2:-2].strip()]
    return len(once) + len(twice) >= spec["num_highlights"]


def _sections(text: str, spec: Spec, _: str) -> bool:
    return len(re.findall(rf"{re.escape(spec['section_spliter'].strip())}\s?\d+", text)) >= spec["num_sections"]


def _is_json(text: str, _: Spec, __: str) -> bool:
    match = FENCED.match(text.strip())
    try:
        json.loads(match["inside"].strip() if match else text)
    except (ValueError, RecursionError):
        return False
    return True


def _has_title(text: str, _: Spec, __: str) -> bool:
    return any(title.lstrip("<").rstrip(">").strip() for title in re.findall(r"<<[^\n]+>>", text))


def _two_responses(text: str, _: Spec, __: str) -> bool:
    parts = text.split("******")
    if any(not part.strip() for part in parts[1:-1]):
        return False
    responses = [part.strip() for part in parts if part.strip()]
    return len(responses) == 2 and responses[0] != responses[1]


def _capital_words(text: str, spec: Spec, _: str) -> bool:
    count = sum(1 for word in TOKEN_BREAK.split(text) if word and word.isupper())
    return _related(count, spec["capital_frequency"], spec["capital_relation"])


def _is_quoted_whole(text: str, _: Spec, language: str) -> bool:
    """Whether quotation marks stand around all of the text; in English straight ones, as in IFEval."""
    text = text.strip()
    pairs = (('"', '"'),) if base_of(language) == "en" else QUOTATION_MARKS
    return any(
        len(text) >= len(opening + closing) and text.startswith(opening) and text.endswith(closing)
        for opening, closing in pairs
    )


def _ends_with(text: str, spec: Spec, language: str) -> bool:
    return _lower(text.strip().strip('"'), language).endswith(_lower(spec["end_phrase"].strip(), language))


def _unsegmented(_: Spec, language: str) -> str | None:
    unknown = base_of(language) in UNSEGMENTED
    return f"there is no segmenter for {language!r}, which has no spaces between words" if unknown else None


def _unmarked(_: Spec, language: str) -> str | None:
    return f"sentences of {language!r} end without a mark" if base_of(language) in UNMARKED else None


def _nth_problem(spec: Spec, language: str) -> str | None:
    beyond = spec["nth_paragraph"] > spec["num_paragraphs"]
    return "nth_paragraph is greater than num_paragraphs" if beyond else _unsegmented(spec, language)


def _letter(value: Any) -> str | None:
    return is_text(value) or (None if len(value.strip()) == 1 else f"must be one letter, not {value!r}")


def _language(value: Any) -> str | None:
    return is_text(value) or (None if knows(DEFAULT, value) else f"{value!r} is not known to {DEFAULT}")


COUNT, RELATION = at_least(1), one_of("less than", "at least")
Holds = Callable[[str, Spec, str], bool]


def _kind(holds: Holds, problem: Callable[[Spec, str], str | None] | None = None, **fields: FieldCheck) -> Kind:
    return Kind(holds, fields, problem) if problem else Kind(holds, fields)


IFEVAL: dict[str, Kind] = {
    "keywords:existence": _kind(_has_keywords, keywords=is_list_of_texts),
    "keywords:frequency": _kind(_keyword_frequency, keyword=is_text, frequency=COUNT, relation=RELATION),
    "keywords:forbidden_words": _kind(_no_forbidden_words, _unsegmented, forbidden_words=is_list_of_texts),
    "keywords:letter_frequency": _kind(_letter_frequency, letter=_letter, let_frequency=COUNT, let_relation=RELATION),
    RESPONSE_LANGUAGE: _kind(lambda text, spec, _: _is_in(text, spec["language"]), language=_language),
    "length_constraints:number_sentences": _kind(
        lambda text, spec, language: _related(count_sentences(text, language), spec["num_sentences"], spec["relation"]),
        _unmarked, num_sentences=COUNT, relation=RELATION,
    ),
    "length_constraints:number_paragraphs": _kind(_paragraphs, num_paragraphs=COUNT),
    "length_constraints:number_words": _kind(
        lambda text, spec, language: _related(count_words(text, language), spec["num_words"], spec["relation"]),
        _unsegmented, num_words=COUNT, relation=RELATION,
    ),
    "length_constraints:nth_paragraph_first_word": _kind(
        _first_word_of_paragraph, _nth_problem, num_paragraphs=COUNT, nth_paragraph=COUNT, first_word=is_text,
    ),
    "detectable_content:number_placeholders": _kind(
        lambda text, spec, _: len(re.findall(r"\[.*?\]", text)) >= spec["num_placeholders"], num_placeholders=COUNT,
    ),
    "detectable_content:postscript": _kind(_postscript, postscript_marker=is_text),
    "detectable_format:number_bullet_lists": _kind(
        lambda text, spec, language: len(BULLETS[base_of(language) == "en"].findall(text)) == spec["num_bullets"],
        num_bullets=COUNT,
    ),
    "detectable_format:constrained_response": _kind(lambda text, _, __: any(option in text for option in OPTIONS)),
    "detectable_format:number_highlighted_sections": _kind(_highlights, num_highlights=COUNT),
    "detectable_format:multiple_sections": _kind(_sections, section_spliter=is_text, num_sections=COUNT),
    "detectable_format:json_format": _kind(_is_json),
    "detectable_format:title": _kind(_has_title),
    "combination:two_responses": _kind(_two_responses),
    "combination:repeat_prompt": _kind(
        lambda text, spec, language: _lower(text.strip(), language).startswith(
            _lower(spec["prompt_to_repeat"].strip(), language)
        ),
        prompt_to_repeat=is_text,
    ),
    "startend:end_checker": _kind(_ends_with, end_phrase=is_text),
    "startend:quotation": _kind(_is_quoted_whole),
    "change_case:capital_word_frequency": _kind(_capital_words, capital_frequency=COUNT, capital_relation=RELATION),
    "change_case:english_capital": _kind(lambda text, _, __: text.isupper() and _is_english_to_ifeval(text)),
    "change_case:english_lowercase": _kind(lambda text, _, __: text.islower() and _is_english_to_ifeval(text)),
    "punctuation:no_comma": _kind(lambda text, _, __: COMMAS.search(text) is None),
}  # fmt: skip
"""IFEval's names of its types, and how each is checked."""
