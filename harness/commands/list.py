"""harness list: what recipes can name without bringing anything of their own."""

from __future__ import annotations

from collections import defaultdict

from data_mixes.prompt_words import PROMPTS
from data_mixes.sources import SOURCES
from data_mixes.templates.embedded import EmbeddedSource
from eval.analysis.groups import language_name
from eval.tasks import TASKS
from harness.console import plain_table, show_table
from harness.results import Answer, Result


class ListedSource(Result):
    """A data set that ships with the harness, or that it reads from the Hugging Face Hub."""

    name: str
    task: str
    languages: tuple[str, ...]
    parallel: bool
    """Whether its rows in different languages are translations of each other."""
    shipped: bool
    """Whether it needs no download."""


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
        languages=tuple(
            ListedLanguage(
                code=code, name=language_name(code), sources=tuple(sources[code]),
                prompts=tuple(task for task, words in PROMPTS.items() if code in words),
            )
            for code in sorted(sources)
        ),
    )  # fmt: skip


def print_catalogue(as_json: bool) -> None:
    """Prints it as tables, or as JSON."""
    listed = catalogue()
    if as_json:
        print(listed.as_json())
        return
    table = plain_table("sources", ("source", "task", "rows", "languages"), ())
    for source in listed.sources:
        rows = "with the harness" if source.shipped else "from the hub"
        table.add_row(source.name, source.task, rows, " ".join(source.languages))
    show_table(table)
    table = plain_table("tasks", ("task", "metric", "test items"), ("tokens at most",))
    for task in listed.tasks:
        table.add_row(task.name, task.metric, task.source, f"{task.max_tokens}")
    show_table(table)
    table = plain_table("languages", ("code", "name", "prompts of"), ("sources",))
    for language in listed.languages:
        table.add_row(language.code, language.name, " ".join(language.prompts), f"{len(language.sources)}")
    show_table(table)
