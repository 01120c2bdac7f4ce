"""Whether the answer to an item is in the item's language: of items whose targets are in a language at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from data_mixes.example import Example
from eval.scorers.dictated import dictated_by
from eval.scorers.identifiers import Identifier
from eval.scorers.language import lines_of, score_language
from eval.scorers.score import Score
from eval.scorers.thoughts import answer_text

NO_LANGUAGE = "the target carries no language"
THINKING, IN_ENGLISH = "thinking_pass", "thinking_in_english"
NO_THOUGHTS = "no thoughts"


class AnswerLanguages:
    """Scores the language of answers to some examples.

    An item has a language score where a right answer to it carries a language: where the target holds a line of prose
    that is long enough to tell, beside what the item dictates, in each of the languages that the item is in. A number,
    a code or a repeated word has none; and no item has one in some scripts alone because of how words are counted.
    """

    def __init__(self, examples: Iterable[Example], candidates: Sequence[str], identifier: Identifier) -> None:
        self.candidates = candidates
        self.identifier: Identifier = identifier
        once = {(example.task, example.language, example.id): example for example in examples}
        self._dictated = {key: dictated_texts(example) for key, example in once.items()}
        self._without = {
            (example.task, example.item_id)
            for key, example in once.items()
            if example.target.strip() and not carries_language(example, self._dictated[key])
        }

    def score(self, example: Example, answer: str) -> list[Score]:
        """`language_pass` and `word_pass` of an answer, without what the item dictates."""
        dictated = self._dictated[example.task, example.language, example.id]
        scores = score_language(answer, example.language, self.candidates, self.identifier, dictated)
        if (example.task, example.item_id) in self._without:
            return [Score(score.metric, None, score.version, reason=NO_LANGUAGE) for score in scores]
        return scores

    def score_thoughts(self, example: Example, thoughts: str) -> list[Score]:
        """Whether thoughts are in the language of the answer, and whether they are in English."""
        dictated = self._dictated[example.task, example.language, example.id]
        scores: list[Score] = []
        for metric, language in ((THINKING, example.language), (IN_ENGLISH, "en")):
            score, _ = score_language(thoughts, language, self.candidates, self.identifier, dictated)
            scores.append(replace(score, metric=metric, reason=score.reason if thoughts else NO_THOUGHTS))
        return scores


def dictated_texts(example: Example) -> tuple[str, ...]:
    """What an example asks to be written whatever the language."""
    return dictated_by(example.prompt, example.target, example.language, example.constraints)


def carries_language(example: Example, dictated: Iterable[str]) -> bool:
    """Whether the target holds a line that its language can be told from."""
    return bool(lines_of(answer_text(example.target), example.language, dictated))
