"""harness wins: how often one setting scores higher than another, over models, tasks and languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import polars as pl

from eval.analysis.long_tables import TableError
from eval.analysis.stats import Estimate
from eval.analysis.wins import WinColumns, win_rows, wins
from harness.commands.options import names_in
from harness.console import line, plain_table, show_table
from harness.errors import Problem, UserError
from harness.pair_tables import AnalysedGroup, FailedGroup, by_group
from harness.results import Answer
from harness.table_files import read_table


class GroupWins(AnalysedGroup):
    """The wins in one group of rows."""

    wins: int
    ties: int
    losses: int
    unpaired: int
    """Configurations of which one of the two has no score."""
    clusters: tuple[int, int]
    """How many there are of either kind."""
    rate: Estimate
    """A tie is half a win; the interval is by clusters."""
    wilson: tuple[float, float]
    """The interval for as many independent configurations."""


class SettingWins(Answer):
    """How often some settings score higher than another, per group of rows."""

    of: tuple[str, ...]
    over: str
    cluster_columns: tuple[str, str]
    analyses: tuple[GroupWins | FailedGroup, ...]


def wins_over(file: Path, of: Sequence[str], over: str, columns: WinColumns) -> SettingWins:
    """The wins of settings over another in each group of rows. Raises UserError."""
    table = read_table(file)
    try:
        rows = win_rows(table, columns, of, over)
    except TableError as error:
        raise UserError([Problem(str(file), problem) for problem in error.problems]) from None

    def analysis(group: dict[str, str], part: pl.DataFrame) -> GroupWins:
        return GroupWins(group=group, **asdict(wins(part, columns)))

    analyses = by_group(file, rows, columns.group, analysis)
    return SettingWins(of=tuple(of), over=over, cluster_columns=columns.clusters, analyses=analyses)


def two_names(given: str) -> tuple[str, str]:
    """The two columns of clusters. Raises UserError for another number of them."""
    names = names_in(given)
    if len(names) != 2:
        raise UserError([Problem("--clusters", f"got {given!r}; give two columns, as in model,target")])
    return names[0], names[1]


def show_wins(data: SettingWins) -> None:
    """A row per group: counts, the rate with its interval by clusters, and Wilson's."""
    kinds = " and ".join(data.cluster_columns)
    table = plain_table(
        f"{', '.join(data.of)} over {data.over}",
        ("group",),
        ("configurations", "wins", "ties", "losses", "win rate", f"95 % by {kinds}", "Wilson"),
    )
    for part in data.analyses:
        name = ", ".join(f"{name} {value}" for name, value in part.group.items()) or "all"
        if isinstance(part, FailedGroup):
            line(f"{name}: {part.problem}")
            continue
        counts = (part.rate.n, part.wins, part.ties, part.losses)
        by_clusters = percents(part.rate.low, part.rate.high)
        mean = f"{100 * (part.rate.mean or 0):.1f} %"
        table.add_row(name, *(f"{count:,}" for count in counts), mean, by_clusters, percents(*part.wilson))
    show_table(table)
    for part in data.analyses:
        if isinstance(part, GroupWins):
            name = ", ".join(f"{name} {value}: " for name, value in part.group.items())
            counts = " and ".join(
                f"{count} of {kind}" for count, kind in zip(part.clusters, data.cluster_columns, strict=True)
            )
            unpaired = f"; {part.unpaired} without both scores" if part.unpaired else ""
            line(f"  {name}clusters: {counts}{unpaired}")


def percents(low: float | None, high: float | None) -> str:
    """An interval of shares in percent; blank if there is none."""
    return "" if low is None or high is None else f"{100 * low:.1f}–{100 * high:.1f}"
