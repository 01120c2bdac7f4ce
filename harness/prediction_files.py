"""Files of predictions that any program made, as commands meet them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eval.prediction_files.tally import Tallies
from harness.console import line, plain_table, say, show_table
from harness.errors import Problem

SHOWN_BAD = 20


def same_file_problems(file: Path, out: Path | None) -> list[Problem]:
    """Results that would be written over what they are of."""
    if out and out.resolve() == file.resolve():
        return [Problem("--out", f"{out} is the file of predictions itself; name another")]
    return []


def report_bad(tallies: Tallies) -> None:
    """Says which rows are bad, the first of them by line."""
    for row in tallies.bad[:SHOWN_BAD]:
        say(f"bad row: {row}")
    if tallies.bad:
        more = f", {len(tallies.bad) - SHOWN_BAD} of them not shown" if len(tallies.bad) > SHOWN_BAD else ""
        say(f"{len(tallies.bad)} bad rows were left out{more}")


def show_scores(task: str, data: dict[str, Any]) -> None:
    """A row per language and metric: the mean with its interval, and how many rows it is of."""
    table = plain_table(task, ("language", "metric"), ("mean", "95 %", "scored", "unscored", "no answer"))
    for language, metrics in data["languages"].items():
        for place, (metric, tally) in enumerate(metrics.items()):
            figures = [f"{tally[key]:.3f}" if tally.get(key) is not None else "" for key in ("mean", "low", "high")]
            interval = f"{figures[1]}–{figures[2]}" if figures[1] else ""
            counts = [f"{tally[key]:,}" if key in tally else "" for key in ("scored", "unscored", "no_answer")]
            table.add_row("" if place else language, metric, figures[0], interval, *counts)
    show_table(table)
    versions = dict.fromkeys(tally["version"] for each in data["languages"].values() for tally in each.values()
                             if tally.get("version"))  # fmt: skip
    line(f"versions: {'; '.join(versions)}")
