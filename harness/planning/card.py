"""The mixture card: a description of a cell's data per task and language, before training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_mixes.leakage import normalised
from data_mixes.order import Keys, key_of
from data_mixes.rows import Rows, places_by_pool
from data_mixes.source import Pool
from data_mixes.tokens import BATCH, Measures
from eval.scorers.identifiers import identify

FEWEST_LETTERS = 20
"""The language of texts with fewer letters, such as "3 × 12 = 36", is not identified."""
QUANTILES = (0.05, 0.5, 0.95, 1.0)
NOT_IDENTIFIED, WRONG, RIGHT = -1, 0, 1


@dataclass(frozen=True, slots=True)
class CardRow:
    """One task in one language (for pairs, that of the target), in one epoch of a cell's mixture."""

    task: str
    language: str
    rows: int
    items: int
    repeats: int
    """Extra copies of rows that a budget asked for."""
    duplicates: int
    """Rows that read like another one of another item: prompt and target, without case, spaces, punctuation."""
    tokens: int
    supervised_tokens: int
    fertility: float
    """Tokens per character of prompts and targets, the words around them left out."""
    lengths: tuple[int, ...]
    """Tokens of a row at the quantiles 5 %, 50 %, 95 % and 100 %."""
    shortened: float
    """The share of rows whose text was shortened to fit in prompts.max_tokens."""
    prompts_in_language: float | None
    """Of the prompts with enough letters to tell, the share in their language, among the study's; None without any."""
    prompts_identified: int
    """How many prompts that is a share of."""
    targets_in_language: float | None
    targets_identified: int


@dataclass
class Facts:
    """Facts about the rows of one pool, filled in on demand; 0 characters means not read yet."""

    characters: NDArray[np.int64]
    tokens: NDArray[np.int64]
    prompt_language: NDArray[np.int8]
    target_language: NDArray[np.int8]
    text: Keys


class Cards:
    """Makes the cards of a study's cells; a row that several cells share is read once."""

    def __init__(self, measures: Measures, languages: Sequence[str]) -> None:
        self.measures, self.languages = measures, tuple(languages)
        self._facts: dict[str, Facts] = {}

    def read(self, mixtures: Iterable[Rows]) -> None:
        """Reads the rows of several mixtures at once, which is quicker than one mixture after the other."""
        for pool, places in places_by_pool(mixtures):
            self._of(pool, places)

    def card(self, mixture: Rows) -> list[CardRow]:
        """The card of one mixture, by task and language."""
        groups: dict[tuple[str, str], list[tuple[Pool, NDArray[np.int64]]]] = {}
        for pool, _, places in mixture.by_pool():
            if len(places):
                groups.setdefault((pool.task, pool.language), []).append((pool, places))
        return [self._row(task, language, parts) for (task, language), parts in sorted(groups.items())]

    def _row(self, task: str, language: str, parts: list[tuple[Pool, NDArray[np.int64]]]) -> CardRow:
        def gathered(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(self._of(pool, places), name)[places] for pool, places in parts])

        def measured(name: str) -> NDArray[np.int64]:
            return np.concatenate([getattr(self.measures.of(pool, places), name)[places] for pool, places in parts])

        tokens = measured("tokens")
        once = [(pool, np.unique(places)) for pool, places in parts]
        distinct = sum(len(places) for _, places in once)
        texts = np.concatenate([self._of(pool, places).text[places] for pool, places in once])
        prompts, targets = gathered("prompt_language"), gathered("target_language")
        return CardRow(
            task=task,
            language=language,
            rows=len(tokens),
            items=len(np.unique(np.concatenate([pool.items[places] for pool, places in parts]))),
            repeats=len(tokens) - distinct,
            duplicates=distinct - len(np.unique(texts)),
            tokens=int(tokens.sum()),
            supervised_tokens=int(measured("supervised_tokens").sum()),
            fertility=float(gathered("tokens").sum() / gathered("characters").sum()),
            lengths=tuple(int(length) for length in np.quantile(tokens, QUANTILES, method="higher")),
            shortened=float((measured("cut") > 0).mean()),
            prompts_in_language=share_right(prompts),
            prompts_identified=int((prompts != NOT_IDENTIFIED).sum()),
            targets_in_language=share_right(targets),
            targets_identified=int((targets != NOT_IDENTIFIED).sum()),
        )

    def _of(self, pool: Pool, places: NDArray[np.int64]) -> Facts:
        """The facts of a pool's rows, known at least at these places."""
        if pool.name not in self._facts:
            characters, tokens = (np.zeros(len(pool), dtype=np.int64) for _ in range(2))
            prompts, targets = (np.full(len(pool), NOT_IDENTIFIED, dtype=np.int8) for _ in range(2))
            texts = np.zeros(len(pool), dtype=np.uint64)
            self._facts[pool.name] = Facts(characters, tokens, prompts, targets, texts)
        facts = self._facts[pool.name]
        missing = np.unique(places[facts.characters[places] == 0])
        for start in range(0, len(missing), BATCH):
            chosen = missing[start : start + BATCH]
            examples = pool.examples(chosen)
            texts = [text for example in examples for text in (example.prompt, example.target)]
            lengths = [len(ids) for ids in self.measures.store.renderer.ids(texts)]
            for number, (place, example) in enumerate(zip(chosen, examples, strict=True)):
                facts.characters[place] = len(example.prompt) + len(example.target)
                facts.tokens[place] = lengths[2 * number] + lengths[2 * number + 1]
                facts.prompt_language[place] = self._verdict(
                    example.prompt, example.prompt_language or example.language
                )
                facts.target_language[place] = self._verdict(example.target, example.language)
                facts.text[place] = key_of(f"{normalised(example.prompt)}\0{normalised(example.target)}")
        return facts

    def _verdict(self, text: str, language: str) -> int:
        if sum(character.isalpha() for character in text) < FEWEST_LETTERS:
            return NOT_IDENTIFIED
        return RIGHT if identify(text, self.languages) == language else WRONG


def share_right(verdicts: NDArray[np.int8]) -> float | None:
    """The share of texts in their language among those that could be identified."""
    identified = verdicts[verdicts != NOT_IDENTIFIED]
    return float((identified == RIGHT).mean()) if len(identified) else None
