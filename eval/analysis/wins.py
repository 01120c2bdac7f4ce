"""How often one setting scores higher than another, over configurations: models, tasks, languages.

Configurations of a model share its weights and those of a language its test items, so they are fewer than they look:
the interval by clusters of both (Cameron, Gelbach & Miller 2011) stands beside Wilson's (1927), which takes them for
independent, as arXiv 2604.13286 does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import stdtrit

from eval.analysis.instances import codes_of, standard_errors
from eval.analysis.long_tables import TableError, as_numbers, nested
from eval.analysis.stats import LEVEL, Estimate, Floats, wilson


@dataclass(frozen=True, slots=True)
class WinColumns:
    """Which columns of a table hold what."""

    setting: str
    """What is compared."""
    by: tuple[str, ...] = ("model", "task", "target")
    """What makes a configuration, beside the setting itself."""
    clusters: tuple[str, str] = ("model", "target")
    """What configurations have in common."""
    score: str = "score"
    group: tuple[str, ...] = ()
    """Each combination of their values is counted on its own."""


@dataclass(frozen=True, slots=True)
class Wins:
    """Wins of some settings over another; a tie is half a win."""

    wins: int
    ties: int
    losses: int
    unpaired: int
    """Configurations of which one of the two has no score; they are not counted."""
    clusters: tuple[int, int]
    """How many there are of either kind."""
    rate: Estimate
    """With the interval by clusters; None where there is one cluster of a kind."""
    wilson: tuple[float, float]
    """The interval for as many independent configurations."""


def win_rows(table: pl.DataFrame, columns: WinColumns, of: Sequence[str], over: str) -> pl.DataFrame:
    """A row per configuration of each setting `of` and group, with both scores, means where there are several.

    Raises TableError.
    """
    named = tuple(dict.fromkeys((columns.setting, *columns.by, *columns.clusters, *columns.group)))
    problems = [f"no column {name!r}; there are {', '.join(table.columns)}"
                for name in (*named, columns.score) if name not in table.columns]  # fmt: skip
    problems += nested(table, (*named, columns.score))
    problems += [] if problems else _unknown(table[columns.setting], (*of, over))
    if over in of:
        problems.append(f"{over!r} is compared with itself; leave it out of --of")
    if problems:
        raise TableError(problems)
    table, problems = as_numbers(table, columns.score)
    problems += [f"column {name!r} is blank in {count} rows" for name in named if (count := table[name].null_count())]
    if problems:
        raise TableError(problems)
    table = table.with_columns(pl.col(name).cast(pl.String) for name in named)
    place = [name for name in named if name not in (columns.setting, *columns.group)]
    means = table.group_by(*named, maintain_order=True).agg(pl.col(columns.score).mean())
    ours = means.filter(pl.col(columns.setting).is_in(of)).rename({columns.score: "one"})
    theirs = table.filter(pl.col(columns.setting) == over).group_by(place).agg(other=pl.col(columns.score).mean())
    return ours.join(theirs, on=place, how="left", maintain_order="left")


def _unknown(there: pl.Series, settings: Sequence[str]) -> list[str]:
    known = list(map(str, there.drop_nulls().unique(maintain_order=True)))
    return [f"column {there.name!r} has no {name!r}; it has {', '.join(known[:20])}"
            for name in settings if name not in known]  # fmt: skip


def wins(rows: pl.DataFrame, columns: WinColumns) -> Wins:
    """The wins over rows as `win_rows` gives them. Raises TableError where no configuration has both scores."""
    paired = rows.drop_nulls(["one", "other"])
    if paired.is_empty():
        raise TableError(["no configuration has both scores; see --by"])
    outcomes = np.sign(paired["one"].to_numpy() - paired["other"].to_numpy()) / 2 + 0.5
    one, other = (codes_of(paired[name]) for name in columns.clusters)
    rate, n = float(outcomes.mean()), len(outcomes)
    low, high = by_clusters(outcomes, one, other)
    return Wins(
        wins=int((outcomes == 1).sum()),
        ties=int((outcomes == 0.5).sum()),
        losses=int((outcomes == 0).sum()),
        unpaired=len(rows) - n,
        clusters=(int(one.max()) + 1, int(other.max()) + 1),
        rate=Estimate(n, rate, low, high),
        wilson=wilson(rate, n),
    )


def by_clusters(outcomes: Floats, one: np.ndarray, other: np.ndarray) -> tuple[float | None, float | None]:
    """The 95 % interval of a mean over observations in two ways of clusters, by t with the fewer clusters less one.

    Outcomes that are all alike have Wilson's for as many observations as the fewer clusters.
    """
    fewer = int(min(one.max(), other.max())) + 1
    rate = float(outcomes.mean())
    if fewer == 1:
        return None, None
    if np.ptp(outcomes) == 0:
        return wilson(rate, fewer)
    error = float(standard_errors(np.ones((len(outcomes), 1)), outcomes - rate, one, other)[0])
    half = float(stdtrit(fewer - 1, 1 - LEVEL / 2)) * error
    return max(0.0, rate - half), min(1.0, rate + half) if math.isfinite(half) else None
