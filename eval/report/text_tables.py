"""What a report lists beside its scores: the figures behind pictures, mixtures, costs, differences, what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from eval.analysis.few_shot import FewShotLaw
from eval.analysis.groups import SEEN, UNSEEN, LanguageGroups
from eval.analysis.transfer import NOTHING, Transfer
from eval.report.page import CellFacts, Page
from eval.report.tables import TextTable
from eval.report.theme import RIGHT, UNTOLD, WRONG
from eval.report.units import difference, duration, metric_name, percent, shown
from eval.report.verdicts import ARROWS, disagree, is_of_models, level, verdict_of
from eval.scorers.metrics import metric_of


def overview_table(rows: pl.DataFrame) -> TextTable:
    """The figures of a task's overview as it is drawn: models down, the untuned first, and groups of languages across.

    On a curve, seen and unseen are those of all its points, so that its figures are of the same languages.
    """
    places = dict(rows.select("group", "label").unique("group", maintain_order=True).iter_rows())
    several = rows["series"].n_unique() > 1
    figures: dict[str, dict[str, str]] = {}
    for row in sorted(rows.iter_rows(named=True), key=lambda row: row["kind"] != "base"):
        name = f"{row['cell']}, {row['series']}" if several and row["series"] else row["cell"]
        figures.setdefault(name, {})[row["group"]] = row["shown"] + (f" ({row['interval']})" if row["interval"] else "")
    return TextTable(
        ("cell", *places.values()),
        tuple((name, *(of.get(group, "") for group in places)) for name, of in figures.items()),
    )


def few_shot_table(laws: Sequence[FewShotLaw], groups: LanguageGroups) -> TextTable:
    """The law of each curve and language or group: intercept and slope in the metric's unit, R², and when it halves."""
    rows: list[tuple[str, ...]] = []
    for law in laws:
        metric, gap = metric_of(law.metric), law.halves_gap
        slope = " to ".join(difference(end, 0.0, metric) for end in (law.slope.low, law.slope.high))
        halves = " to ".join(map(examples, (gap.low, gap.high)))
        rows.append((law.curve or law.axis, groups.label(law.group), shown(law.intercept.mean, metric),
                     f"{difference(law.slope.mean, 0.0, metric)} ({slope})",
                     "" if law.r_squared is None else f"{law.r_squared:.2f}",
                     "" if gap.mean is None else f"{examples(gap.mean)} ({halves})" + (" †" if law.beyond else ""),
                     f"{law.slope.n}"))  # fmt: skip
    return TextTable(("curve", "languages", "without examples", "per tenfold", "R²", "halves the gap at", "points"),
                     tuple(rows))  # fmt: skip


def examples(amount: float | None) -> str:
    """A number of examples, as long as one could ever have so many."""
    return f"{amount:,.0f}" if amount is not None and amount < 1e6 else "over a million"


def conditions_table(effects: pl.DataFrame | None) -> TextTable:
    """Per condition and cell: the plain task's mean, and how far asking or answering in another language is from it."""
    rows: list[tuple[str, ...]] = []
    for row in () if effects is None else effects.iter_rows(named=True):
        metric = metric_of(row["metric"])
        interval = " to ".join(filter(None, (difference(row[end], 0.0, metric) for end in ("low", "high"))))
        figures = (shown(row["plain"], metric), difference(row["difference"], 0.0, metric), interval)
        rows.append((row["condition"], metric_name(row["metric"]), row["cell"], *figures, p_value(row["p"]),
                     f"{row['items']:,}", row["languages"]))  # fmt: skip
    return TextTable(("condition", "metric", "cell", "plain task", "difference", "95 %", "p", "n", "languages"),
                     tuple(rows))  # fmt: skip


def confusion_table(rows: pl.DataFrame) -> TextTable:
    """Cell and language: how many predictions are in the right language, in another, and cannot be told."""
    verdicts = [RIGHT, WRONG, UNTOLD]
    wide = rows.pivot(on="verdict", index=["cell", "group"], values="count", maintain_order=True)
    entries = wide.select("cell", "group", *verdicts).iter_rows()
    return TextTable(
        ("cell", "language", *verdicts),
        tuple((cell, language, *(f"{count:,}" for count in counts)) for cell, language, *counts in entries),
    )


def loss_table(cells: Sequence[CellFacts]) -> TextTable:
    """The loss at the first step, after each quarter, and at the last; of each the mean of that tenth of the steps."""
    rows: list[tuple[str, ...]] = []
    for cell in cells:
        if cell.loss:
            steps = len(cell.loss)
            ends = [max(1, round(steps * share)) for share in (0.25, 0.5, 0.75, 1)]
            recent = [cell.loss[max(0, end - max(1, steps // 10)) : end] for end in ends]
            means = [sum(part) / len(part) for part in recent]
            rows.append((cell.name, f"{steps:,}", f"{cell.loss[0]:.3f}", *(f"{mean:.3f}" for mean in means)))
    return TextTable(("cell", "steps", "first", "25 %", "50 %", "75 %", "100 %"), tuple(rows))


def transfer_table(rows: pl.DataFrame) -> TextTable:
    """Source and target: the difference that training on the one made to the other."""
    return TextTable(
        ("trained on", "tested on", "difference", "95 %"),
        tuple(rows.select("source", "target", "shown", "interval").iter_rows()),
    )


def transfer_tables(transfer: Transfer, languages: Sequence[str]) -> dict[str, TextTable]:
    """Title → what settings trained on one language each say, beside the matrix; of each base model, if several."""
    parts = transfer.parts()
    return {
        f"{title} ({base})" if len(parts) > 1 else title: table
        for base, part in parts.items()
        for title, table in _tables_of(part, languages).items()
    }


def _tables_of(transfer: Transfer, languages: Sequence[str]) -> dict[str, TextTable]:
    """The tables of one base model; none that is empty."""
    tables = {
        "How much each training language helps others": _means_table(transfer.donors, "source"),
        "How much each language is helped by others": _means_table(transfer.recipients, "target"),
        "Share of the gain from training on the language itself": normalised_table(transfer.normalised, languages),
        "Asymmetry: help given to the other less help received": asymmetry_table(transfer.asymmetry),
        "Same or other task and language": regime_table(
            transfer.regimes, OF_MODELS in difference_headings(transfer.transfer)
        ),
    }
    return {title: table for title, table in tables.items() if table.rows}


def _means_table(means: pl.DataFrame, by: str) -> TextTable:
    """Donors or recipients: the mean difference of each over the other languages."""
    rows: list[tuple[str, ...]] = []
    for row in means.iter_rows(named=True):
        trained, tested = (row[by], row["languages"]) if by == "source" else (row["languages"], row[by])
        sides = (beside(trained, row["beside"]), tested)
        named = (tasks_of(row), *(sides if by == "source" else sides[::-1]), row["against"])
        rows.append((*named, *difference_cells(row)))
    headings = ("trained on", "tested on") if by == "source" else ("tested on", "trained on")
    return TextTable(("task", *headings, "against", *difference_headings(means)), tuple(rows))


def asymmetry_table(asymmetry: pl.DataFrame) -> TextTable:
    """How much more one language gives to another than it gets from it."""
    rows = tuple(
        (row["task"], beside(f"{row['one']} → {row['other']}, less {row['other']} → {row['one']}", row["beside"]),
         *difference_cells(row))
        for row in asymmetry.iter_rows(named=True)
    )  # fmt: skip
    return TextTable(("task", "languages", *difference_headings(asymmetry)), rows)


def normalised_table(normalised: pl.DataFrame, order: Sequence[str]) -> TextTable:
    """Settings down, languages across: shares of the gain of training in-language, blank where that is within noise."""
    if normalised["share"].is_null().all():
        return TextTable((), ())
    languages = [language for language in order if language in set(normalised["language"])]
    rows: list[tuple[str, ...]] = []
    for (task, cell), part in normalised.group_by(["task", "cell"], maintain_order=True):
        shares = {
            row["language"]: f"{percent(row['share'])} ({100 * row['low']:.0f} to {100 * row['high']:.0f})"
            for row in part.iter_rows(named=True)
            if row["share"] is not None
        }
        rows.append((str(task), str(cell), *(shares.get(language, "").replace("-", "−") for language in languages)))
    return TextTable(("task", "cell", *languages), tuple(rows))


def regime_table(regimes: pl.DataFrame, of_models: bool) -> TextTable:
    """How often training on the same or another task or language helps or harms, in shares of the metric's range."""
    rows = tuple(
        (f"{row['task']} task, {row['language']} language", f"{row['transfers']:,}",
         f"{100 * row['mean']:+.1f}".replace("-", "−"),
         *(percent(row[name]) for name in ("positive", "helped", "negative", "harmed")))
        for row in regimes.iter_rows(named=True)
    )  # fmt: skip
    sure = level(of_models)
    return TextTable(("trained on the", "transfers", "mean", "above 0", sure, "below 0", sure), rows)


DIFFERENCE = ("difference", "95 %", "p", "n")
OF_MODELS = "p (* of these trained models)"
"""The heading of p-values of which some are of one run per setting."""


def difference_cells(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """A difference, its interval, its adjusted p-value and its count of items."""
    metric = metric_of(row["metric"])
    interval = " to ".join(filter(None, (difference(row[end], 0.0, metric) for end in ("low", "high"))))
    interval += " ‡" if disagree(row) else ""
    p = p_value(row["p_adjusted"])
    marked = f"{p} *" if p and is_of_models(row) else p
    return difference(row["difference"], 0.0, metric), interval, marked, f"{row['items']:,}"


def difference_headings(rows: pl.DataFrame) -> tuple[str, ...]:
    """The headings of `difference_cells`; that of p-values says which are of these very models."""
    some = any(is_of_models(row) for row in rows.iter_rows(named=True))
    return tuple(OF_MODELS if some and name == "p" else name for name in DIFFERENCE)


def tasks_of(row: Mapping[str, Any]) -> str:
    """The task tested, and the one trained on if it is another."""
    return row["task"] if row["task"] == row["source_task"] else f"{row['source_task']} → {row['task']}"


def beside(languages: str, pivot: str) -> str:
    """What was trained on, with the pivot that was trained on too."""
    return languages if pivot == NOTHING else f"{languages} (beside {pivot})"


def comparison_tables(comparisons: pl.DataFrame, groups: LanguageGroups) -> dict[str, TextTable]:
    """Title → differences between cells: those that tasks are about first, then those for exploring."""
    single = pl.col("group").is_in(groups.all)
    parts = {
        "Main comparisons: the primary languages of each task": comparisons.filter("primary"),
        "Other groups of languages, for exploring": comparisons.filter(~pl.col("primary") & ~single),
        "Single languages, for exploring": comparisons.filter(~pl.col("primary") & single),
    }
    return {title: comparison_table(part, groups) for title, part in parts.items() if len(part)}


def comparison_table(comparisons: pl.DataFrame, groups: LanguageGroups) -> TextTable:
    """Differences between cells with their intervals, adjusted p-values and counts of items."""
    rows: list[tuple[str, ...]] = []
    for row in comparisons.iter_rows(named=True):
        where = groups.label(row["group"])
        if groups.differ and row["group"] in (SEEN, UNSEEN):
            where += f": {row['languages']}"  # each cell has its own
        names = (row["task"], metric_name(row["metric"]), where, row["cell"], row["other"])
        rows.append((*names, *difference_cells(row), verdict_of(row) + ARROWS.get(verdict_of(row), "")))
    headings = ("task", "metric", "languages", "cell", "against", *difference_headings(comparisons), "verdict")
    return TextTable(headings, tuple(rows))


def p_value(p: float | None) -> str:
    """A p-value to two figures that matter; blank if there is none."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def mixture_table(page: Page) -> TextTable:
    """What each cell was trained on: rows per language, and tokens of one epoch."""
    languages = [language for language in page.groups.all if any(language in cell.examples for cell in page.cells)]
    return TextTable(
        ("cell", *languages, "tokens", "supervised tokens", "steps"),
        tuple(
            (
                cell.name,
                *(f"{cell.examples.get(language, 0):,}" for language in languages),
                f"{cell.tokens:,}",
                f"{cell.supervised_tokens:,}",
                f"{cell.steps:,}",
            )
            for cell in page.cells
        ),
    )


def cost_table(cells: Sequence[CellFacts]) -> TextTable:
    """What training each cell took; a blank is what its record does not say."""
    return TextTable(
        ("cell", "state", "device", "processes", "time", "tokens/s", "MFU"),
        tuple(
            (
                cell.name,
                cell.state,
                cell.device,
                "" if cell.processes is None else str(cell.processes),
                "" if cell.seconds is None else duration(cell.seconds),
                "" if cell.tokens_per_second is None else f"{cell.tokens_per_second:,.0f}",
                "" if cell.model_flops_utilization is None else f"{100 * cell.model_flops_utilization:.1f} %",
            )
            for cell in cells
        ),
    )


def missing_table(scores: pl.DataFrame) -> TextTable:
    """What has no score, or the worst one because no answer was found, counted by task, metric and reason."""
    key = ["task", "metric", "reason", "counted"]
    told = scores.filter(pl.col("value").is_null() | pl.col("reason").is_not_null()).select(
        "task", "metric", "language", "cell", pl.col("reason").fill_null("no reason given"),
        counted=pl.when(pl.col("value").is_null()).then(pl.lit("no: unscored")).otherwise(pl.lit("yes: as wrong")),
    )  # fmt: skip
    totals = _totals(scores)
    rows: list[tuple[str, ...]] = []
    for (task, metric, reason, counted), part in told.partition_by(key, as_dict=True, maintain_order=True).items():
        count = f"{part.height:,} of {totals[task, metric]:,}"
        rows.append((str(task), metric_name(str(metric)), str(reason), str(counted), count,
                     tally(part["language"]), tally(part["cell"])))  # fmt: skip
    return TextTable(("task", "metric", "reason", "in the mean?", "predictions", "by language", "by cell"), tuple(rows))


def endings_table(endings: pl.DataFrame) -> TextTable:
    """How completions ended: by task and cell counts of each ending, and in which languages they were cut off."""
    rows: list[tuple[str, ...]] = []
    by_task = endings.partition_by("task", maintain_order=True)
    for part in (part for of_task in by_task for part in of_task.partition_by("cell", maintain_order=True)):
        task, cell = part.select("task", "cell").row(0)
        count = {name: int(part[name].sum()) for name in ENDED}
        cut = part.filter(pl.col("max_tokens") > 0).sort("max_tokens", descending=True, maintain_order=True)
        named = ", ".join(
            f"{language} {number:,}" for language, number in cut.select("language", "max_tokens").iter_rows()
        )
        share = percent(count["max_tokens"] / count["completions"]) if count["completions"] else ""
        rows.append((str(task), str(cell), *(f"{count[name]:,}" for name in ENDED), share, named))
    return TextTable(
        ("task", "cell", "completions", "end of turn", "stop text", "cut off", "share cut off", "cut off by language"),
        tuple(rows),
    )


def noise_table(noise: pl.DataFrame, groups: LanguageGroups) -> TextTable:
    """What generating again in other batches changes, by task and language or group."""
    rows: list[tuple[str, ...]] = []
    for row in noise.iter_rows(named=True):
        factor = metric_of(row["metric"]).factor
        share = [None if row[name] is None else 100 * row[name] for name in DIFFERING]
        spread = [None if row[name] is None else factor * row[name] for name in SPREAD]
        interval = "" if row["interval"] is None else f"± {factor * row['interval']:.1f}"
        rows.append((row["task"], groups.label(row["group"]), with_ends(share, 1), metric_name(row["metric"]),
                     with_ends(spread, 2), interval, f"{row['models']:,}", f"{row['repeats']}",
                     f"{row['completions']:,}"))  # fmt: skip
    return TextTable(
        ("task", "languages", "differ, %", "metric", "SD of a mean", "its 95 % interval", "models", "generations",
         "completions"),
        tuple(rows),
    )  # fmt: skip


DIFFERING, SPREAD = ("differing", "differing_low", "differing_high"), ("sd", "sd_low", "sd_high")


def with_ends(figures: Sequence[float | None], digits: int) -> str:
    """A figure with its interval, as far as they are known."""
    mean, low, high = figures
    if mean is None:
        return ""
    return f"{mean:.{digits}f}" + (f" ({low:.{digits}f}–{high:.{digits}f})" if low is not None else "")


ENDED = ("completions", "end_of_turn", "stop_text", "max_tokens")


def _totals(scores: pl.DataFrame) -> dict[tuple[str, str], int]:
    """How many predictions there are of each task and metric, scored or not."""
    return {(task, metric): count for task, metric, count in scores.group_by("task", "metric").len().iter_rows()}


def tally(names: pl.Series, most: int = 8) -> str:
    """ "ar 12, ko 3": how often each name is there, the most frequent first; of many, the rest is counted."""
    counts = names.value_counts(name="count").sort("count", names.name, descending=[True, False])
    told = [f"{name} {count:,}" for name, count in counts.head(most).iter_rows()]
    if counts.height > most:
        told.append(f"{counts.height - most} others {counts['count'][most:].sum():,}")
    return ", ".join(told)
