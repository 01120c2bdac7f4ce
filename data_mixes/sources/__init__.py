"""Sources of parallel and plain examples, by name. A new data set is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_mixes.sources.instructions import Instructions
from data_mixes.sources.notices import Notices
from data_mixes.sources.word_problems import WordProblems

if TYPE_CHECKING:
    from data_mixes.sources.embedded import EmbeddedSource

SOURCES: dict[str, EmbeddedSource] = {source.name: source for source in (WordProblems(), Notices(), Instructions())}
