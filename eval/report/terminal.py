"""The report in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from eval.analysis.groups import ALL, GAP, OTHERS, PERFORMANCE, LanguageGroups
from eval.report.tables import Figure, TaskTable


def print_tables(tables: Sequence[TaskTable], groups: LanguageGroups, console: Console) -> None:
    """Prints a table per task, as narrow as it can be read: intervals below the means of groups."""
    own = ", seen and unseen by each cell itself" if groups.differ else ""
    starred_ones = f"; * not trained on{own}" if groups.unseen or groups.differ else ""
    for table in tables:
        caption = (
            f"{table.items} items per language; below: 95 % interval{starred_ones};\n"
            f"{f'{groups.excludes_pivot}; ' if groups.excludes_pivot else ''}"
            f"to {groups.pivot}: {groups.label(PERFORMANCE)}; {table.version}"
        )
        shown = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        shown.add_column("cell", no_wrap=True)
        columns = [column for column in table.columns if column not in (OTHERS, ALL, *groups.named, GAP)]
        for column in columns:
            heading = (
                f"{column}*"
                if column in groups.unseen
                else {PERFORMANCE: f"to {groups.pivot}"}.get(column, groups.label(column))
            )
            shown.add_column(heading, justify="right", no_wrap=True)
        for cell, figures in table.rows.items():
            by_column = dict(zip(table.columns, figures, strict=True))
            texts = [_text(by_column[name], name in groups.all, starred(cell, name, groups)) for name in columns]
            shown.add_row(cell, *texts)
        width = Console(width=10_000).measure(shown).maximum
        console.print(f"{table.task}: {table.title}", soft_wrap=True)
        Console(file=console.file, width=max(console.width, width)).print(shown)
        console.print(caption, style="dim", highlight=False)
        for note in caveats(table, groups):
            console.print(f"  {note}", soft_wrap=True)


def starred(cell: str, column: str, groups: LanguageGroups) -> str:
    """The mark of a language that others are trained on, and this cell is not."""
    return "*" if cell in groups.trained and column in groups.of(cell).unseen and column not in groups.unseen else ""


def _text(figure: Figure | None, of_one_language: bool, mark: str) -> str:
    """The mean, and below it the interval if it is of a group."""
    if figure is None or of_one_language:
        return f"{figure.text}{mark}" if figure and figure.text else ""
    return f"{figure.text}\n[dim]{figure.interval}[/dim]" if figure.text else ""


def counted(count: int, name: str) -> str:
    """ "1 completion", "2,000 completions"."""
    return f"{count:,} {name}" if count == 1 else f"{count:,} {name}s"


def caveats(table: TaskTable, groups: LanguageGroups) -> list[str]:
    """What is not on one scale, what is unscored, and what counts as wrong because no answer was found in it."""
    notes = [table.caution] if table.caution else []
    for cell, figures in table.rows.items():
        paired = zip(table.columns, figures, strict=True)
        single = [figure for column, figure in paired if figure and column in groups.all]
        unscored = sum(figure.unscored for figure in single)
        no_answer = sum(figure.no_answer for figure in single)
        if unscored:
            notes.append(f"{cell}: {counted(unscored, 'prediction')} unscored")
        if no_answer:
            notes.append(f"{cell}: {counted(no_answer, 'completion')} with no answer to be found, counted as wrong")
    return notes
