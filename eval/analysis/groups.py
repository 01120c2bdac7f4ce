"""Languages and their groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from babel import Locale

GAP = "seen − unseen"


@dataclass(frozen=True, slots=True)
class LanguageGroups:
    """The study's languages; `seen` has the pivot in it if it was trained on. `named` are groups of the user's own."""

    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    pivot: str = "en"

    @property
    def all(self) -> tuple[str, ...]:
        """Seen languages, then unseen."""
        return (*self.seen, *self.unseen)

    @property
    def others(self) -> str:
        """The name of the group of all languages but the pivot, e.g. "non-English"."""
        return f"non-{language_name(self.pivot)}"

    @property
    def performance(self) -> str:
        """The name of the ratio to the pivot, e.g. "performance to English"."""
        return f"performance to {language_name(self.pivot)}"

    def means(self) -> dict[str, tuple[str, ...]]:
        """The groups whose means are reported, by name.

        As in arXiv 2504.16677 "seen" is without the pivot, "non-English" its average of 7 and "all" its average of 8.
        """
        groups = {
            "seen": tuple(language for language in self.seen if language != self.pivot),
            "unseen": self.unseen,
            self.others: tuple(language for language in self.all if language != self.pivot),
            "all": self.all,
        } | dict(self.named)
        return {name: languages for name, languages in groups.items() if languages}


def language_name(code: str) -> str:
    """The English name of a language, or its code where CLDR has none."""
    return Locale("en").languages.get(code, code)
