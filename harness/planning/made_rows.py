"""What becomes of words that are to be switched: how many have an entry in a lexicon, and how many are switched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from data_mixes.makers.lexicons import Lexicon
from data_mixes.makers.maker import BATCH, MadePool
from data_mixes.rows import places_by_pool
from harness.planning.cells import CellPlan
from harness.planning.problems import lexicons_used
from harness.results import Result


class PlannedLexicon(Result):
    """A lexicon that words are switched with."""

    name: str
    origin: str
    """Where it comes from, in words."""
    entries: dict[str, int]
    """Words that have a translation, by their language."""

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {language}" for language, count in self.entries.items())
        return f"Lexicon {self.name}, {self.origin}: words with a translation {counts}"


class SwitchedWords(Result):
    """The words of a source's rows in one variant, in all cells together."""

    source: str
    variant: str
    """The language, and what is made of the rows."""
    rows: int
    words: int
    known: int
    """Words with an entry in the lexicon of their row."""
    wanted: int
    """As many as the share asks for, rounded up in each row."""
    switched: int

    def __str__(self) -> str:
        reached, known = (f"{count / max(1, self.words):.1%}" for count in (self.switched, self.known))
        short = self.wanted - self.switched
        told = f"Switched in {self.source} {self.variant}: {self.switched:,} of {self.words:,} words ({reached}"
        return f"{told}; {known} have an entry)" + (
            f", {short:,} fewer than asked for, for want of entries" * (short > 0)
        )


def planned_lexicons(plans: Sequence[CellPlan]) -> Iterator[PlannedLexicon]:
    """The lexicons that rows are made with."""
    lexicons: list[Lexicon] = lexicons_used([plan.cell for plan in plans])
    for lexicon in lexicons:
        entries = {language: len(lexicon.entries(language)) for language in lexicon.languages}
        yield PlannedLexicon(name=lexicon.name, origin=lexicon.origin, entries=entries)


def switched_words(plans: Sequence[CellPlan]) -> Iterator[SwitchedWords]:
    """What is switched in the rows of all cells, each row counted once under each seed."""
    totals: dict[tuple[str, str], list[int]] = {}
    for pool, places in places_by_pool(plan.mixture for plan in plans):
        if not isinstance(pool, MadePool) or pool.maker.switches is None:
            continue
        counts = totals.setdefault((pool.source, pool.variant), [0] * 5)
        for start in range(0, len(places), BATCH):
            for example in pool.base.examples(places[start : start + BATCH]):
                if mixed := pool.maker.mixed(example):
                    of_row = (1, mixed.words, mixed.known, mixed.wanted, mixed.switched)
                    counts[:] = [total + count for total, count in zip(counts, of_row, strict=True)]
    for (source, variant), (rows, words, known, wanted, switched) in totals.items():
        yield SwitchedWords(
            source=source, variant=variant, rows=rows, words=words, known=known, wanted=wanted, switched=switched
        )
