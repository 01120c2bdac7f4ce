"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness import __version__

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="The study's YAML file.", show_default=False)]


Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="The folder of all runs.")]


Cells = Annotated[
    str | None,
    typer.Option(
        "--cells",
        metavar="NAME,…",
        help="Only these cells; amount-4* is every one that begins so. Where models are evaluated, also base models "
        "and models from elsewhere.",
        show_default="all",
    ),
]


Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a key, as if the recipe had it so. Repeatable.", show_default=False
    ),
]


Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


Processes = Annotated[
    int | None,
    typer.Option("--processes", metavar="N", min=1, help="Training processes.", show_default="one per GPU, or one"),
]


Card = Annotated[bool, typer.Option("--card", help="Also show each cell's mixture card, which describes its data.")]


Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Every cell, and every pair of neighbouring cells.")]


ShowRows = Annotated[
    int | None,
    typer.Option(
        "--show-rows",
        metavar="N",
        min=1,
        help="Print so many training rows and test prompts per task and language as the model sees them.",
        show_default="none",
    ),
]


Pilot = Annotated[
    Path | None,
    typer.Option(
        "--pilot",
        metavar="RECIPE",
        help="An earlier study, whose scores say how much scores vary.",
        show_default="assumptions",
    ),
]


OnDevices = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="N×GPU",
        help="Also estimate memory, GPU-hours and layouts on such GPUs, as in 8xH100, from data sheets.",
        show_default="none",
    ),
]


Measure = Annotated[
    bool,
    typer.Option(
        "--measure",
        help="Measure the time on this machine by some steps of the whole model and some tokens of the engine.",
    ),
]


PAIRS = typer.Argument(metavar="PAIRS", help="CSV, TSV, Parquet or JSON lines, one pair of languages per row.")


SourceColumn = Annotated[str, typer.Option(metavar="COLUMN", help="The language trained on.")]


TargetColumn = Annotated[str, typer.Option(metavar="COLUMN", help="The language tested.")]


TransferColumn = Annotated[str, typer.Option(metavar="COLUMN", help="The effect of the one on the other.")]


PairGroup = Annotated[
    str,
    typer.Option(
        metavar="COLUMN,…",
        help="Analyse each combination of these columns separately.",
        show_default="source_task, beside, task and metric, where they are",
    ),
]


Among = Annotated[
    str | None,
    typer.Option(
        metavar="LANG,…",
        help="Languages that an answer may be in beside its own; another: any other.",
        show_default="en,another",
    ),
]


IdentifierName = Annotated[
    str | None,
    typer.Option(
        "--identifier",
        metavar="NAME",
        help="What tells languages: py3langid, or fasttext (lid.176).",
        show_default="py3langid",
    ),
]


Rule = Annotated[str, typer.Option(metavar="NAME", help="harness; or benchmark: the language confusion benchmark's.")]


Thoughts = Annotated[
    list[str] | None,
    typer.Option(
        metavar="'OPEN CLOSE'",
        help="What opens and closes your model's thoughts, beside <think> and the like.",
        show_default=False,
    ),
]


def names_in(given: str) -> tuple[str, ...]:
    """What a list with commas names."""
    return tuple(filter(None, (name.strip() for name in given.split(","))))


def _print_version(wanted: bool) -> None:
    """Prints the version and ends the program, if that is wanted."""
    if wanted:
        typer.echo(f"harness {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]
