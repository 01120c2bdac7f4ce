"""The analyze stage: a long table of scores from anywhere to curves, gaps and plateaus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from eval.analysis.groups import SEEN, Kind, LanguageGroups, language_name
from eval.analysis.long_tables import SCORED, Columns, TableError, analyse, groups_of_table, over_orders
from eval.analysis.stats import Estimate
from harness.console import line, plain_table, say, show_table
from harness.errors import Problem, UserError
from harness.results import Answer, NumberOrText, Result
from harness.table_files import read_table


class AmountRow(Result):
    """A mean at one value of the axis, in one language or group."""

    x: float
    group: str
    kind: Kind
    languages: str
    mean: float | None
    low: float | None
    high: float | None
    scored: int
    unscored: int
    runs: int = 1


class CurveFigures(Result):
    """What a curve says of one group of languages."""

    axis: str
    group: str
    points: int
    least: float
    best: float
    plateau: float | None
    """The smallest amount that is shown to be less than the margin below the best."""
    margin: float | None
    runs: int
    """Of the point that has fewest."""
    gap_closed: Estimate
    """Of the point chosen on one half of items and runs, measured on the other; of means, the published definition."""
    gap_closed_p: float | None
    """Of a flat curve."""
    gap_closed_published: float | None
    """Biased upwards: the highest point is partly luck."""
    correlation: float | None
    """Spearman's, of seen means on one half and unseen means on the other; of means, the published definition."""
    correlation_interval: tuple[float, float] | None
    correlation_published: float | None
    """Biased upwards: the luck of a run is in both means."""


class FewShotFigures(Result):
    """The law score = a + b · log10(1 + n) of one language or group, fitted to the means of runs."""

    group: str
    intercept: Estimate
    slope: Estimate
    r_squared: float | None
    halves_gap: Estimate
    """The n by which half of the distance to the pivot's score at the least amount is closed."""
    beyond: bool
    """Whether that n is more than the largest amount."""


class LearningFigures(Result):
    """When a group of languages was learned, and how much of it was forgotten."""

    group: str
    learn_step: float | None
    """The first checkpoint with at least 98 % of the best score."""
    before: float | None
    """The checkpoint before: it was learned between the two."""
    low: float | None
    """The learn step's 95 % interval over items, of scores per item."""
    high: float | None
    forgetting: float | None
    forgetting_share: float | None
    """Of the best score."""


class TableAnalysis(Result):
    """What one group of rows says."""

    group: Mapping[str, NumberOrText]
    points: int
    summary: tuple[AmountRow, ...]
    curves: tuple[CurveFigures, ...]
    few_shot: tuple[FewShotFigures, ...] = ()
    """Of three amounts or more, none of them negative; not of steps, checkpoints and stages."""
    dynamics: tuple[LearningFigures, ...] | None = None
    """Of an axis of steps or checkpoints."""
    stages: dict[str, float] | None = None
    continual: dict[str, Estimate] | None = None


class OrdersAnalysis(Result):
    """What one group of rows says of training in stages, over all orders and runs."""

    group: Mapping[str, NumberOrText]
    orders: tuple[str, ...]
    runs: int
    """Of all orders together."""
    continual: dict[str, Estimate]
    """The mean over orders of the mean over an order's runs; orders are a random factor."""


class TableAnalyses(Answer):
    """What a long table of scores says, per group of rows."""

    x: str
    analyses: tuple[TableAnalysis, ...]
    orders: tuple[OrdersAnalysis, ...] = ()
    """Where stages were gone through in several orders, each of which is a group of rows too."""


def analyze_table(file: Path, columns: Columns, groups: LanguageGroups) -> TableAnalyses:
    """The analysis of each group of rows. Raises UserError for a file or columns that cannot be used."""
    if columns.seen is None and (problems := language_problems(columns, groups)):
        raise UserError(problems)
    if columns.seen and groups.means().get(SEEN):
        raise UserError([Problem("--seen-in", "stands in place of --seen; give one of them")])
    if columns.stages and columns.stages_in:
        raise UserError([Problem("--stages-in", "stands in place of --stages; give one of them")])
    table = read_table(file)
    groups = groups_of_table(table, columns, groups)
    if columns.seen in table.columns and (problems := language_problems(columns, groups)):
        raise UserError(problems)
    columns = with_usual_names(columns, table.columns)
    try:
        parts, orders = analyse(table, columns, groups), over_orders(table, columns, groups)
    except TableError as error:
        raise UserError([Problem(str(file), problem) for problem in error.problems]) from None
    left_out = set(table[columns.language].drop_nulls().cast(pl.String)) - set(groups.all)
    if left_out:
        say(f"left out, as neither seen nor unseen: {' '.join(sorted(left_out))}")
    for part in parts:
        part["summary"] = [{"x": row.pop(columns.x)} | row for row in part["summary"]]
    return TableAnalyses(
        x=columns.x,
        analyses=tuple(TableAnalysis(**part) for part in parts),
        orders=tuple(OrdersAnalysis(**part) for part in orders),
    )


def language_problems(columns: Columns, groups: LanguageGroups) -> list[Problem]:
    """What is wrong with the languages, whatever the scores are."""
    return group_problems(groups, columns.seen) + stages_problems(columns.stages, groups)


def with_usual_names(columns: Columns, there: Sequence[str]) -> Columns:
    """The columns, with those of the usual names where none is named; scores that `harness score` wrote are known."""
    if set(there) >= SCORED:
        metric = () if "metric" in columns.group else ("metric",)
        columns = replace(columns, item=columns.item or "id", group=(*columns.group, *metric))
        columns = replace(columns, score="value" if columns.score not in there else columns.score)
    taken = (*columns.group, columns.x, columns.stages_in)
    usual = {name: name for name in ("item", "run", "cluster")
             if getattr(columns, name) is None and name in there and name not in taken}  # fmt: skip
    return replace(columns, **usual)


def group_problems(groups: LanguageGroups, column: str | None) -> list[Problem]:
    """Languages that are both seen and unseen, or none that is seen beside the pivot: given, or named by a column."""
    where = "--seen" if column is None else f"column {column!r}"
    problems = [
        Problem("--unseen", f"{language!r} is also in {where}; keep it in one")
        for language in groups.unseen
        if language in groups.seen
    ]
    if not groups.means().get(SEEN):
        advice = "name those trained on" + ("" if column else ", or by --seen-in the column that does")
        problems.append(Problem(where, f"names no language besides {groups.pivot!r}; {advice}"))
    return problems


def stages_problems(stages: Sequence[str], groups: LanguageGroups) -> list[Problem]:
    """Stages in languages that are not among those analysed, or in one twice."""
    problems = [Problem("--stages", f"{language!r} is neither in --seen nor in --unseen")
                for language in dict.fromkeys(stages) if language not in groups.all]  # fmt: skip
    if len(set(stages)) < len(stages):
        problems.append(Problem("--stages", "a language is named twice; each stage needs a language of its own"))
    return problems


CONTINUAL = {
    "final": "mean after the last stage",
    "forgetting": "forgotten of earlier stages' languages, after their best (noise makes it more)",
    "backward": "change of a language since its own stage",
    "forward": "a language before its stage, above guessing",
    "transfer": "a language after its stage, above training on it alone",
}
"""What `harness analyze --stages` calls the metrics of continual training."""


def show_analysis(analyses: TableAnalyses, groups: LanguageGroups) -> None:
    """A table per group of rows: the axis down, groups of languages across; then what its curve says."""
    x = analyses.x
    for part in analyses.analyses:
        names = list(dict.fromkeys(row.group for row in part.summary))
        title = ", ".join(f"{name} {value}" for name, value in part.group.items())
        table = plain_table(title, (x,), tuple(map(groups.label, names)))
        by_amount: dict[float, dict[str, AmountRow]] = {}
        for row in part.summary:
            by_amount.setdefault(row.x, {})[row.group] = row
        for amount, row in by_amount.items():
            table.add_row(f"{amount:g}", *(interval_text(row.get(name)) for name in names))
        show_table(table)
        line(f"  {scores_in_words(part.summary)}")
        for curve in part.curves:
            line(f"  {curve_in_words(curve, x, groups)}")
        for law in part.few_shot:
            line(f"  {law_in_words(law, x, groups)}")
        if part.stages:
            line(f"  stages: {', '.join(f'{name} at {x} {value:g}' for name, value in part.stages.items())}")
        show_continual(part.continual or {})
        for learned in part.dynamics or ():
            if learned.learn_step is not None:
                line(f"  {groups.label(learned.group)}: {learning_in_words(learned, x)}")

    for part in analyses.orders:
        title = "".join(f"{name} {value}, " for name, value in part.group.items())
        line(f"{title}over {len(part.orders)} orders in {part.runs} runs")
        show_continual(part.continual)


def show_continual(continual: Mapping[str, Estimate]) -> None:
    """The metrics of training in stages, a line each."""
    for name, figure in continual.items():
        line(f"  {continual_in_words(name)}: {interval_text(figure) or 'undefined, as scores are missing'}")


def continual_in_words(name: str) -> str:
    """What a metric is of; `forward_2` is of two stages ahead."""
    if name in CONTINUAL:
        return CONTINUAL[name]
    ahead = int(name.rpartition("_")[2])
    return f"a language {ahead} stage{'s' if ahead > 1 else ''} before its own, above guessing"


def learning_in_words(learned: LearningFigures, x: str) -> str:
    """When a group was learned, with its interval and what the checkpoints leave open, and what was forgotten."""
    told = f"learned at {x} {learned.learn_step:g}"
    if learned.low is not None and learned.high is not None:
        told += f" (95 % CI {learned.low:g}–{learned.high:g})"
    if learned.before is not None:
        told += f", not yet at {learned.before:g}"
    if learned.forgetting is not None and learned.forgetting_share is not None:
        told += f"; {learned.forgetting:.3f} forgotten since the best, {learned.forgetting_share:.0%} of it"
    return told


def curve_in_words(curve: CurveFigures, x: str, groups: LanguageGroups) -> str:
    """What a curve says, in a line."""
    from eval.report.text_tables import p_value

    told = [f"{groups.label(curve.group)}: highest at {x} {curve.best:g}"]
    if curve.margin is not None:
        shown = "not shown" if curve.plateau is None else f"from {curve.plateau:g}"
        told.append(f"plateau {shown} (within {curve.margin:.3g} of the best)")
    closed, published = curve.gap_closed, curve.gap_closed_published
    if curve.gap_closed_p is not None and closed.mean is not None and published is not None:
        interval = ""
        if closed.low is not None and closed.high is not None:
            interval = f" ({100 * closed.low:.1f} to {100 * closed.high:.1f})"
        flat = f"p {p_value(curve.gap_closed_p)} for a flat curve"
        told.append(f"gap closed {100 * closed.mean:.1f} points{interval}, {flat}")
        told.append(f"{100 * published:.1f} as published (biased upwards)")
    elif closed.mean is not None:
        told.append(f"gap closed {100 * closed.mean:.1f} points (of means: biased upwards)")
    rho, ends = curve.correlation, curve.correlation_interval
    if rho is not None and ends is not None:
        told.append(
            f"Spearman seen/unseen over {curve.points} points {rho:.2f} ({ends[0]:.2f} to {ends[1]:.2f}) by halves, "
            f"{curve.correlation_published:.2f} as published (biased upwards)"
        )
    elif rho is not None:
        told.append(f"Spearman seen/unseen {rho:.2f} over {curve.points} points (of means: biased upwards)")
    of_models = curve.margin is not None and curve.runs == 1
    return "; ".join(told) + ("; one run per point, so all of these models" if of_models else "")


def law_in_words(law: FewShotFigures, x: str, groups: LanguageGroups) -> str:
    """The few-shot law of a language or group, how well it fits, and when half of the gap to the pivot is closed."""
    from eval.report.text_tables import examples

    slope, gap = law.slope, law.halves_gap
    told = f"{groups.label(law.group)}: {law.intercept.mean:.3f} + {slope.mean:.3f} · log10(1 + {x})"
    told += f", slope {slope.low:.3f} to {slope.high:.3f}" if slope.low is not None else ""
    told += f", R² {law.r_squared:.2f}" if law.r_squared is not None else ""
    told += f", {slope.n} points"
    if gap.mean is not None:
        at, low, high = map(examples, (gap.mean, gap.low, gap.high))
        told += f"; half of the gap to {language_name(groups.pivot)} at {x} {at} ({low} to {high})"
        told += ", beyond the largest" if law.beyond else ""
    return told


def scores_in_words(summary: Sequence[AmountRow]) -> str:
    """How many scores means are of, from the rows of single languages, and how many were blank."""
    single = [row for row in summary if row.kind == Kind.LANGUAGE]
    scored, blank = sum(row.scored for row in single), sum(row.unscored for row in single)
    return f"{scored:,} scores" + (f", {blank:,} blank, left out of means" if blank else "")


def interval_text(row: AmountRow | Estimate | None) -> str:
    """A mean with its interval, as far as they are known."""
    if row is None or row.mean is None:
        return ""
    return f"{row.mean:.3f}" + (f" ({row.low:.3f}–{row.high:.3f})" if row.low is not None else "")
