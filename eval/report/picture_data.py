"""The tables behind the pictures: rows of a summary as they are drawn, in the units that tables show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from eval.analysis.groups import SEEN, UNSEEN, Kind
from eval.report.grid import Scale
from eval.report.page import Page
from eval.report.tables import Figure, TaskTable
from eval.report.theme import RIGHT, UNTOLD, WRONG
from eval.report.units import difference, shown, unit_of
from eval.report.verdicts import ARROWS, Change, Changes, Verdict, tested, verdict_of
from eval.scorers.metrics import Metric, metric_of

LANGUAGE_PASS = "language_pass"
MOST_POINTS = 200
"""Of a learning curve; beyond, neighbouring steps are averaged."""


def scale_of(page: Page) -> Scale | None:
    """The axis that curves go over, if cells stand on at least two places of it."""
    if page.axis is None:
        return None
    values = sorted(
        {value for place in page.settings.values() if isinstance(value := place.get(page.axis), (int, float))}
    )
    return Scale(page.label(page.axis), tuple(values), page.amounts) if len(values) > 1 else None


def all_series(page: Page) -> list[str]:
    """What the other axes say of every place where a setting stands."""
    return [page.series(place) for name in page.settings for place in places_of(page, name)]


def places_of(page: Page, cell: str) -> list[Mapping[str, float | str]]:
    """Where a setting stands in the grid; on curves it may stand at several places."""
    return [page.settings.get(cell, {}), *(page.also.get(cell, ()) if page.axis else ())]


UNTESTED = Change("", Verdict.UNTESTED, "", "")


def figure_rows(page: Page, task: str, changes: Changes) -> pl.DataFrame:
    """One row per metric, cell, group and place of the cell: the place, mean, interval, and change.

    Changes are from what the cell is compared with, in the same languages; `changes` are those that were tested.
    """
    part = page.summary.filter(pl.col("task") == task)
    reference, means = compared_with(page, part), means_of(part)
    before = {(row["cell"], row["metric"], row["group"]): row for row in part.iter_rows(named=True)}
    rows: list[dict[str, Any]] = []
    for row, place in rows_at_places(page, part.filter(pl.col("cell").is_in(page.names)), means):
        metric = unit_of(row["metric"], row["kind"])
        figure = Figure(row["mean"], row["low"], row["high"], row["scored"], row["unscored"], row["no_answer"], metric)
        compared = page.bases.get(row["cell"], row["cell"] if page.bases else reference)
        alike = before.get((compared, row["metric"], row["group"]), {"languages": None})
        earlier = alike["mean"] if alike["languages"] == row["languages"] else None
        if earlier is None and row["kind"] == Kind.MEAN:
            earlier = mean_over(means, compared, row["metric"], row["languages"].split())
        change = changes.of(task, row["metric"], row["cell"], row["group"]) or UNTESTED
        change = change if change.languages == row["languages"] else UNTESTED
        rows.append({
            "metric": row["metric"],
            "cell": row["cell"],
            "group": row["group"],
            "label": page.groups.label(row["group"]),
            "kind": kind_of(page, row["cell"]),
            "own": place == page.settings.get(row["cell"], {}),
            "x": _number(place.get(page.axis or "")),
            "series": page.series(place),
            "verdict": change.verdict.value,
            "p": change.p,
            "marked": figure.text + ARROWS.get(change.verdict, ""),
            **drawn(row["mean"], row["low"], row["high"], metric),
            "change": None if row["mean"] is None or earlier is None else metric.factor * (row["mean"] - earlier),
            "shown": figure.text,
            "interval": figure.interval,
            "n": row["scored"],
        })  # fmt: skip
    return pl.DataFrame(rows + published_rows(page, task) + law_rows(page, task), schema=FIGURES, orient="row")


Means: TypeAlias = Mapping[tuple[str, str, str], float | None]
"""Cell, metric and language → mean."""
Row: TypeAlias = Mapping[str, Any]


def means_of(part: pl.DataFrame) -> Means:
    """The means of single languages in a part of a summary."""
    single = part.filter(kind=Kind.LANGUAGE.value).select("cell", "metric", "group", "mean")
    return {(cell, metric, language): mean for cell, metric, language, mean in single.iter_rows()}


def mean_over(means: Means, cell: str, metric: str, languages: Sequence[str]) -> float | None:
    """A cell's mean over languages, if it has one in each."""
    all_means = [means.get((cell, metric, language)) for language in languages]
    known = [mean for mean in all_means if mean is not None]
    return sum(known) / len(known) if known and len(known) == len(all_means) else None


def rows_at_places(page: Page, part: pl.DataFrame, means: Means) -> Iterator[tuple[Row, Mapping[str, float | str]]]:
    """Each row of a summary at each place of its cell; seen and unseen are those of the curve that runs through it."""
    rows = list(part.iter_rows(named=True))
    fixed = [row for row in rows if not page.groups.differ or row["group"] not in (SEEN, UNSEEN)]
    yield from ((row, place) for row in fixed for place in places_of(page, row["cell"]))
    if not page.groups.differ:
        return
    own = {(row["cell"], row["metric"], row["languages"]): row for row in rows if row["kind"] == Kind.MEAN}
    groups = groups_of_curves(page)
    for cell, metric in dict.fromkeys((row["cell"], row["metric"]) for row in rows if row["cell"] in page.settings):
        for place in places_of(page, cell):
            for group in (SEEN, UNSEEN):
                if languages := groups[page.series(place)].get(group):
                    same = own.get((cell, metric, " ".join(languages)))
                    made = same or made_row(cell, metric, languages, mean_over(means, cell, metric, languages))
                    yield {**made, "group": group}, place


def groups_of_curves(page: Page) -> dict[str, dict[str, tuple[str, ...]]]:
    """Series → groups of languages: seen are those that some point of the curve is trained on.

    So the point with nothing of them is on the curve of seen languages as well.
    """
    curves: dict[str, list[str]] = {}
    for name in page.settings:
        for place in places_of(page, name):
            curves.setdefault(page.series(place), []).append(name)
    return {series: page.groups.of(*names).means() for series, names in curves.items()}


def overview_rows(page: Page, table: TaskTable, rows: pl.DataFrame, groups: Sequence[str]) -> pl.DataFrame:
    """The rows of a task's metric for some groups of languages; beside curves, the untuned model's once for each."""
    here = rows.filter(pl.col("metric") == table.metric, pl.col("group").is_in(groups), pl.col("kind") != "published")
    if scale_of(page) is None:
        return here
    unit, lines = metric_of(table.metric), list[dict[str, Any]]()
    means = means_of(page.summary.filter(pl.col("task") == table.task, pl.col("cell").is_in(page.untuned)))
    for series, members in groups_of_curves(page).items():
        base = base_of_series(page, series)
        for group in groups:
            mean = mean_over(means, base, table.metric, members.get(group, (group,)))
            if mean is not None:
                named = {"kind": "base", "cell": base, "group": group, "label": page.groups.label(group)}
                lines.append(dict.fromkeys(FIGURES) | named | {"series": series, "mean": unit.factor * mean,
                                                               "shown": shown(mean, unit)})  # fmt: skip
    return pl.concat([here.filter(kind="cell"), pl.DataFrame(lines, schema=FIGURES, orient="row")])


def base_of_series(page: Page, series: str) -> str:
    """What the untuned model of a curve's settings is called."""
    on_it = (name for name in page.settings if any(page.series(place) == series for place in places_of(page, name)))
    return page.bases.get(next(on_it), page.base or "")


def kind_of(page: Page, name: str) -> str:
    """What a row is of: an untuned model, a cell, or a model from elsewhere, which is on no curve."""
    if name in page.untuned:
        return "base"
    return "outside" if name in page.outside and scale_of(page) is not None else "cell"


def made_row(cell: str, metric: str, languages: Sequence[str], mean: float | None) -> Row:
    """The row of languages that are no group of the cell: a mean without an interval."""
    return {
        "cell": cell, "metric": metric, "kind": Kind.MEAN, "languages": " ".join(languages),
        "mean": mean, "low": None, "high": None, "scored": None, "unscored": 0, "no_answer": 0,
    }  # fmt: skip


FIGURES: dict[str, Any] = {
    "metric": pl.String, "cell": pl.String, "group": pl.String, "label": pl.String, "kind": pl.String,
    "own": pl.Boolean, "x": pl.Float64, "series": pl.String, "verdict": pl.String, "p": pl.String, "marked": pl.String,
    "mean": pl.Float64, "low": pl.Float64, "high": pl.Float64, "change": pl.Float64, "shown": pl.String,
    "interval": pl.String, "n": pl.Int64,
}  # fmt: skip


def published_rows(page: Page, task: str) -> list[dict[str, Any]]:
    """Published curves of a task, as rows beside the study's own."""
    if page.reference is None:
        return []
    return [
        dict.fromkeys(FIGURES)
        | {
            "metric": row["metric"],
            "cell": row["name"],
            "group": row["language"],
            "label": row["language"],
            "kind": "published",
            "series": "",
        }
        | {"x": row["x"], "mean": metric_of(row["metric"]).factor * row["score"]}
        | {"shown": shown(row["score"], metric_of(row["metric"]))}
        for row in page.reference.filter(pl.col("task") == task).iter_rows(named=True)
    ]


LAW_POINTS = 24
"""At which a law is drawn, at equal distances of log10(1 + n)."""


def law_rows(page: Page, task: str) -> list[dict[str, Any]]:
    """The few-shot laws of a task's curves in single languages, as rows beside the study's own.

    They begin at the least amount, as an axis of logarithms has no 0.
    """
    least = min(
        (value for place in page.settings.values() if (value := _number(place.get(page.axis or ""))) is not None),
        default=0.0,
    )
    return [
        dict.fromkeys(FIGURES)
        | {"metric": law.metric, "cell": "law", "group": law.group, "label": law.group, "kind": "law"}
        | {"series": page.series(page.settings[law.settings[-1]]), "x": float(amount)}
        | {"mean": metric_of(law.metric).factor * law.at(float(amount))}
        for law in page.few_shot
        if law.task == task and law.axis == page.axis and law.group in page.groups.all
        for amount in np.geomspace(1 + least, 1 + law.largest, LAW_POINTS + 1) - 1
    ]


OWN_BASE = "its untuned model"
"""What changes are from where there are several."""


def compared_with(page: Page, part: pl.DataFrame) -> str:
    """What changes are from: the untuned model, of several each setting's own; or the first cell that has scores."""
    if page.bases:
        return OWN_BASE
    there = set(part["cell"])
    return next(name for name in page.names if name in there)


def pair_rows(page: Page, tables: Sequence[TaskTable], groups: tuple[str, str]) -> pl.DataFrame:
    """Per metric and cell of one task, the means over two groups, of seen and of unseen languages."""
    rows: list[dict[str, Any]] = []
    for table in tables:
        for cell in table.rows:
            figures = [table.figure(cell, group) for group in groups]
            row: dict[str, Any] = {"metric": table.metric, "cell": cell} | place_marks(page, cell)
            for name, figure in zip(("seen", "unseen"), figures, strict=True):
                if figure and figure.mean is not None:
                    interval = drawn(figure.mean, figure.low, figure.high, figure.metric)
                    row |= {name: interval["mean"], f"{name}_low": interval["low"], f"{name}_high": interval["high"]}
                    row[f"{name}_text"] = f"{figure.text} ({figure.interval})"
            if "seen" in row and "unseen" in row:
                rows.append(row)
    ends = [f"{name}_{end}" for name in ("seen", "unseen") for end in ("low", "high")]
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(ends if rows else (), pl.Float64))


def place_marks(page: Page, setting: str) -> dict[str, str]:
    """Where a setting stands: its amount as text, or its name where it has none, and its place on the other axes."""
    place = page.settings.get(setting, {})
    amount = _number(place.get(page.axis or ""))
    return {"at": setting if amount is None else f"{amount:g}", "series": page.series(place)}


def confusion_rows(table: TaskTable, languages: Sequence[str]) -> pl.DataFrame:
    """Per cell and language, how many predictions are in the right language, in another, and cannot be told."""
    rows: list[dict[str, Any]] = []
    for cell in table.rows:
        for language in languages:
            figure = table.figure(cell, language)
            if figure is None:
                continue
            right = round(figure.scored * (figure.mean or 0.0))
            counts = {RIGHT: right, WRONG: figure.scored - right, UNTOLD: figure.unscored}
            rows += [
                {"cell": cell, "group": language, "verdict": verdict, "count": count, "rank": rank}
                for rank, (verdict, count) in enumerate(counts.items())
            ]
    return pl.DataFrame(rows)


QUANTITIES = {
    "loss, nats per supervised token": "loss",
    "learning rate": "learning_rate",
    "gradient norm, before clipping": "gradient_norm",
}
"""What is recorded at each optimiser step → the field of `CellFacts`."""


def training_rows(page: Page) -> pl.DataFrame:
    """The training curves: cell, quantity, step (the last of those averaged) and value."""
    rows: list[dict[str, Any]] = []
    for cell in page.cells:
        marks = place_marks(page, cell.setting or cell.name)
        for quantity, name in QUANTITIES.items():
            values: Sequence[float] = getattr(cell, name)
            for steps in np.array_split(np.arange(len(values)), min(len(values), MOST_POINTS) or 1):
                if len(steps):
                    mean = float(f"{np.mean([values[step] for step in steps]):.4g}")
                    rows.append(
                        {"cell": cell.name, "quantity": quantity, "step": int(steps[-1]) + 1, "value": mean} | marks
                    )
    return pl.DataFrame(rows)


def transfer_rows(part: pl.DataFrame) -> pl.DataFrame:
    """One task's transfer matrix as it is drawn: source, target, change, its text and interval.

    Sources are called by their language where that tells them apart, else as their cells.
    """
    cells = part.select("cell", "source").unique()
    by_language = cells["source"].is_unique().all()
    rows: list[dict[str, Any]] = []
    for row in part.iter_rows(named=True):
        metric = metric_of(row["metric"])
        interval = drawn(row["difference"], row["low"], row["high"], metric)
        ends = " to ".join(filter(None, (shown(row[end], metric) for end in ("low", "high"))))
        rows.append({
            "source": row["source"] if by_language else row["cell"],
            "target": row["target"],
            "change": interval["mean"],
            "shown": difference(row["difference"], 0.0, metric),
            "marked": difference(row["difference"], 0.0, metric) + ARROWS.get(verdict_of(row), ""),
            "verdict": verdict_of(row).value,
            "p": tested(row),
            "interval": ends,
        })  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"change": pl.Float64})


def reach_by_metric(rows: pl.DataFrame) -> dict[str, float]:
    """Metric → the largest change, up or down."""
    return {str(metric): reach_of(part) for (metric,), part in rows.partition_by("metric", as_dict=True).items()}


def reach_of(rows: pl.DataFrame) -> float:
    """The largest change, up or down; 1 where nothing changed."""
    reach: Any = rows["change"].abs().max()
    return float(reach or 1.0)


def drawn(mean: float | None, low: float | None, high: float | None, metric: Metric) -> dict[str, float | None]:
    """A mean and its interval times the metric's factor."""
    values = {"mean": mean, "low": low, "high": high}
    return {name: None if value is None else metric.factor * value for name, value in values.items()}


def columns_of(table: pl.DataFrame) -> dict[str, list[Any]]:
    """The table's columns as plain lists, numbers to four decimals."""
    return table.with_columns(pl.col(pl.Float64).round(4)).to_dict(as_series=False)


def _number(value: float | str | None) -> float | None:
    return None if isinstance(value, str) else value
