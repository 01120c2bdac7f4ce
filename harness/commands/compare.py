"""The compare stage: two cells item by item, and the items on which they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from data_mixes.reading.records import READERS, plain_suffix
from data_mixes.reading.streams import STANDARD_INPUT
from data_mixes.storage import is_writable, write_text
from eval.analysis.comparisons import arm_of, pooled_runs
from eval.analysis.design import Design
from eval.analysis.families import BY_RUNS, compare_family
from eval.analysis.groups import ALL
from eval.analysis.long_tables import SCORED
from eval.analysis.panel import Panel, panels_of
from eval.analysis.summary import main_panels
from eval.predictions_and_scores import first_samples
from eval.scorers.main_metric import main_metrics
from eval.scorers.metrics import metric_of
from harness.console import line, plain_table, show_table
from harness.errors import Problem, UserError, suggestion
from harness.planning.kept_plan import PlannedStudy
from harness.recipe.grid import name_of
from harness.reporting.current import current_scores, read_table
from harness.results import Answer, Result
from harness.runs.folder import StudyFolder
from harness.table_files import read_table as read_table_of

NO_DESIGN = Design({})
"""Of a table: what is compared is one run each."""
SHARED = ("task", "language", "item", "id")
ONE_RUN = "* Of these two models: another seed of either may score otherwise."
"""What p-values of two cells are of, each being one run."""
ADJUSTED = "Adjusted: here for a task's languages, or for its groups; in the report for all comparisons in a group."
SEVERAL_RUNS = "* Over items and seeds: the variance between runs is pooled over the study's settings."


class ComparedRow(Result):
    """The difference A − B in one language or group of a task, paired by item."""

    task: str
    metric: str
    version: str
    """Of the scorers."""
    group: str
    items: int
    runs: int
    """The fewest of the two."""
    over_seeds: bool
    """Whether the interval and the p-values are over seeds as well as items, and so of the mixtures."""
    difference: float | None
    low: float | None
    high: float | None
    """The ends of the 95 % interval."""
    p: float | None
    p_adjusted: float | None
    """Over the languages, and over the groups, by the largest statistic of all (max-t)."""
    detectable: float | None
    """The smallest difference that would be found four times in five."""


class CellAnswer(Result):
    """What a cell wrote, and how it scored."""

    value: float
    answer: str | None
    completion: str


class FlippedItem(Result):
    """A test item on which the two cells' scores differ."""

    task: str
    language: str
    item: str
    id: str
    prompt: str
    reference: str
    answers: dict[str, CellAnswer]
    """By cell."""


class Comparison(Answer):
    """Two cells item by item."""

    one: str
    other: str
    differences: tuple[ComparedRow, ...]
    flipped: tuple[FlippedItem, ...] = ()
    file: str | None = None
    """Where the items that differ are, a JSON object a line; nowhere where the study's folder can only be read."""


def compare_cells(study: PlannedStudy, one: str, other: str) -> Comparison:
    """Item-paired differences one − other per task, language and group; the items that flipped go to a file.

    A setting stands for its runs under all seeds. Raises UserError for what has no scores.
    """
    one, other = (name_of(study.cells, name) for name in (one, other))
    design = study.design
    runs = [*design.runs(one), *design.runs(other)]
    scores, _ = current_scores(study, whole=runs)
    cells = scores["cell"].unique(maintain_order=True).to_list()
    known = dict.fromkeys([*cells, *(name for name, runs in design.settings.items() if set(runs) & set(cells))])
    problems = [
        Problem(f"CELL_{place}", f"no scores of {name!r}; {suggestion(name, known)}")
        for place, name in (("A", one), ("B", other))
        if name not in known
    ]
    if not problems and one == other:
        problems.append(Problem("CELL_B", f"got {other!r} twice; name two cells or settings"))
    if problems:
        raise UserError(problems)
    chosen = scores.filter(pl.col("cell").is_in(runs))
    panels, groups = main_panels(scores), study.groups.of(one, other).means()
    rows = all_rows(chosen, panels, one, other, study.groups.all, groups, design)
    items = flips(study, chosen, one, other)
    path = StudyFolder(study.folder).comparisons / f"{one}--{other}.jsonl"
    if kept := is_writable(study.folder):
        write_text(path, "".join(item.model_dump_json() + "\n" for item in items))
    return Comparison(
        one=one, other=other, differences=tuple(rows), flipped=tuple(items), file=str(path) if kept else None
    )


def is_table(path: Path) -> bool:
    """Whether a path is of a table of scores, and not of a recipe."""
    return path == STANDARD_INPUT or plain_suffix(path) in READERS


def compare_scores(path: Path, one: str, other: str) -> Comparison:
    """The same of a table that `harness score` wrote, of the rows in which a column says `one` or `other`.

    Every metric is compared, in each language and in all. Items of a column `cluster` count as one, their mean.
    Raises UserError for a table that has no such column, or several.
    """
    table = read_table_of(path)
    if missing := SCORED - set(table.columns):
        advice = f"no column {', '.join(sorted(missing))}; a table to compare is one that harness score --out wrote"
        raise UserError([Problem(str(path), advice)])
    column = column_of(path, table, one, other)
    item = "cluster" if "cluster" in table.columns else "id"
    task = pl.col("task").cast(pl.String) if "task" in table.columns else pl.lit("scores")
    scores = table.select(
        "language", "metric", "version", task=task, cell=pl.col(column).cast(pl.String),
        item=pl.col(item).cast(pl.String), value=pl.col("value").cast(pl.Float64, strict=False),
    ).filter(pl.col("cell").is_in([one, other]) & pl.col("language").is_not_null())  # fmt: skip
    if (
        twice := []
        if item == "cluster"
        else scores.filter(pl.struct("task", "metric", "cell", "language", "item").is_duplicated()).rows()
    ):
        message = f"{len(twice)} rows have the same {column}, id, language and metric as another; keep one of each"
        raise UserError([Problem(str(path), message)])
    languages = scores["language"].unique(maintain_order=True).to_list()
    means = {ALL: tuple(languages)} if len(languages) > 1 else {}
    return Comparison(
        one=one, other=other, differences=tuple(all_rows(scores, panels_of(scores), one, other, languages, means))
    )


def column_of(path: Path, table: pl.DataFrame, one: str, other: str) -> str:
    """The column in which some rows say `one` and others `other`. Raises UserError if there is none, or several."""
    given = [name for name in table.columns if name not in SCORED and not table[name].dtype.is_nested()]
    fits = [name for name in given if {one, other} <= set(table[name].cast(pl.String).unique())]
    if one != other and len(fits) == 1:
        return fits[0]
    if one == other:
        problem = f"got {other!r} twice; name two"
    elif fits:
        problem = f"{one!r} and {other!r} are both in columns {', '.join(fits)}; leave one of them out"
    else:
        problem = (
            f"no column holds both {one!r} and {other!r}; beside the scores there are {', '.join(given) or 'none'}"
        )
    raise UserError([Problem(str(path), problem)])


def all_rows(
    scores: pl.DataFrame,
    panels: Iterable[Panel],
    one: str,
    other: str,
    languages: Sequence[str],
    groups: Mapping[str, tuple[str, ...]],
    design: Design = NO_DESIGN,
) -> list[ComparedRow]:
    """A row for each panel and language or group."""
    versions = scores.group_by("task", "metric").agg(pl.col("version").drop_nulls().unique().sort().str.join("; "))
    named = {(task, metric): version for task, metric, version in versions.iter_rows()}
    return [
        row
        for panel in panels
        if (panel.task, panel.metric) in named
        for row in compared_rows(panel, (one, other), languages, groups, design, named[panel.task, panel.metric])
    ]


def compared_rows(
    panel: Panel,
    pair: tuple[str, str],
    languages: Sequence[str],
    groups: Mapping[str, tuple[str, ...]],
    design: Design,
    version: str,
) -> list[ComparedRow]:
    """A row per language and group of a task; p-values are adjusted over the languages, and over the groups."""
    if not all(design.present(name, panel) for name in pair):
        return []
    several = any(len(design.present(name, panel)) > 1 for name in pair)
    single = {language: (language,) for language in languages if language in panel.languages}
    means = {name: members for name, members in groups.items() if set(members) <= set(panel.languages)}
    rows: list[ComparedRow] = []
    for family in (single, means):
        arms = [(arm_of(panel, design, pair[0], members), arm_of(panel, design, pair[1], members))
                for members in family.values()]  # fmt: skip
        between = [pooled_runs(panel, design, members) if several else None for members in family.values()]
        found = compare_family(arms, between, panel.clusters)
        figures = [difference.of_scores_between(metric_of(panel.metric).ends) for difference in found]
        for name, figure in zip(family, figures, strict=True):
            rows.append(
                ComparedRow(
                    task=panel.task,
                    metric=panel.metric,
                    version=version,
                    group=name,
                    items=figure.items,
                    runs=figure.runs,
                    over_seeds=figure.test == BY_RUNS,
                    difference=figure.difference,
                    low=figure.low,
                    high=figure.high,
                    p=figure.p,
                    p_adjusted=figure.p_adjusted,
                    detectable=figure.detectable,
                )
            )
    return rows


def flips(study: PlannedStudy, scores: pl.DataFrame, one: str, other: str) -> list[FlippedItem]:
    """The items of which the main scores differ, the largest differences first, with what each wrote.

    Of several runs of a setting the score is their mean, and what was written is the first one's.
    """
    runs = pl.DataFrame(
        [(name, run) for name in (one, other) for run in study.design.runs(name)], schema=["arm", "cell"], orient="row"
    )
    main = pl.DataFrame([*main_metrics(scores).items()], schema=["task", "metric"], orient="row")
    judged = (
        scores.join(main, on=["task", "metric"], how="semi")
        .join(runs, on="cell", maintain_order="left")
        .group_by("arm", *SHARED, maintain_order=True)
        .agg(pl.col("value").mean(), pl.col("cell", "answer").first())
    )
    predictions = read_table(StudyFolder(study.folder).predictions, pl.col("cell").is_in(runs["cell"].implode()))
    written = first_samples(predictions).select("cell", *SHARED, "prompt", "reference", "completion")
    both = judged.join(written, on=["cell", *SHARED], how="left")
    first, second = (both.filter(pl.col("arm") == name).drop("arm", "cell") for name in (one, other))
    second = second.select(*SHARED, pl.col("value", "answer", "completion").name.suffix("_other"))
    paired = first.join(second, on=SHARED, how="inner").filter(pl.col("value") != pl.col("value_other"))
    gap = (pl.col("value") - pl.col("value_other")).abs()
    return [
        FlippedItem(
            **{name: row[name] for name in (*SHARED, "prompt", "reference")},
            answers={
                cell: CellAnswer(**{name: row[name + end] for name in ("value", "answer", "completion")})
                for cell, end in ((one, ""), (other, "_other"))
            },
        )
        for row in paired.sort(gap, descending=True, maintain_order=True).iter_rows(named=True)
    ]


def show_comparison(data: Comparison, label: Callable[[str], str], shown: int) -> None:
    """A table of differences per language and group, named by `label`, then some of the items that flipped."""
    from eval.report.text_tables import p_value

    columns = ("difference", "95 %", "p *", "p * (adjusted)", "items", "runs")
    table = plain_table(f"{data.one} − {data.other}", ("task", "metric", "language"), columns)
    before = ""
    for row in data.differences:
        factor = metric_of(row.metric).factor
        known = [f"{factor * share:+.1f}" for share in (row.difference, row.low, row.high) if share is not None]
        interval = f"{known[1]} to {known[2]}" if len(known) == 3 else ""
        words = (row.task, row.metric) if row.task != before else ("", "")
        p_values = (p_value(row.p), p_value(row.p_adjusted))
        table.add_row(
            *words, label(row.group), known[0] if known else "", interval, *p_values, str(row.items), str(row.runs)
        )
        before = row.task
    show_table(table)
    for note in dict.fromkeys(SEVERAL_RUNS if row.over_seeds else ONE_RUN for row in data.differences):
        line(note)
    line(ADJUSTED)
    for item in data.flipped[:shown]:
        line(f"\n{item.task} {item.language} {item.item}")
        line(f"  prompt     {' '.join(item.prompt.split())}")
        line(f"  reference  {' '.join(item.reference.split())}")
        for cell, answer in item.answers.items():
            line(f"  {cell}: {answer.value:g}  {' '.join(answer.completion.split())}")
    if data.file:
        line(f"{len(data.flipped)} items differ: {data.file}")
    line(f"versions: {'; '.join(dict.fromkeys(row.version for row in data.differences))}")
