"""What an item asks to be written whatever the language: it says nothing of the language of an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import regex

from eval.scorers.prose import CODE_OF_LETTERS, plain_text, quoted
from eval.scorers.scripts import letters_in, scripts_of

WORD = regex.compile(r"\p{L}[\p{L}\p{M}\p{N}'’-]*")
NOT_DICTATED = ("kind", "code", "among")
"""Keys of a constraint that hold no text to be written."""


def dictated_by(
    prompt: str, target: str, language: str, constraints: Sequence[Mapping[str, Any]] = ()
) -> tuple[str, ...]:
    """The texts that an item dictates: those of its constraints, what its prompt quotes, and names in its target.

    Names are codes (HARBOR-ZULU-29), and words in letters that the language does not have.
    """
    texts = [text for spec in constraints for text in _texts(spec)]
    names = [match[0] for match in CODE_OF_LETTERS.finditer(plain_text(target))]
    own = letters_in(scripts_of(language))
    names += [match[0] for match in WORD.finditer(plain_text(target)) if not own.search(match[0])]
    return tuple(dict.fromkeys((*texts, *quoted(prompt), *names)))


def _texts(spec: Mapping[str, Any]) -> Iterator[str]:
    for key, value in spec.items():
        if key in NOT_DICTATED:
            continue
        yield from (text for text in (value if isinstance(value, list | tuple) else [value]) if isinstance(text, str))
