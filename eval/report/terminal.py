"""The report in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from eval.report.tables import TaskTable
from eval.transfer import LanguageGroups


def print_tables(tables: Sequence[TaskTable], groups: LanguageGroups, console: Console) -> None:
    """Prints a table per task, unseen languages marked, with the counts that qualify it."""
    marks = {language: f"{language}*" for language in groups.unseen}
    for table in tables:
        shown = Table(
            title=f"{table.task}: {table.metric} × 100",
            caption=f"{table.items} items per language; (95 % interval); * not trained on; {table.version}",
            caption_justify="left",
        )
        shown.add_column("cell", no_wrap=True)
        for column in table.columns:
            shown.add_column(marks.get(column, column), justify="right")
        for cell, figures in table.rows.items():
            texts = [
                "" if figure is None else figure.text if column in groups.all else figure.with_interval
                for column, figure in zip(table.columns, figures, strict=True)
            ]
            shown.add_row(cell, *texts)
        console.print(shown)
        for note in caveats(table, groups):
            console.print(f"  {note}")


def caveats(table: TaskTable, groups: LanguageGroups) -> list[str]:
    """What is unscored, and what counts as wrong because no answer was found in it."""
    notes: list[str] = []
    for cell, figures in table.rows.items():
        paired = zip(table.columns, figures, strict=True)
        single = [figure for column, figure in paired if figure and column in groups.all]
        unscored = sum(figure.unscored for figure in single)
        no_answer = sum(figure.no_answer for figure in single)
        if unscored:
            notes.append(f"{cell}: {unscored} predictions unscored")
        if no_answer:
            notes.append(f"{cell}: {no_answer} completions with no answer to be found, counted as wrong")
    return notes
