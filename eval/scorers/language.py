"""Whether an answer is in the right language: line and word pass rates.

They follow the language confusion benchmark (Marchisio et al. 2024, arXiv 2406.20052): lines of fewer than five words
are skipped, in every script. Ours differ in what languages a line may be in, and in leaving out what is no prose; the
benchmark's own rule is in `language_confusion`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import regex

from eval.scorers.english_words import VERSION as ENGLISH_VERSION
from eval.scorers.english_words import is_english
from eval.scorers.identifiers import DEFAULT, Identifier, identifier_version, knows, probability_of_any, ranked, same
from eval.scorers.prose import plain_text, prose, without, without_names
from eval.scorers.score import Score
from eval.scorers.scripts import is_latin, letters_in, scripts_of
from eval.scorers.words import words

ANOTHER = "another"
"""The candidate that stands for every language that is not named."""
FEWEST_WORDS = 5
"""A line with fewer is not judged (the benchmark's rule)."""
SURE = 0.5
"""Below this probability among the candidates the identifier abstains."""
ELSEWHERE = 0.02
"""Below this probability of all candidates together, among all languages, a line is in another one."""
LATIN_WORD = regex.compile(r"(?<![\p{Latin}\p{N}_]|[\p{Latin}\p{N}]['’-])[a-z]+(?![\p{Latin}\p{N}_]|['’-]\p{Latin})")

LINE_VERSION = "line-pass/2"
WORD_VERSION = f"word-pass/2 {ENGLISH_VERSION}"
AMONG = " among "
"""What stands before the candidates in the version of a line pass."""
NO_LETTERS = "no letters"
TOO_SHORT = "too short to tell"


def score_language(
    prediction: str,
    expected: str,
    candidates: Sequence[str],
    identifier: Identifier = DEFAULT,
    dictated: Iterable[str] = (),
) -> list[Score]:
    """Line pass (every line that can be judged is in the expected language) and word pass (no English word in them).

    `candidates` are the languages that an answer may be in, the expected one always; with `ANOTHER` among them it may
    be in any other that the identifier knows. `dictated` is what the item asks to be written in any language.
    `language_pass` is 1 or 0, or unscored where no line can be judged. `word_pass` is scored where the line pass is 1
    and the language is not written in Latin letters.
    """
    among = tuple(dict.fromkeys((*candidates, expected)))
    name = f"{LINE_VERSION} {identifier_version(identifier)}{AMONG}{','.join(sorted(set(candidates)))}"
    lines = lines_of(prediction, expected, dictated)
    verdicts = [verdict for line in lines if (verdict := line_verdict(line, expected, among, identifier)) is not None]
    if not verdicts:
        reason = TOO_SHORT if knows(identifier, expected) else f"{identifier} does not know {expected}"
        reason = reason if any(map(str.isalpha, prediction)) else NO_LETTERS
        return [
            Score("language_pass", None, name, reason=reason),
            Score("word_pass", None, WORD_VERSION, reason=reason),
        ]
    passed = all(verdicts)
    return [Score("language_pass", float(passed), name), score_words(lines, expected, passed)]


def candidates_of(version: str) -> tuple[str, ...]:
    """The languages among which a line pass of this version told, as far as they are named; nothing of other scores."""
    _, _, names = version.partition(AMONG)
    return tuple(name for name in names.split(",") if name and name != ANOTHER)


def lines_of(text: str, expected: str, dictated: Iterable[str] = ()) -> list[str]:
    """The lines of prose that are long enough to judge.

    In a language without Latin letters, names in these are left out: they are in it as good as anywhere.
    """
    text = prose(without(plain_text(text), dictated))
    bare = text if is_latin(expected) else without_names(text)
    return [line for line in bare.splitlines() if len(_words_with_letters(line, expected)) >= FEWEST_WORDS]


def _words_with_letters(line: str, language: str) -> list[str]:
    return [word for word in words(line, language) if any(map(str.isalpha, word))]


def line_verdict(line: str, expected: str, among: Sequence[str], identifier: Identifier = DEFAULT) -> bool | None:
    """Whether a line is in the expected language; None where that cannot be told."""
    if not letters_in(scripts_of(expected)).search(line):
        return False
    if not knows(identifier, expected):
        return None
    named = [language for language in among if language != ANOTHER]
    if ANOTHER in among and probability_of_any(line, named, identifier) < ELSEWHERE:
        return False
    likeliest = ranked(line, named, identifier)
    if likeliest is None or likeliest[1] < SURE:
        return None
    return same(likeliest[0], expected)


def score_words(lines: Iterable[str], expected: str, line_pass: bool) -> Score:
    """1 if an answer in a language of another script holds no English word, else 0 with the first one."""
    if is_latin(expected):
        return Score("word_pass", None, WORD_VERSION, reason=f"not defined for {expected}, which has Latin letters")
    if not line_pass:
        return Score("word_pass", None, WORD_VERSION, reason="the line pass failed")
    latin = (match[0] for line in lines for match in LATIN_WORD.finditer(line))
    first = next((word for word in latin if is_english(word)), None)
    return Score("word_pass", float(first is None), WORD_VERSION, answer=first)
