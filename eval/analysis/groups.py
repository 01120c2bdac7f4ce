"""Languages, groups of them, and the figures that are made of groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from babel import Locale

SEEN, UNSEEN, OTHERS, ALL = "seen", "unseen", "non_pivot", "all"
"""The groups that every study has, as tables and JSON name them."""
PERFORMANCE, GAP = "performance_to_pivot", "seen_minus_unseen"
"""The figures that are made of two groups' means, as tables and JSON name them."""


class Kind(StrEnum):
    """What a figure of a summary is: a mean over one language or over a group, or made of two means."""

    LANGUAGE = "language"
    MEAN = "mean"
    RATIO = "ratio"
    DIFFERENCE = "difference"


@dataclass(frozen=True, slots=True)
class LanguageGroups:
    """The study's languages; `seen` includes the pivot if it was trained on. `named` are groups of the user's own."""

    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    pivot: str = "en"
    primary: Mapping[str, str] = field(default_factory=dict[str, str])
    """Task → the group that its main comparison is over, where that is not the unseen languages."""

    @property
    def all(self) -> tuple[str, ...]:
        """Seen languages, then unseen."""
        return (*self.seen, *self.unseen)

    def means(self) -> dict[str, tuple[str, ...]]:
        """The groups whose means are reported, by name.

        As in arXiv 2504.16677 "seen" is without the pivot, "non_pivot" is its average of 7 and "all" its average of 8.
        """
        groups = {
            SEEN: tuple(language for language in self.seen if language != self.pivot),
            UNSEEN: self.unseen,
            OTHERS: tuple(language for language in self.all if language != self.pivot),
            ALL: self.all,
        } | dict(self.named)
        return {name: languages for name, languages in groups.items() if languages}

    def primary_of(self, task: str) -> str:
        """The group that a task's main comparison is over: the named one, or unseen languages, or all but the pivot."""
        means = self.means()
        return self.primary.get(task) or next((name for name in (UNSEEN, OTHERS) if name in means), ALL)

    def label(self, group: str) -> str:
        """What readers see for a group, e.g. "non-English" or "performance to English"; a language keeps its code."""
        labels = {
            OTHERS: f"non-{language_name(self.pivot)}",
            PERFORMANCE: f"performance to {language_name(self.pivot)}",
            GAP: "seen − unseen",
        }
        return labels.get(group, group)

    def phrase(self, group: str) -> str:
        """A group in a sentence, e.g. "unseen languages", "all languages", "Japanese"."""
        if group in self.named:
            return f"the group {group}"
        return f"{self.label(group)} languages" if group in self.means() else language_name(group)


def language_name(code: str) -> str:
    """The English name of a language, or its code where CLDR has none."""
    return Locale("en").languages.get(code, code)
