"""What is measured of a model of Othello, game by game: rates of legal moves, and boards read from its states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_mixes.othello.games import Games
from data_mixes.othello.languages import Vocabulary
from eval.othello.alignment import states_of, trained_probe
from eval.othello.legality import legality

LEGAL_RATE, LEGAL_MASS, PROBE = "legal_rate", "legal_mass", "probe"
MEASURES = {
    "step": pl.Int64,
    "metric": pl.String,
    "source": pl.String,
    "language": pl.String,
    "game": pl.Int64,
    "value": pl.Float64,
}
"""The columns: the step of fine-tuning, the language that a probe was trained in, the one measured in, and the game."""


@dataclass(frozen=True)
class Test:
    """What models are measured on, and how their probes are made."""

    words: Vocabulary
    languages: Mapping[str, int]
    """Name → number, of those that games are read in."""
    unified: bool
    known: Games
    """For training probes."""
    tested: Games
    layer: int
    hidden: int
    seed: int


def measures_of(model: Any, test: Test, step: int, sources: list[str]) -> pl.DataFrame:
    """A row a game, for the rates in every language, and for the probes of some languages in every language.

    The value is the mean over the game's moves. Probes are trained anew for each model.
    """
    rows = [*_rates(model, test), *_probed(model, test, sources)]
    tables = [
        pl.DataFrame(
            {
                "step": step,
                "metric": metric,
                "source": source,
                "language": language,
                "game": np.arange(len(values)),
                "value": values,
            },
            schema=MEASURES,
        )
        for metric, source, language, values in rows
    ]
    return pl.concat(tables)


Row = tuple[str, str | None, str, NDArray[np.float64]]


def _rates(model: Any, test: Test) -> Iterator[Row]:
    """Legal moves in every language."""
    for language, number in test.languages.items():
        found = legality(model, test.words, test.tested, number, test.unified)
        yield LEGAL_RATE, None, language, np.nanmean(found.top1, axis=1)
        yield LEGAL_MASS, None, language, np.nanmean(found.mass, axis=1)


def _probed(model: Any, test: Test, sources: list[str]) -> Iterator[Row]:
    """Boards as probes of these languages read them in every language."""
    tested = {
        language: states_of(model, test.words, test.tested, number, test.layer)
        for language, number in test.languages.items()
    }
    for source in sources:
        known = states_of(model, test.words, test.known, test.languages[source], test.layer)
        probe = trained_probe(known, test.hidden, test.seed)
        for language, states in tested.items():
            yield PROBE, source, language, probe.accuracies(states)
