"""harness init: a commented recipe, from options or from a few questions."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from glob import glob
from itertools import islice
from pathlib import Path

import typer

from data_mixes.reading.hold_out import HeldOut
from data_mixes.reading.records import FileError, read_records
from data_mixes.source import SourceError
from data_mixes.storage import write_text
from harness.console import say
from harness.errors import Problem, UserError, suggestion
from harness.planning.testsets import tested_languages, tested_places, tested_source
from harness.recipe.checks import NAME
from harness.recipe.load import load_recipe
from harness.recipe.new_recipe import Choices, recipe_text, task_text
from harness.recipe.schema import Recipe
from harness.recipe.source_settings import SourceColumns

USUAL = {
    "prompt": ("prompt", "question", "input", "text", "article", "document", "instruction", "sentence", "review"),
    "target": ("target", "solution", "output", "summary", "response", "completion", "label", "answer", "reference"),
    "answer": ("answer", "number", "result"),
    "id": ("id", "row_id"),
    "item": ("item", "item_id", "story"),
    "language": ("language", "lang", "language_code"),
}
"""Key of a source's columns → what columns of it are often called."""
MOST_ITEMS, MOST_ROWS, FEWEST_ROWS = 100, 400, 5
"""What a recipe asks for of larger sources; and the fewest items of which some can be set aside."""


@dataclass(frozen=True)
class Given:
    """What the options say; what they leave open is asked on a terminal, and takes its default elsewhere."""

    model: str | None = None
    task: str | None = None
    seen: tuple[str, ...] | None = None
    unseen: tuple[str, ...] | None = None
    files: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    amounts: tuple[int, ...] = ()
    """Empty: none, and half and all of nine tenths of the rows that every language has."""
    seeds: int | None = None


def write_recipe(path: Path, given: Given) -> None:
    """Writes a recipe, and says what comes next. Raises UserError for options that make none, or if it is there."""
    if path.exists():
        raise refused(str(path), "is there already; name another file")
    if not NAME.fullmatch(path.stem):
        raise refused(
            "RECIPE", f"got {path.name}: a study is called like its file, in letters, digits, '.', '_' and '-'"
        )
    choices = chosen(path.stem, given)
    choices = replace(choices, columns=columns_of(choices, path.parent))
    code = path.parent / f"{choices.task}.py"
    texts = {path: recipe_text(choices)}
    if choices.own_task and not code.exists():
        texts[code] = task_text(choices)
    try:
        for file, text in texts.items():
            write_text(file, text)
        write_text(path, recipe_text(fitted(choices, load_recipe(path)[0], given.amounts)))
        load_recipe(path)
    except BaseException:
        for file in texts:
            file.unlink(missing_ok=True)
        raise
    for file in texts:
        say(f"written: {file}")
    if choices.own_task:
        say(f"The words of the prompts and the scorer are yours to write: {code}")
    say(f"Next: harness plan {path} --show-rows 1, harness plan {path}, then harness run {path}")


def chosen(study: str, given: Given) -> Choices:
    """The choices, those that are not given asked for. Raises UserError for numbers that are none."""
    task = given.task or answer("Task: math, summarization, instructions, or a name for one of your own", "math")
    files = given.files
    if files is None:
        files = answer(
            "Your data, as data/{language}.csv, or data/{language}.{split}.csv for train and test; blank: what ships",
            "",
        )
    seen = given.seen or codes(answer("Languages to train on; the first one is in every mixture", "en,es"))
    unseen = given.unseen
    if unseen is None:
        unseen = codes(answer("Languages to test on alone", "fr" if seen == ("en", "es") else ""))
    model = given.model or answer("Model: gemma-3-270m, a folder, or a Hugging Face id", "gemma-3-270m")
    seeds = given.seeds or whole_number("seeds", answer("Runs of each mixture, under different seeds", "3"))
    parted = not files or "{split}" in files
    amounts = given.amounts or (0, 1)
    return Choices(
        study, model, task, seen, unseen, files, given.columns, amounts, seeds, items=1, hold_out=0 if parted else 1
    )


def answer(question: str, default: str) -> str:
    """What the user says; the default where nobody is there to answer."""
    return str(typer.prompt(question, default=default, err=True)).strip() if on_terminal() else default


def on_terminal() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty()


def codes(text: str) -> tuple[str, ...]:
    """Language codes with commas between them."""
    return tuple(filter(None, (code.strip() for code in text.split(","))))


def whole_number(option: str, text: str) -> int:
    """A number of at least 1. Raises UserError."""
    if not text.isdecimal() or int(text) < 1:
        raise refused(f"--{option}", f"got {text!r}; write a whole number of at least 1")
    return int(text)


def amounts_in(text: str | None) -> tuple[int, ...]:
    """Amounts with commas between them, in order. Raises UserError."""
    given = codes(text or "")
    if wrong := [amount for amount in given if not amount.isdecimal()]:
        raise refused("--amounts", f"got {wrong[0]!r}; write whole numbers, as in 0,20,40")
    return tuple(sorted(set(map(int, given))))


def columns_in(given: Sequence[str]) -> dict[str, str]:
    """Columns given as "key=column". Raises UserError."""
    columns = {key: name for key, equals, name in (text.partition("=") for text in given) if equals and name}
    if len(columns) < len(given):
        raise refused("--column", f"got {', '.join(given)}; write KEY=COLUMN once for each key, as in prompt=headline")
    for key in columns:
        if key not in SourceColumns.model_fields:
            raise refused("--column", f"got {key!r}; {suggestion(key, SourceColumns.model_fields)}")
    return columns


def columns_of(choices: Choices, folder: Path) -> dict[str, str]:
    """The columns of the user's data: those that are given, and others by their usual names. Raises UserError."""
    if not choices.files:
        if choices.own_task:
            raise refused("--files", f"the harness has no data for {choices.task}, a task of your own; name your files")
        return {}
    there = columns_there(choices.files, folder)
    wanted = ("prompt", "target", *(["answer"] if choices.task == "math" else []))
    sought = (*wanted, "id", "item", *(["language"] if "{language}" not in choices.files else []))
    called = USUAL | {"target": (choices.task, *USUAL["target"])}
    usual = {key: name for key, names in called.items() for name in names[::-1] if name in there and key in sought}
    columns = usual | dict(choices.columns)
    problems = [
        Problem("--column", f"which column holds the {key}? Say --column {key}=NAME (there are {', '.join(there)})")
        for key in wanted
        if columns.get(key) not in there
    ]
    if problems:
        raise UserError(problems)
    return columns


def columns_there(files: str, folder: Path) -> list[str]:
    """The columns of the first file of a pattern. Raises UserError where there is none."""
    pattern = str(folder / files)
    paths = sorted(glob(pattern.replace("{language}", "*").replace("{split}", "*")))  # noqa: PTH207  # it may be absolute
    if not paths:
        raise refused(
            "--files",
            f"no file is called {pattern}, with a code for {{language}}, and train or test for {{split}}",
        )
    try:
        rows = [record.row for record in islice(read_records(Path(paths[0])), 20)]
    except (FileError, OSError) as error:
        raise refused("--files", str(error)) from None
    return list(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))


def fitted(choices: Choices, recipe: Recipe, amounts: tuple[int, ...]) -> Choices:
    """The choices with as many test items as there are, and amounts too unless given. Raises UserError."""
    source, tested = recipe.known_sources[choices.source], tested_source(recipe, choices.task)
    try:
        if isinstance(source, HeldOut):
            return with_hold_out(choices, source, amounts)
        rows = {language: len(source.pool("train", language)) for language in choices.seen}
        items = {
            language: len(tested_places(recipe, tested, language)) for language in tested_languages(recipe, tested)
        }
    except SourceError as error:
        raise refused("--files", str(error)) from None
    problems = [f"{language} has no training rows" for language, count in rows.items() if not count]
    problems += [f"{language} has no test rows" for language in choices.languages if not items.get(language)]
    if problems:
        raise UserError([Problem("--files", f"{problem} in {source.name}") for problem in problems])
    most = most_of(min(rows.values()))
    return replace(
        choices, amounts=amounts or tuple(sorted({0, most // 2, most})), items=min(MOST_ITEMS, *items.values())
    )


def most_of(rows: int) -> int:
    """The largest amount of so many rows: a tenth is left for those that are dropped, as they are tested on too."""
    return min(MOST_ROWS, rows - rows // 10)


def with_hold_out(choices: Choices, source: HeldOut, amounts: tuple[int, ...]) -> Choices:
    """The choices with a fifth of the items set aside for the test, and amounts of the others unless given."""
    there = {language: len(source.candidates(language)) for language in choices.languages}
    fewest = min(there, key=lambda language: there[language])
    if there[fewest] < FEWEST_ROWS:
        message = f"{fewest} has {there[fewest]} items in {choices.files}; a fifth is set aside for the test"
        raise refused("--files", f"{message}, so give {FEWEST_ROWS} at least")
    items = min(MOST_ITEMS, there[fewest] // 5)
    rows = min(len(source.whole.pool("train", language)) for language in choices.seen)
    most = most_of(rows - items)
    amounts = amounts or tuple(sorted({0, most // 2, most}))
    return replace(choices, amounts=amounts, items=items, hold_out=items)


def refused(where: str, message: str) -> UserError:
    """A mistake in what the user asks for."""
    return UserError([Problem(where, message)])
