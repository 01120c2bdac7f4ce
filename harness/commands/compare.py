"""The compare stage: two cells item by item, and the items on which they part."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from data_mixes.storage import write_text
from eval.analysis.groups import LanguageGroups
from eval.analysis.panel import Panel
from eval.analysis.stats import differences, holm
from eval.analysis.summary import main_panels
from harness.console import line, plain_table, show_table
from harness.errors import Problem, UserError, suggestion
from harness.evaluation.cells import PREDICTIONS
from harness.planning.study import Study
from harness.reporting.report import current_scores

SHARED = ("task", "language", "item", "id")


def compare_cells(study: Study, one: str, other: str) -> dict[str, Any]:
    """Item-paired differences one − other per task, language and group; the items that flipped go to a file.

    Raises UserError for cells that have no scores.
    """
    scores, _ = current_scores(study)
    known = scores["cell"].unique(maintain_order=True).to_list()
    problems = [
        Problem(f"CELL_{place}", f"no scores of {name!r}; {suggestion(name, known)}")
        for place, name in (("A", one), ("B", other))
        if name not in known
    ]
    if not problems and one == other:
        problems.append(Problem("CELL_B", f"got {other!r} twice; name two cells"))
    if problems:
        raise UserError(problems)
    chosen = scores.filter(pl.col("cell").is_in([one, other]))
    groups = study.groups
    versions = chosen.group_by("task", "metric").agg(pl.col("version").unique().sort().str.join("; "))
    named = {(task, metric): version for task, metric, version in versions.iter_rows()}
    rows = [
        row
        for panel in main_panels(chosen)
        for row in compared_rows(panel, one, other, groups, named[panel.task, panel.metric])
    ]
    items = flips(study, chosen, one, other)
    path = study.folder / "comparisons" / f"{one}--{other}.jsonl"
    write_text(path, "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items))
    return {"one": one, "other": other, "differences": rows, "flipped": items, "file": str(path)}


def compared_rows(panel: Panel, one: str, other: str, groups: LanguageGroups, version: str) -> list[dict[str, Any]]:
    """A row per language and group of a task; p-values are Holm's over the languages, and over the groups."""
    if {one, other} - set(panel.runs):
        return []
    single = {language: (language,) for language in groups.all if language in panel.languages}
    means = {name: members for name, members in groups.means().items() if set(members) <= set(panel.languages)}
    rows: list[dict[str, Any]] = []
    for family in (single, means):
        found = differences([(panel.of((one,), each), panel.of((other,), each)) for each in family.values()])
        adjusted = holm([each.p for each in found])
        for name, each, p in zip(family, found, adjusted, strict=True):
            rows.append(
                {
                    "task": panel.task,
                    "metric": panel.metric,
                    "version": version,
                    "group": name,
                    "items": each.items,
                    "difference": each.difference,
                    "low": each.low,
                    "high": each.high,
                    "p": each.p,
                    "p_adjusted": p,
                    "detectable": each.detectable,
                }
            )
    return rows


def flips(study: Study, scores: pl.DataFrame, one: str, other: str) -> list[dict[str, Any]]:
    """The items of which the two cells' main scores differ, the largest differences first, with what each wrote."""
    main = scores.group_by("task", maintain_order=True).agg(pl.col("metric").first())
    judged = scores.join(main, on=["task", "metric"], how="semi").select("cell", *SHARED, "value", "answer")
    written = pl.read_parquet(study.folder / PREDICTIONS).select("cell", *SHARED, "prompt", "reference", "completion")
    both = judged.join(written, on=["cell", *SHARED], how="left")
    first, second = (both.filter(pl.col("cell") == cell).drop("cell") for cell in (one, other))
    second = second.select(*SHARED, pl.col("value", "answer", "completion").name.suffix("_other"))
    paired = first.join(second, on=SHARED, how="inner").filter(pl.col("value") != pl.col("value_other"))
    gap = (pl.col("value") - pl.col("value_other")).abs()
    return [
        {name: row[name] for name in (*SHARED, "prompt", "reference")}
        | {one: {name: row[name] for name in ("value", "answer", "completion")}}
        | {other: {name: row[f"{name}_other"] for name in ("value", "answer", "completion")}}
        for row in paired.sort(gap, descending=True, maintain_order=True).iter_rows(named=True)
    ]


def show_comparison(data: dict[str, Any], shown: int) -> None:
    """A table of differences per language and group, then some of the items that flipped."""
    from eval.report.text_tables import p_value
    from eval.scorers.metrics import metric_of

    title = f"{data['one']} − {data['other']}"
    table = plain_table(title, ("task", "metric", "language"), ("difference", "95 %", "p", "p (Holm)", "items"))
    before = ""
    for row in data["differences"]:
        factor = metric_of(row["metric"]).factor
        figures = [None if row[key] is None else factor * row[key] for key in ("difference", "low", "high")]
        known = [f"{each:+.1f}" for each in figures if each is not None]
        interval = f"{known[1]} to {known[2]}" if len(known) == 3 else ""
        p_values = [p_value(row[key]) for key in ("p", "p_adjusted")]
        words = (row["task"], row["metric"]) if row["task"] != before else ("", "")
        table.add_row(*words, row["group"], known[0] if known else "", interval, *p_values, str(row["items"]))
        before = row["task"]
    show_table(table)
    for item in data["flipped"][:shown]:
        line(f"\n{item['task']} {item['language']} {item['item']}")
        line(f"  prompt     {' '.join(item['prompt'].split())}")
        line(f"  reference  {' '.join(item['reference'].split())}")
        for cell in (data["one"], data["other"]):
            line(f"  {cell}: {item[cell]['value']:g}  {' '.join(item[cell]['completion'].split())}")
    line(f"{len(data['flipped'])} items differ: {data['file']}")
    line(f"versions: {'; '.join(dict.fromkeys(row['version'] for row in data['differences']))}")
