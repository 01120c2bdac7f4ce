"""harness list: what recipes can name without bringing anything of their own."""

from __future__ import annotations

from collections import defaultdict
from math import isfinite

from rich.table import Table

from data_mixes.prompt_words import PROMPTS
from data_mixes.sources import SOURCES
from data_mixes.templates.embedded import EmbeddedSource
from eval.analysis.groups import language_name
from eval.scorers.metrics import MEANINGS, metric_of
from eval.tasks import TASKS
from harness.console import plain_table, show_table
from harness.errors import Problem, UserError, suggestion
from harness.results import Answer, Result

KINDS = ("sources", "tasks", "metrics", "languages")


class ListedSource(Result):
    """A data set that ships with the harness, or that it reads from the Hugging Face Hub."""

    name: str
    task: str
    languages: tuple[str, ...]
    parallel: bool
    """Whether its rows in different languages are translations of each other."""
    shipped: bool
    """Whether it needs no download."""


class ListedMetric(Result):
    """A metric that scorers of the harness give."""

    name: str
    meaning: str
    tasks: tuple[str, ...]
    """The tasks that it is the main metric of."""
    worst: float
    best: float | None
    """None where there is no largest value."""
    factor: float
    """What tables show its figures times."""


class ListedTask(Result):
    """A task that models can be tested on."""

    name: str
    metric: str
    """Its main metric, unless a judge rates it."""
    scorer_version: str
    source: str
    """Where its test items come from by default."""
    max_tokens: int
    """The longest completion by default."""


class ListedLanguage(Result):
    """A language that the harness ships something for; a study may use others."""

    code: str
    name: str
    sources: tuple[str, ...]
    """The sources that have it."""
    prompts: tuple[str, ...]
    """The tasks whose prompts are written in it."""


class Catalogue(Answer):
    """What recipes can name."""

    sources: tuple[ListedSource, ...]
    tasks: tuple[ListedTask, ...]
    metrics: tuple[ListedMetric, ...]
    languages: tuple[ListedLanguage, ...]


def catalogue() -> Catalogue:
    """Everything that recipes can name."""
    sources: dict[str, list[str]] = defaultdict(list)
    for source in SOURCES.values():
        for language in source.languages:
            sources[language].append(source.name)
    for words in PROMPTS.values():
        for language in words:
            sources[language] += []
    return Catalogue(
        sources=tuple(
            ListedSource(
                name=source.name, task=source.task, languages=tuple(sorted(source.languages)),
                parallel=source.parallel, shipped=isinstance(source, EmbeddedSource),
            )
            for source in SOURCES.values()
        ),
        tasks=tuple(
            ListedTask(
                name=task.name, metric=task.metric, scorer_version=task.scorer_version, source=task.source,
                max_tokens=task.max_tokens,
            )
            for task in TASKS.values()
        ),
        metrics=tuple(
            ListedMetric(
                name=name, meaning=meaning, tasks=tuple(task.name for task in TASKS.values() if task.metric == name),
                worst=metric.worst, best=metric.best if isfinite(metric.best) else None, factor=metric.factor,
            )
            for name, meaning in MEANINGS.items()
            for metric in [metric_of(name)]
        ),
        languages=tuple(
            ListedLanguage(
                code=code, name=language_name(code), sources=tuple(sources[code]),
                prompts=tuple(task for task, words in PROMPTS.items() if code in words),
            )
            for code in sorted(sources)
        ),
    )  # fmt: skip


def print_catalogue(kind: str | None, name: str | None, as_json: bool) -> None:
    """Prints it, or the part of a kind, or one of these, as tables or as JSON. Raises UserError for unknown names."""
    listed = chosen(catalogue(), kind, name)
    if as_json:
        print(listed.as_json())
        return
    for show in (show_sources, show_tasks, show_metrics, show_languages):
        show(listed)


def chosen(listed: Catalogue, kind: str | None, name: str | None) -> Catalogue:
    """What was asked for: all, one kind, or one of its names. Raises UserError."""
    if kind is None:
        return listed
    if kind not in KINDS:
        raise UserError([Problem("KIND", f"no kind {kind!r}; {suggestion(kind, KINDS)}")])
    parts = {part.code if isinstance(part, ListedLanguage) else part.name: part for part in getattr(listed, kind)}
    if name is not None and name not in parts:
        raise UserError([Problem("NAME", f"none of the {kind} is {name!r}; {suggestion(name, parts)}")])
    wanted = tuple(parts.values()) if name is None else (parts[name],)
    return listed.model_copy(update={other: wanted if other == kind else () for other in KINDS})


def show_sources(listed: Catalogue) -> None:
    """The sources, if any are to be shown."""
    table = plain_table("sources", ("source", "task", "rows", "translations", "languages"), ())
    for source in listed.sources:
        rows = "with the harness" if source.shipped else "from the hub"
        table.add_row(source.name, source.task, rows, "yes" if source.parallel else "", " ".join(source.languages))
    show_filled(table)


def show_tasks(listed: Catalogue) -> None:
    """The tasks, if any are to be shown."""
    table = plain_table("tasks", ("task", "metric", "test items", "scorer"), ("tokens at most",))
    for task in listed.tasks:
        table.add_row(task.name, task.metric, task.source, task.scorer_version, f"{task.max_tokens}")
    show_filled(table)


def show_metrics(listed: Catalogue) -> None:
    """The metrics, if any are to be shown."""
    table = plain_table("metrics", ("metric", "main of", "range", "meaning"), ())
    for metric in listed.metrics:
        best = "" if metric.best is None else f"{metric.best:g}"
        table.add_row(metric.name, " ".join(metric.tasks), f"{metric.worst:g}–{best}", metric.meaning)
    show_filled(table)


def show_languages(listed: Catalogue) -> None:
    """The languages, if any are to be shown; one alone with the names of its sources."""
    table = plain_table("languages", ("code", "name", "prompts of", "sources"), ())
    for language in listed.languages:
        sources = " ".join(language.sources) if len(listed.languages) == 1 else f"{len(language.sources)}"
        table.add_row(language.code, language.name, " ".join(language.prompts), sources)
    show_filled(table)


def show_filled(table: Table) -> None:
    """A table that has rows."""
    if table.row_count:
        show_table(table)
