"""Analysis of long tables of scores from anywhere: means per language, or scores per item."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from eval.analysis.curves import curve_findings
from eval.analysis.design import Curve, Design
from eval.analysis.dynamics import learning
from eval.analysis.few_shot import few_shot_laws
from eval.analysis.groups import Kind, LanguageGroups
from eval.analysis.orders import Course, over_courses
from eval.analysis.panel import Panel, panel_of
from eval.analysis.summary import main_panels, summarize

CHECKPOINTS = ("step", "steps", "checkpoint", "checkpoints")
"""Names of the axis under which learning and forgetting are reported."""


RESERVED = ("group", "kind", "languages", "runs", "mean", "low", "high", "scored", "unscored")
"""What an axis cannot be called, because the figures at its values are."""
BASELINES = ("random", "alone")
"""Columns, where a table of stages has them, of the scores of guessing, and of training on a language alone."""


SCORED = {"id", "language", "metric", "value", "version"}
"""Columns by which a table that `harness score` wrote is known."""
PLACE = ("curve", "task", "metric")
"""Of a finding along a curve, what a table has but one of."""
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-")
"""What programs write in tables of text where there is no number."""


class TableError(Exception):
    """A table that cannot be analysed; `problems` says why."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table hold what."""

    x: str
    group: tuple[str, ...] = ()
    language: str = "language"
    score: str = "score"
    item: str | None = None
    """Of scores per item; without it scores are means already, and get no interval."""
    run: str | None = None
    """Of several trainings of one setting, under other seeds."""
    cluster: str | None = None
    """Of scores per item: what items have in common, such as a template; they are resampled together."""
    seen: str | None = None
    """Of the languages that a row's model was trained on, where these are not the same for all."""
    stages: tuple[str, ...] = ()
    """The languages that training went through, one after the other, of a table whose x are the stages."""
    stages_in: str | None = None
    """Or of these languages, where runs went through them in several orders."""

    @property
    def key(self) -> tuple[str, ...]:
        """What tells one row from another."""
        return (*self.group, self.x, self.language, *filter(None, (self.run, self.item)))


def checked(table: pl.DataFrame, columns: Columns, groups: LanguageGroups) -> pl.DataFrame:
    """The table's scores as numbers. Raises TableError for columns that are not there, and for what is not clear."""
    wanted = (*columns.key, columns.score, *filter(None, [columns.cluster]))
    wanted += (columns.seen,) if columns.seen and columns.seen not in columns.group else ()
    problems = [f"column {name!r} has two parts to play; name it once"
                for name in dict.fromkeys(wanted) if wanted.count(name) > 1]  # fmt: skip
    problems += [f"no column {name!r}; there are {', '.join(table.columns)}"
                 for name in dict.fromkeys(wanted) if name not in table.columns]  # fmt: skip
    if columns.x in RESERVED:
        problems.append(f"column {columns.x!r} is called as a figure of the analysis is; rename it")
    problems += nested(table, wanted)
    if problems and len(table.columns) == 1 and ";" in table.columns[0]:
        problems = ["its columns seem to be separated by ';'; save it with commas, and points in numbers"]
    if problems:
        raise TableError(problems)
    for name in (columns.x, columns.score):
        table, wrong = as_numbers(table, name)
        problems += wrong
    if not problems and table[columns.x].null_count():
        problems.append(f"column {columns.x!r} must hold numbers; got 'nothing'")
    for name in (*columns.group, columns.language, *filter(None, [columns.run, columns.seen])):
        if table[name].null_count():
            problems.append(f"column {name!r} is blank in {table[name].null_count()} rows; fill it, or leave them out")
    for name in (name for name in BASELINES if (columns.stages or columns.stages_in) and name in table.columns):
        table, wrong = as_numbers(table, name)
        problems += wrong
    lacking = [language for language in groups.all if language not in set(table[columns.language].to_list())]
    if lacking:
        there = ", ".join(table[columns.language].unique().sort().cast(pl.String))
        problems.append(f"no rows in {', '.join(lacking)}; the languages are {there}")
    problems += repeated(table, columns.key, columns.score) + unlike(table, columns)
    if problems:
        raise TableError(problems)
    return table


def unlike(table: pl.DataFrame, columns: Columns) -> list[str]:
    """Settings of whose rows some name other languages trained on than others do."""
    if columns.seen is None or columns.seen in columns.group:
        return []
    key = (*columns.group, columns.x)
    several = table.group_by(key, maintain_order=True).agg(pl.col(columns.seen).unique(maintain_order=True))
    several = several.filter(pl.col(columns.seen).list.len() > 1)
    if several.is_empty():
        return []
    first = several.row(0, named=True)
    point = ", ".join([*(f"{name} {first[name]}" for name in columns.group), f"{columns.x} {first[columns.x]:g}"])
    given = " and ".join(map(repr, first[columns.seen][:2]))
    return [f"column {columns.seen!r} has {given} at {point}; add what tells them apart to --group"]


def languages_named(text: object) -> tuple[str, ...]:
    """The languages that an entry of a column names, as "en,es" or "en es"."""
    return tuple(filter(None, re.split(r"[\s,;]+", str(text))))


def groups_of_table(table: pl.DataFrame, columns: Columns, groups: LanguageGroups) -> LanguageGroups:
    """Seen is what the column `seen` names in some row; unseen what is given, or the table's other languages."""
    if columns.seen is None or columns.seen not in table.columns or columns.language not in table.columns:
        return groups
    tested = table[columns.language].drop_nulls().cast(pl.String).unique(maintain_order=True).to_list()
    named = {name for entry in table[columns.seen].drop_nulls().unique() for name in languages_named(entry)}
    seen = tuple(language for language in tested if language in named)
    return replace(groups, seen=seen, unseen=groups.unseen or tuple(name for name in tested if name not in seen))


def own_groups(part: pl.DataFrame, columns: Columns, groups: LanguageGroups) -> LanguageGroups:
    """The groups with what each setting of a part of the table, and each run of it, was trained on."""
    if columns.seen is None:
        return groups
    trained: dict[str, tuple[str, ...]] = {}
    for x, cell, entry in part.select(columns.x, cell=cell_of(columns), seen=columns.seen).unique().iter_rows():
        languages = tuple(language for language in groups.all if language in languages_named(entry))
        trained |= {repr(x): languages, cell: languages}
    return replace(groups, trained=trained)


def nested(table: pl.DataFrame, names: Sequence[str]) -> list[str]:
    """Columns that hold lists or objects where words or numbers are wanted."""
    return [f"column {name!r} holds lists or objects; it must hold words or numbers"
            for name in dict.fromkeys(names) if name in table.columns and table[name].dtype.is_nested()]  # fmt: skip


def as_numbers(table: pl.DataFrame, name: str) -> tuple[pl.DataFrame, list[str]]:
    """The table with a column as numbers, NaN and what stands for nothing being blank; and what in it is no number."""
    given = table[name]
    if given.dtype == pl.String:
        given = given.set(given.is_in(MISSING), None)
    numbers = given.cast(pl.Float64, strict=False)
    wrong = given.filter((numbers.is_null() & given.is_not_null()) | numbers.is_infinite().fill_null(False))
    problems = [f"column {name!r} must hold numbers; got {str(wrong[0])!r}"] if len(wrong) else []
    return table.with_columns(numbers.fill_nan(None).alias(name)), problems


def repeated(table: pl.DataFrame, key: Sequence[str], score: str) -> list[str]:
    """Points of which there are several rows, and the columns that would tell them apart."""
    twice = table.filter(pl.struct(key).is_duplicated())
    if twice.is_empty():
        return []
    first = twice.row(0, named=True)
    point = ", ".join(f"{name} {first[name]}" for name in key)
    same = twice.filter(pl.all_horizontal(pl.col(name).eq_missing(first[name]) for name in key))
    apart = [
        name for name in same.columns
        if name not in (*key, score) and same[name].n_unique() == same.height
    ]  # fmt: skip
    advice = f"add {' or '.join(apart)} to --group" if apart else "no other column tells them apart; keep one"
    return [f"{same.height} rows for the point {point}: {advice} ({twice.height} rows in all are not alone)"]


def analyse(table: pl.DataFrame, columns: Columns, groups: LanguageGroups) -> list[dict[str, Any]]:
    """For each group of rows its curve over x: the summary, the gap closed, the correlation, and the plateau.

    Raises TableError.
    """
    if columns.stages_in:
        columns = replace(columns, group=(*columns.group, columns.stages_in))
    good = checked(table, columns, groups)
    good = good.filter(pl.col(columns.language).is_in(groups.all))
    parts = list(good.group_by(columns.group, maintain_order=True)) if columns.group else [((), good)]
    problems = [problem for _, part in parts for problem in stage_problems(part, in_order(part, columns))]
    if problems:
        raise TableError(list(dict.fromkeys(problems)))
    return [
        {"group": dict(zip(columns.group, values, strict=True))}
        | _analysed(part, in_order(part, columns), own_groups(part, columns, groups))
        for values, part in parts
    ]


def _analysed(part: pl.DataFrame, columns: Columns, groups: LanguageGroups) -> dict[str, Any]:
    scores = as_scores(part, columns)
    amounts = tuple(part[columns.x].unique().sort())
    names = tuple(map(repr, amounts))
    design = Design(settings_of(part, columns), curves=(Curve("", columns.x, amounts, names),))
    summary = summarize(scores, groups, design).filter(pl.col("cell").is_in(names))
    summary = summary.drop("task", "metric", "main", "version", "no_answer")
    summary = summary.rename({"cell": columns.x}).with_columns(pl.col(columns.x).cast(pl.Float64))
    summary = summary.sort(columns.x, maintain_order=True)
    analysis: dict[str, Any] = {
        "points": len(amounts),
        "summary": summary.to_dicts(),
        "curves": [without(asdict(finding), PLACE) for finding in curve_findings(main_panels(scores), groups, design)],
    }
    if columns.x not in CHECKPOINTS and not columns.stages:
        laws = few_shot_laws(main_panels(scores), groups, design)
        analysis["few_shot"] = [without(asdict(law), (*PLACE, "axis", "largest", "settings")) for law in laws]
    if columns.x in CHECKPOINTS:
        (panel,) = main_panels(scores)
        analysis["dynamics"] = list(_dynamics(panel, design, summary, columns.x))
    if columns.stages:
        analysis["stages"] = dict(zip(columns.stages, amounts[-len(columns.stages) :], strict=True))
        analysis["continual"] = continual_of([part], columns)
    return analysis


def without(figures: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The figures but for some."""
    return {name: value for name, value in figures.items() if name not in names}


def continual_of(parts: Sequence[pl.DataFrame], columns: Columns) -> dict[str, Any]:
    """The metrics of training in stages, over parts of a table that are of one order each."""
    courses: list[Course] = []
    scores: list[pl.DataFrame] = []
    for part in parts:
        of_order = in_order(part, columns)
        order = " → ".join(of_order.stages)
        baselines = {name: _baseline(part, name, of_order) for name in BASELINES}
        settings = list(settings_of(part, of_order).values())[-len(of_order.stages) :]
        scores.append(as_scores(part, of_order).with_columns(cell=pl.format("{}: {}", pl.lit(order), "cell")))
        for stages in zip(*map(sorted, settings), strict=True):  # a run has its place at every stage
            courses.append(Course(order, tuple(f"{order}: {stage}" for stage in stages), of_order.stages, baselines))
    panel = panel_of("table", columns.score, pl.concat(scores))
    return {name: asdict(estimate) for name, estimate in over_courses(panel, courses).items()}


def in_order(part: pl.DataFrame, columns: Columns) -> Columns:
    """The columns with the stages that a part of the table, which is of one order, went through."""
    if columns.stages_in is None:
        return columns
    return replace(columns, stages=languages_named(part[columns.stages_in][0]))


def over_orders(table: pl.DataFrame, columns: Columns, groups: LanguageGroups) -> list[dict[str, Any]]:
    """For each group of rows the metrics over all its orders of stages. Raises TableError."""
    if columns.stages_in is None:
        return []
    good = checked(table, replace(columns, group=(*columns.group, columns.stages_in)), groups)
    good = good.filter(pl.col(columns.language).is_in(groups.all))
    analyses: list[dict[str, Any]] = []
    for values, part in good.group_by(columns.group, maintain_order=True) if columns.group else [((), good)]:
        orders = part.partition_by(columns.stages_in, maintain_order=True)
        named = [in_order(each, columns).stages for each in orders]
        if len({frozenset(languages) for languages in named}) > 1:
            raise TableError([f"column {columns.stages_in!r} has orders of unlike languages, which have no mean: "
                              f"{'; '.join(map(','.join, named))}; tell them apart by --group"])  # fmt: skip
        analyses.append(
            {"group": dict(zip(columns.group, values, strict=True)), "orders": [",".join(each) for each in named]}
            | {"runs": sum(len(next(iter(settings_of(each, columns).values()))) for each in orders)}
            | {"continual": continual_of(orders, columns)}
        )
    return analyses


def stage_problems(table: pl.DataFrame, columns: Columns) -> list[str]:
    """Values of x that are not the stages, and perhaps what was before them; languages and baselines lacking."""
    wanted = len(columns.stages)
    if not wanted:
        return []
    values, languages = table[columns.x].unique().sort(), set(table[columns.language])
    problems = ["a stage trains on a language that an earlier one did; each needs a language of its own: "
                + ",".join(columns.stages)] if len({*columns.stages}) < wanted else []  # fmt: skip
    if columns.run and len({len(cells) for cells in settings_of(table, columns).values()}) > 1:
        problems.append(f"some values of {columns.run!r} have no rows for some stage; each run needs all stages")
    problems += [f"no rows in {stage}, in which a stage trained" for stage in columns.stages if stage not in languages]
    if len(values) not in (wanted, wanted + 1):
        listed = ", ".join(f"{value:g}" for value in values)
        problems.append(f"column {columns.x!r} has {len(values)} values ({listed}); {wanted} stages take {wanted}, "
                        f"or {wanted + 1} with the scores before them")  # fmt: skip
    for name in (name for name in BASELINES if name in table.columns):
        known = set(table.filter(pl.col(name).is_not_null())[columns.language])
        problems += [f"column {name!r} is blank in {stage}; fill it, or leave it out"
                     for stage in columns.stages if stage in languages - known]  # fmt: skip
    return problems


def _baseline(part: pl.DataFrame, name: str, columns: Columns) -> Sequence[float] | None:
    """The mean of a column of baselines in each of the stages' languages; None if there is no such column."""
    if name not in part.columns:
        return None
    means = dict(part.group_by(columns.language).agg(pl.col(name).mean()).iter_rows())
    return [means[language] for language in columns.stages]


def settings_of(part: pl.DataFrame, columns: Columns) -> dict[str, tuple[str, ...]]:
    """The cells of each value of x, one for each run."""
    rows = (
        part.select(columns.x, cell=cell_of(columns)).unique(maintain_order=True).sort(columns.x, maintain_order=True)
    )
    settings: dict[str, tuple[str, ...]] = {}
    for x, cell in rows.iter_rows():
        settings[repr(x)] = (*settings.get(repr(x), ()), cell)
    return settings


def cell_of(columns: Columns) -> pl.Expr:
    """What a row's cell is called: its x, and its run if there are runs."""
    x = pl.col(columns.x).map_elements(repr, return_dtype=pl.String)
    return x if columns.run is None else pl.format("{} run {}", x, pl.col(columns.run).cast(pl.String))


def as_scores(part: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """The rows as evaluation writes scores: cells are the values of x, or the runs of these."""
    nothing = pl.lit(None, dtype=pl.String)
    return part.select(
        cell=cell_of(columns),
        task=pl.lit("table"),
        metric=pl.lit(columns.score),
        language=pl.col(columns.language).cast(pl.String),
        item=pl.col(columns.item).cast(pl.String) if columns.item else pl.lit("mean"),
        value=pl.col(columns.score),
        version=pl.lit("given"),
        cluster=pl.col(columns.cluster).cast(pl.String) if columns.cluster else nothing,
        reason=pl.when(pl.col(columns.score).is_null()).then(pl.lit("blank")),
    )


def _dynamics(panel: Panel, design: Design, summary: pl.DataFrame, x: str) -> Iterator[dict[str, Any]]:
    """When each language and group was learned, and how much of it was forgotten."""
    means_alone = summary.filter(pl.col("kind").is_in([Kind.LANGUAGE, Kind.MEAN]))
    for (group,), part in means_alone.group_by(["group"], maintain_order=True):
        steps, means, languages = part[x].to_list(), part["mean"].to_list(), part["languages"][0].split()
        replicates = None
        if panel.values.shape[1] > 1:
            of_steps = [panel.replicates_of(design.settings[repr(step)], languages) for step in steps]
            replicates = np.stack([sampled.mean(axis=(1, 2)) for sampled in of_steps], axis=1)
        yield {"group": group} | asdict(learning(steps, means, replicates))
