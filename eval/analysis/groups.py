"""Languages, groups of them, and the figures that are made of groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache, cached_property

from babel import Locale

SEEN, UNSEEN, OTHERS, ALL = "seen", "unseen", "non_pivot", "all"
"""The groups that every study has, as tables and JSON name them; seen and unseen are each cell's own."""
STUDY_SEEN, HELD_OUT = "seen_in_study", "held_out"
"""The study's seen and unseen languages, where those of some cell are others: the same for every cell."""
PERFORMANCE, GAP = "performance_to_pivot", "seen_minus_unseen"
"""The figures that are made of two groups' means, as tables and JSON name them."""


class Kind(StrEnum):
    """What a figure of a summary is: a mean over one language or over a group, or made of two means."""

    LANGUAGE = "language"
    MEAN = "mean"
    RATIO = "ratio"
    DIFFERENCE = "difference"


@dataclass(frozen=True)
class LanguageGroups:
    """The study's languages; `seen` includes the pivot if it was trained on. `named` are groups of the user's own."""

    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    pivot: str = "en"
    primary: Mapping[str, str] = field(default_factory=dict[str, str])
    """Task → the group that its main comparison is over, where that is not the unseen languages."""
    trained: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Run or setting → the languages that it is trained on, where that is known; not of the untuned model."""
    study: LanguageGroups | None = None
    """The groups of the study, where these are those of some of its cells."""
    others: tuple[str, ...] = ()
    """Languages of which it is not known whether a model has seen them."""

    @property
    def all(self) -> tuple[str, ...]:
        """The study's languages: seen, then unseen."""
        return self.study.all if self.study else (*self.seen, *self.unseen, *self.others)

    def of(self, *names: str) -> LanguageGroups:
        """The groups of these runs or settings: seen by any of them, and unseen by all.

        The untuned model has neither. Where it is not known what is trained on what, they are the study's.
        """
        if not self.trained:
            return self
        known = [self.trained[name] for name in names if name in self.trained]
        seen = tuple(language for language in self.all if any(language in languages for languages in known))
        unseen = tuple(language for language in self.all if known and language not in seen)
        return replace(self, seen=seen, unseen=unseen, study=self)

    @cached_property
    def differ(self) -> bool:
        """Whether cells have seen other languages than the study."""
        seen = {*self.seen} - {self.pivot}
        return any({*languages} - {self.pivot} != seen for languages in set(self.trained.values()))

    def means(self) -> dict[str, tuple[str, ...]]:
        """The groups whose means are reported, by name.

        As in arXiv 2504.16677 "seen" is without the pivot, "non_pivot" is its average of 7 and "all" its average of 8.
        """
        study = self.study or self
        groups = {
            SEEN: self._without_pivot(self.seen),
            UNSEEN: self.unseen,
            **({STUDY_SEEN: self._without_pivot(study.seen), HELD_OUT: study.unseen} if study.differ else {}),
            OTHERS: self._without_pivot(self.all),
            ALL: self.all,
        } | dict(self.named)
        return {name: languages for name, languages in groups.items() if languages}

    def _without_pivot(self, languages: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(language for language in languages if language != self.pivot)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The groups that the study has, or some cell."""
        study = self.study or self
        cells = {languages: cell for cell, languages in study.trained.items()}.values()
        scored = {*study.means(), *(name for cell in cells for name in study.of(cell).means())}
        order = (SEEN, UNSEEN, STUDY_SEEN, HELD_OUT, OTHERS, ALL, *self.named)
        return tuple(name for name in order if name in scored)

    @property
    def excludes_pivot(self) -> str:
        """A note for captions where a seen group leaves out the pivot, which cells are trained on as well."""
        languages = {*self.seen, *(language for trained in self.trained.values() for language in trained)}
        told = self.pivot in languages and {SEEN, STUDY_SEEN} & {*self.names}
        return f"means of seen languages are without {language_name(self.pivot)}" if told else ""

    def comparable(self) -> dict[str, tuple[str, ...]]:
        """The groups that are the same languages for every cell, so that their means can be ranked."""
        apart = (SEEN, UNSEEN) if (self.study or self).differ else ()
        return {name: members for name, members in self.means().items() if name not in apart}

    def primary_of(self, task: str) -> str:
        """The group that a task's main comparison is over.

        The named one, or the languages that no cell is trained on, or all but the pivot.
        """
        names = self.names
        default = next((name for name in (HELD_OUT, UNSEEN, OTHERS) if name in names), ALL)
        return self.primary.get(task) or default

    def label(self, group: str) -> str:
        """What readers see for a group, e.g. "non-English" or "performance to English"; a language keeps its code."""
        labels = {
            OTHERS: f"non-{language_name(self.pivot)}",
            PERFORMANCE: f"performance to {language_name(self.pivot)}",
            GAP: "seen − unseen",
            STUDY_SEEN: "seen in study",
            HELD_OUT: "held out",
        }
        return labels.get(group, group)

    def phrase(self, group: str) -> str:
        """A group in a sentence, e.g. "unseen languages", "all languages", "Japanese"."""
        if group in self.named:
            return f"the group {group}"
        if group == STUDY_SEEN:
            return "languages that some mixture has"
        if group == HELD_OUT:
            return "languages that no mixture has"
        return f"{self.label(group)} languages" if group in self.names else language_name(group)


@cache
def language_name(code: str) -> str:
    """The English name of a language, or its code where CLDR has none."""
    return Locale("en").languages.get(code, code)
