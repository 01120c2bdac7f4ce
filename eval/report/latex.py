"""Tables for papers: LaTeX with booktabs."""

from __future__ import annotations

from collections.abc import Sequence

from eval.report.tables import Figure, TaskTable

ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "×": r"$\times$", "–": "--", "−": "$-$",
}  # fmt: skip


def latex_table(table: TaskTable, study: str, unseen: Sequence[str]) -> str:
    """A task's table: means with intervals below them, counts and versions in the caption; needs booktabs."""
    versions = escaped(table.version)
    caption = (
        f"{escaped(table.task)}: {escaped(table.title)} of the study {escaped(study)}, with 95\\,\\% intervals; "
        f"{table.items} items per language unless n says otherwise"
        + (f"; {escaped(', '.join(unseen))} not trained on" if unseen else "")
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
        lines.append(" & ".join([escaped(cell), *(figure.text if figure else "" for figure in figures)]) + r" \\")
        lines.append(" & ".join(["", *(_basis(table, figure) for figure in figures)]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _basis(table: TaskTable, figure: Figure | None) -> str:
    """The interval, small, and the count where it is not the caption's."""
    if figure is None or not figure.text:
        return ""
    return rf"{{\scriptsize {escaped(' '.join(filter(None, (figure.interval, table.count(figure)))))}}}"


def escaped(text: str) -> str:
    """Text as LaTeX shows it."""
    return "".join(ESCAPES.get(character, character) for character in text)
