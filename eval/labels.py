"""Tasks whose answers are a few labels: the share of the most frequent one, and models that write none of them."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from eval.analysis.groups import language_name

MOST_LABELS = 10
FEWEST_ITEMS_PER_LABEL = 3
"""On average; where references are repeated less, they are no labels."""
OFTEN = 0.5
"""A larger share of completions without any label is worth a warning."""
MOST_NAMED = 3
LONGEST = 40
"""Characters of a completion that a note quotes."""


def label_notes(predictions: pl.DataFrame) -> list[str]:
    """What a reader of accuracies needs to know of tasks that have a few labels as their answers.

    A line for each such task with the share of items that have the most frequent label, which a model reaches that
    always gives the same one; a line for each language in which models wrote none of its labels in more than `OFTEN`
    of their completions, with what they wrote most; and a line of models that wrote the same to every item.
    """
    known = labelled(predictions)
    notes: list[str] = []
    for (task,), part in known.group_by("task", maintain_order=True):
        notes += [majority_line(str(task), part), *unlabelled_lines(str(task), part, predictions)]
        notes += one_answer_line(str(task), part, predictions)
    return notes


def labelled(predictions: pl.DataFrame) -> pl.DataFrame:
    """task, language, labels (list), items, most (items with the most frequent label), of tasks that have labels."""
    items = predictions.unique(["task", "language", "item"], maintain_order=True)
    counts = items.group_by("task", "language", "reference", maintain_order=True).len()
    languages = counts.group_by("task", "language", maintain_order=True).agg(
        labels=pl.col("reference").drop_nulls(), items=pl.col("len").sum(), most=pl.col("len").max()
    )
    number = pl.col("labels").list.len()
    few = number.is_between(2, MOST_LABELS) & (pl.col("items") >= FEWEST_ITEMS_PER_LABEL * number)
    return languages.filter(few.all().over("task"))


def majority_line(task: str, part: pl.DataFrame) -> str:
    """The share of the most frequent label in each language."""
    shares = [f"{language} {100 * most / items:.1f} (n = {items:,})"
              for _, language, _, items, most in part.iter_rows()]  # fmt: skip
    return f"{task}: share of items, in %, that have the most frequent answer of their language: {', '.join(shares)}"


def unlabelled_lines(task: str, part: pl.DataFrame, predictions: pl.DataFrame) -> Iterator[str]:
    """Languages in which some models mostly write something else than the language's labels."""
    by_label = part.explode("labels").with_columns(folded(pl.col("labels")))
    for _, language, labels, *_ in part.with_columns(pl.col("labels").list.eval(folded(pl.element()))).iter_rows():
        written = pl.col("completion").str.strip_chars()
        found = [folded(written).str.contains(label, literal=True) for label in labels]
        generated = predictions.filter(pl.col("completion").is_not_null(), task=task, language=language)
        missed = generated.select("cell", written=written, missed=~pl.any_horizontal(found))
        by_cell = missed.group_by("cell", maintain_order=True).agg(pl.col("missed").sum(), completions=pl.len())
        often = by_cell.filter(pl.col("missed") > OFTEN * pl.col("completions"))
        if often.is_empty():
            continue
        texts = missed.filter(pl.col("missed"), pl.col("cell").is_in(often["cell"].implode()))["written"]
        text, count = texts.value_counts(sort=True).sort("count", "written", descending=[True, False]).row(0)
        same = by_label.filter(pl.col("labels") == folded(pl.lit(text)))
        elsewhere = [language_name(home) for home in same["language"]]
        meaning = f", an answer of {' and '.join(elsewhere)}" if elsewhere else ""
        most = f"the most frequent is {quoted(text)} ({count:,} times{meaning})"
        yield (
            f"{task} in {language_name(language)}: {often['missed'].sum():,} of {often['completions'].sum():,} "
            f"completions of {with_others(often['cell'].to_list(), len(by_cell))} hold none of its {len(labels)} "
            f"answers; "
            f"{most if count > 1 else f'one is {quoted(text)}'}"
        )


def one_answer_line(task: str, part: pl.DataFrame, predictions: pl.DataFrame) -> list[str]:
    """Models that complete every item of a language in the same way: what they score says nothing of the items."""
    asked = predictions.filter(pl.col("language").is_in(part["language"].implode()), task=task)
    written = asked.filter(pl.col("completion").is_not_null()).with_columns(folded(pl.col("completion")))
    counts = written.group_by("cell", "language", maintain_order=True).agg(pl.col("completion").n_unique(), n=pl.len())
    same = counts.filter(pl.col("completion") == 1, pl.col("n") > 1)
    by_language = same.group_by("language", maintain_order=True).agg("cell")
    models = counts["cell"].n_unique()
    told = [f"{language} by {with_others(cells, models)}" for language, cells in by_language.iter_rows()]
    return [f"{task}: every item is completed in the same way in {'; in '.join(told)}"] if told else []


def folded(text: pl.Expr) -> pl.Expr:
    """Text without regard to case, nor to the dots that tell the two letters i of Turkish apart."""
    return text.str.strip_chars().str.to_lowercase().str.replace_all("\u0307", "").str.replace_all("ı", "i")


def with_others(cells: list[str], models: int) -> str:
    """The first few names, and how many others there are; or that it is all the models."""
    if len(cells) == models > MOST_NAMED + 1:
        return f"all {models} models"
    if len(cells) <= MOST_NAMED + 1:
        return ", ".join(cells)
    return f"{', '.join(cells[:MOST_NAMED])} and {len(cells) - MOST_NAMED} other models"


def quoted(text: str) -> str:
    """The beginning of a completion, on one line and in quotation marks."""
    line = " ".join(text.split())
    return f"“{line if len(line) <= LONGEST else line[: LONGEST - 1] + '…'}”" if line else "nothing at all"
