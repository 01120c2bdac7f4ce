"""The languages that test prompts and answers are in, as factors: each language's own, or one for all languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

OWN = "own"
"""Each tested language's own."""
ASKED, ANSWERED = "-asked-in-", "-answered-in-"


@dataclass(frozen=True, slots=True)
class Condition:
    """Where the prompts and answers of a task's items are in: `OWN`, or one language whatever the item's is."""

    prompts: str = OWN
    answers: str = OWN

    @property
    def suffix(self) -> str:
        """What follows the task in the tables: "-asked-in-en", "-answered-in-en", nothing for all in one's own."""
        if self.prompts != OWN:
            return ASKED + self.prompts
        return "" if self.answers == OWN else ANSWERED + self.answers

    def languages(self, own: str) -> tuple[str, str]:
        """The language of prompts and that of answers, for a language's items."""
        return own if self.prompts == OWN else self.prompts, own if self.answers == OWN else self.answers


def conditions(prompts_in: Sequence[str], answers_in: Sequence[str]) -> list[Condition]:
    """All combinations in which one of both at least is each language's own."""
    pairs = ((prompts, answers) for prompts in prompts_in for answers in answers_in)
    return [Condition(prompts, answers) for prompts, answers in pairs if OWN in (prompts, answers)]


def fixed_language(name: str) -> str:
    """The language of a condition's prompts or answers, by a name in the tables."""
    return name.removeprefix(task_of(name)).removeprefix(ASKED).removeprefix(ANSWERED)


def task_of(name: str) -> str:
    """The task of a name in the tables, whatever its condition."""
    return name.partition(ASKED)[0].partition(ANSWERED)[0]
