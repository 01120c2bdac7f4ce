"""Tables for papers: LaTeX with booktabs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from eval.analysis.groups import GAP, SEEN, STUDY_SEEN, UNSEEN
from eval.report.tables import Figure, TaskTable
from eval.report.verdicts import ARROWS, Changes
from eval.scorers.metrics import metric_of

ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "×": r"$\times$", "–": "--", "−": "$-$",
}  # fmt: skip


def latex_table(table: TaskTable, study: str, unseen: Sequence[str], changes: Changes) -> str:
    """A task's table: means with intervals below them, counts and versions in the caption; needs booktabs.

    The best value of each column is bold; † marks what differs from the setting that all are compared with.
    """
    best, sure = best_values(table), marked(table, changes)
    versions = escaped(table.version)
    caption = (
        f"{escaped(table.task)}: {escaped(table.title)} of the study {escaped(study)}, with 95\\,\\% intervals; "
        f"{table.items} items per language unless n says otherwise"
        + (f"; {escaped(', '.join(unseen))} not trained on" if unseen else "")
        + (r". The best value of a column is bold" if best else "")
        + (rf"; $^\dagger$ differs from {escaped(changes.reference)}, $p<0.05$, adjusted" if sure else "")
        + f". Scorer: {versions}."
        + (f" {escaped(table.caution)}." if table.caution else "")
    )
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:{table.task}-{table.metric.replace('_', '-')}}}",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(["cell", *map(escaped, table.headings)]) + r" \\",
        r"\midrule",
    ]
    for cell, figures in table.rows.items():
        entries = zip(table.columns, figures, strict=True)
        texts = [_value(figure, (cell, column) in best, (cell, column) in sure) for column, figure in entries]
        lines.append(" & ".join([escaped(cell), *texts]) + r" \\")
        lines.append(" & ".join(["", *(_basis(table, figure) for figure in figures)]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def best_values(table: TaskTable) -> set[tuple[str, str]]:
    """The entries, by cell and column, that are the highest of several in their column.

    Of figures that can be ranked: not of differences, nor of groups whose languages are each cell's own.
    """
    best: set[tuple[str, str]] = set()
    if not math.isfinite(metric_of(table.metric).best):
        return best
    unranked = (GAP, SEEN, UNSEEN) if STUDY_SEEN in table.columns else (GAP,)
    for column in (column for column in table.columns if column not in unranked):
        shown = {cell: figure.text for cell in table.rows if (figure := table.figure(cell, column)) and figure.text}
        highest = max(shown.values(), key=float, default="")
        if len(set(shown.values())) > 1:
            best |= {(cell, column) for cell, text in shown.items() if text == highest}
    return best


def marked(table: TaskTable, changes: Changes) -> set[tuple[str, str]]:
    """The entries of cells, by cell and column, that differ from what all are compared with by more than chance."""
    return {
        (cell, column)
        for cell in table.rows
        for column in table.columns
        if (change := changes.of(table.task, table.metric, cell, column)) and change.verdict in ARROWS
    }


def _value(figure: Figure | None, best: bool, sure: bool) -> str:
    """A mean, bold where it is the best, with a dagger where it differs from what it is compared with."""
    if figure is None or not figure.text:
        return ""
    return (rf"\textbf{{{figure.text}}}" if best else figure.text) + (r"$^\dagger$" if sure else "")


def _basis(table: TaskTable, figure: Figure | None) -> str:
    """The interval, small, and the count where it is not the caption's."""
    if figure is None or not figure.text:
        return ""
    return rf"{{\scriptsize {escaped(' '.join(filter(None, (figure.interval, table.count(figure)))))}}}"


def escaped(text: str) -> str:
    """Text as LaTeX shows it."""
    return "".join(ESCAPES.get(character, character) for character in text)
