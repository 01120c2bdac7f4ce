"""Which of a model's completions become targets to learn from, and why the others do not.

Rejection by agreement (self-consistency, arXiv 2203.11171), by the language of the answer, and by likelihood.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data_mixes.example import Example
from eval.answer_language import dictated_texts
from eval.engines.engine import LENGTH, Completion
from eval.scorers.answers import final_answer
from eval.scorers.identifiers import Identifier
from eval.scorers.language import score_language

NO_ANSWER = "no completion has an answer that can be read"
DISAGREE = "too few completions agree"
CUT_OFF = "cut off at the longest completion"
EMPTY = "empty"
ANOTHER_LANGUAGE = "in another language"
UNLIKELY = "not among the likeliest"
MeanLogProb = Callable[[Example, str], float]
"""The mean log-probability of a text's tokens, given the example's prompt."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which completions become targets."""

    agree: float | None = None
    """The least share of completions that come to one answer."""
    language: bool = False
    most_likely: float | None = None
    """The share of each language's targets that is kept."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The completions of one prompt that may become its target, and what was made of them."""

    example: Example
    texts: tuple[str, ...]
    """The greedy completion first, where it is one of them; none where there is a reason."""
    best: str
    """What would be the target if nothing were left out."""
    agreement: float | None = None
    """The share of completions that come to the most frequent answer, where answers are read."""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What became of one prompt."""

    example: Example
    text: str
    """The target, or what would have been if nothing were left out."""
    reason: str | None
    """Why it is left out; None where it is kept."""
    agreement: float | None = None
    log_prob: float | None = None
    """The mean log-probability of its tokens, where that was asked."""


def candidates_for(
    example: Example,
    completions: Sequence[Completion],
    rules: Rules,
    identifier: Identifier,
    languages: Sequence[str],
) -> Candidates:
    """The candidates among the completions of an example, of which there is at least one, the greedy one first.

    Completions without an answer count in the share that agrees. `languages` are those that an answer may be in.
    """
    agreeing, share = list(completions), None
    if rules.agree is not None:
        answers = [final_answer(completion.text, example.language) for completion in completions]
        counts = Counter(answer for answer in answers if not isinstance(answer, str))
        if not counts:
            return Candidates(example, (), completions[0].text.strip(), 0.0, NO_ANSWER)
        most, count = counts.most_common(1)[0]
        share = count / len(completions)
        agreeing = [completion for completion, answer in zip(completions, answers, strict=True) if answer == most]
    best = agreeing[0].text.strip()
    if rules.agree is not None and share is not None and share < rules.agree:
        return Candidates(example, (), best, share, DISAGREE)
    problems = [problem_of(example, completion, rules, identifier, languages) for completion in agreeing]
    texts = [completion.text.strip() for completion, problem in zip(agreeing, problems, strict=True) if not problem]
    return Candidates(example, tuple(dict.fromkeys(texts)), best, share, None if texts else problems[0])


def problem_of(
    example: Example, completion: Completion, rules: Rules, identifier: Identifier, languages: Sequence[str]
) -> str | None:
    """Why a completion is no target by itself. One that is too short for its language to be told is one."""
    if not completion.text.strip():
        return EMPTY
    if completion.finish == LENGTH:
        return CUT_OFF
    if rules.language:
        passed, _ = score_language(completion.text, example.language, languages, identifier, dictated_texts(example))
        return ANOTHER_LANGUAGE if passed.value == 0 else None
    return None


def targets_among(candidates: Sequence[Candidates], rules: Rules, log_prob: MeanLogProb | None) -> list[Target]:
    """A target for each prompt that has candidates: the likeliest where `log_prob` tells, else the first.

    Of each language the share `most_likely` is kept, rounded up.
    """
    targets = [
        target_of(each, log_prob)
        if each.texts
        else Target(each.example, each.best, each.reason, each.agreement)
        for each in candidates
    ]  # fmt: skip
    if rules.most_likely is None:
        return targets
    kept: set[int] = set()
    for language in {target.example.language for target in targets}:
        own = [place for place, target in enumerate(targets)
               if target.reason is None and target.example.language == language]  # fmt: skip
        own.sort(key=lambda place: -(targets[place].log_prob or 0.0))
        kept |= {*own[: math.ceil(rules.most_likely * len(own))]}
    return [
        target
        if target.reason or place in kept
        else Target(target.example, target.text, UNLIKELY, target.agreement, target.log_prob)
        for place, target in enumerate(targets)
    ]


def target_of(candidates: Candidates, log_prob: MeanLogProb | None) -> Target:
    """The likeliest of the candidates, or the first one."""
    example = candidates.example
    if log_prob is None:
        return Target(example, candidates.texts[0], None, candidates.agreement)
    likelihoods = {text: log_prob(example, text) for text in candidates.texts}
    text = max(likelihoods, key=lambda text: likelihoods[text])
    return Target(example, text, None, candidates.agreement, likelihoods[text])
