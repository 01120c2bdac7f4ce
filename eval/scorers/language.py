"""Which language a text is in, among those it may be in."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import version
from typing import Any

VERSION = f"py3langid-{version('py3langid')}"


def identify(text: str, candidates: Iterable[str]) -> str | None:
    """The likeliest candidate language, or None for a text without letters."""
    if not any(character.isalpha() for character in text):
        return None
    language, _ = _identifier(frozenset(candidates)).classify(text)
    return str(language)


@lru_cache(maxsize=16)
def _identifier(candidates: frozenset[str]) -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier: Any = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(sorted(candidates))
    return identifier
