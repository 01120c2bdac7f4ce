"""The command line: `harness COMMAND RECIPE`; see `harness --help`. More commands are in the other files named cli."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from harness.cli_files import app as commands_for_files
from harness.cli_grid import app as commands_for_grids
from harness.cli_inside import app as commands_for_insides
from harness.commands.options import (
    Card,
    Cells,
    Json,
    Measure,
    OnDevices,
    Pilot,
    Processes,
    RecipeFile,
    Runs,
    Settings,
    ShowRows,
    Verbose,
    Version,
    names_in,
)
from harness.exits import Commands, reporting_mistakes

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback()
def options(version: Version = False) -> None:
    """Post-training transfer studies: one recipe, many mixtures, scores per language."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # its warnings of processors and memory help no user


@app.command()
def init(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="The file to write, such as my-study.yaml.", show_default=False)
    ],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="A packaged name, a folder, or a Hugging Face id.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(metavar="NAME", help="math, summarization, instructions, or one of your own.")
    ] = None,
    seen: Annotated[str | None, typer.Option(metavar="LANG,…", help="Languages to train on.")] = None,
    unseen: Annotated[str | None, typer.Option(metavar="LANG,…", help="Languages to test on alone.")] = None,
    files: Annotated[
        str | None, typer.Option(metavar="PATH", help="Your data: data/{language}.{split}.csv, seen from the recipe.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=COLUMN", help="A column with a name of its own: prompt=headline."),
    ] = None,
    amounts: Annotated[str | None, typer.Option(metavar="N,…", help="Examples per language to compare.")] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", min=1, help="Runs of each mixture.")] = None,
) -> None:
    """Write a commented recipe, from these options or, on a terminal, from a few questions.

    A task of your own gets a file of code beside the recipe, to be changed: see docs/tasks.md.

    Examples:

        harness init my-study.yaml

        harness init my-study.yaml --task sentiment --seen en,sw --unseen hi --files 'data/{language}.{split}.csv'
    """
    with reporting_mistakes():
        from harness.commands.init import Given, amounts_in, columns_in, write_recipe

        write_recipe(
            recipe,
            Given(
                model=model,
                task=task,
                seen=names_in(seen) if seen else None,
                unseen=None if unseen is None else names_in(unseen),
                files=files,
                columns=columns_in(column or ()),
                amounts=amounts_in(amounts),
                seeds=seeds,
            ),
        )


@app.command()
def plan(
    recipe: RecipeFile,
    runs: Runs = Path("runs"),
    card: Card = False,
    cells: Cells = None,
    pilot: Pilot = None,
    on: OnDevices = None,
    measure: Measure = False,
    verbose: Verbose = False,
    show_rows: ShowRows = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Show every cell: exact examples, tokens and steps, in what cells differ, and what differences will be detected.

    A first plan times a few layers of the model, some seconds; --measure times all of it.

    Examples:

        harness plan recipes/quickstart.yaml --measure

        harness plan recipes/quickstart.yaml --card --cells amount-40

        harness plan recipes/quickstart.yaml --show-rows 1 --on 8xH100

        harness plan recipes/quickstart.yaml --set training.epochs=2 --set study=longer
    """
    with reporting_mistakes():
        from harness.commands.plan import plan_study
        from harness.recipe.settings import with_settings

        recipe = with_settings(recipe, settings)
        plan_study(recipe, runs, cells, card, as_json, pilot, verbose, show_rows, on, measure)


@app.command()
def run(
    recipe: RecipeFile,
    runs: Runs = Path("runs"),
    cells: Cells = None,
    processes: Processes = None,
    only_failed: Annotated[bool, typer.Option("--only-failed", help="Only cells whose training failed.")] = False,
    settings: Settings = None,
) -> None:
    """Plan, train, evaluate and report. Work that is already done is not repeated.

    Examples:

        harness run recipes/quickstart.yaml

        harness run recipes/quickstart.yaml --cells amount-0,amount-20 --runs /scratch/runs
    """
    with reporting_mistakes():
        from harness.commands.run import run_study
        from harness.recipe.settings import with_settings

        run_study(with_settings(recipe, settings), runs, cells, processes, only_failed)


@app.command()
def train(
    recipe: RecipeFile,
    runs: Runs = Path("runs"),
    cells: Cells = None,
    processes: Processes = None,
    settings: Settings = None,
) -> None:
    """Train the cells that are not trained yet. Next: harness eval.

    The same as accelerate launch harness/train.py RECIPE, which also trains on several machines.

    Example: harness train recipes/quickstart.yaml --cells amount-20
    """
    with reporting_mistakes():
        from harness.commands.train import train_study
        from harness.recipe.settings import with_settings

        train_study(with_settings(recipe, settings), runs, cells, processes)


@app.command()
def fetch(recipe: RecipeFile, runs: Runs = Path("runs")) -> None:
    """Bring models, data and tests here and tokenize them, so that the study can run without network.

    Example: harness fetch recipes/quickstart.yaml
    """
    with reporting_mistakes():
        from harness.commands.fetch import fetch_study

        fetch_study(recipe, runs)


@app.command("eval")
def evaluate(recipe: RecipeFile, runs: Runs = Path("runs"), cells: Cells = None, settings: Settings = None) -> None:
    """Generate with every trained cell and the base model, and score the results. Next: harness report.

    Example: harness eval recipes/quickstart.yaml
    """
    with reporting_mistakes():
        from harness.commands.eval import eval_study
        from harness.recipe.settings import with_settings

        eval_study(with_settings(recipe, settings), runs, cells)


@app.command()
def report(recipe: RecipeFile, runs: Runs = Path("runs"), settings: Settings = None, as_json: Json = False) -> None:
    """Print tables and write report.html, from the stored scores alone.

    Example: harness report recipes/quickstart.yaml --json > summary.json
    """
    with reporting_mistakes():
        from harness.commands.report import write_report
        from harness.recipe.settings import with_settings

        write_report(with_settings(recipe, settings), runs, as_json)


@app.command()
def compare(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="A study's YAML file, or a table of scores.", show_default=False)
    ],
    one: Annotated[
        str,
        typer.Argument(
            metavar="CELL_A",
            help="A cell, a setting or base; or a value in a column of a table.",
            show_default=False,
        ),
    ],
    other: Annotated[str, typer.Argument(metavar="CELL_B", help="The other one.", show_default=False)],
    runs: Runs = Path("runs"),
    show: Annotated[int, typer.Option(metavar="N", min=0, help="How many of the items that differ to print.")] = 3,
    as_json: Json = False,
) -> None:
    """Compare two cells or settings item by item: differences A − B per language, and the items that differ.

    Differences are paired by item, with 95 % intervals and p-values, adjusted (max-t) over the languages, and over the
    groups. A cell is one run, and its figures say nothing about other seeds; a setting, such as amount-40 for
    amount-40_seed-0 and its likes, is all its runs, and its figures take in the variance between seeds. In a
    table written by harness score --out, rows are compared by the column that holds both names, such as the model.

    Examples:

        harness compare recipes/quickstart.yaml amount-40 amount-0 --show 10

        harness compare scores.jsonl my-model another-model
    """
    with reporting_mistakes():
        from harness.commands.compare import compare_cells, compare_scores, is_table, show_comparison
        from harness.planning.kept_plan import planned_study

        study = None if is_table(recipe) else planned_study(recipe, runs)
        data = compare_cells(study, one, other) if study else compare_scores(recipe, one, other)
        if as_json:
            print(data.as_json())
        else:
            show_comparison(data, study.groups.label if study else str, show)


@app.command()
def export(
    recipe: RecipeFile,
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help="Results: inspect (logs for inspect_ai) or csv. Models: hf (as trained) or merged.",
            show_default=False,
        ),
    ],
    runs: Runs = Path("runs"),
    cells: Cells = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder to write to.", show_default="the study's exports/FORMAT"),
    ] = None,
) -> None:
    """Write predictions and scores, or trained models, for other programs.

    inspect is a log per cell and task; csv is one table, with a row per prediction and a column per metric. hf is a
    folder per trained cell as the Hugging Face hub has them: its adapter, or its whole model, and a model card with
    mixture, recipe and scores. merged is the same with adapters merged into the base model, for programs that load
    no adapters; the logits of what is written are compared with those of base and adapter.

    Examples:

        harness export recipes/quickstart.yaml --to inspect

        harness export recipes/quickstart.yaml --to merged --cells 'amount-4*'
    """
    with reporting_mistakes():
        from harness.commands.export import export_study
        from harness.planning.kept_plan import planned_study

        export_study(planned_study(recipe, runs), to, cells, out)


@app.command()
def status(
    recipe: RecipeFile,
    runs: Runs = Path("runs"),
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it, until all is done.")] = False,
    settings: Settings = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Show how far along the cells are, which process trains which, and how fast.

    Example: harness status recipes/quickstart.yaml --watch
    """
    with reporting_mistakes():
        from harness.commands.status import show_status, watch_status
        from harness.recipe.settings import with_settings

        settled = with_settings(recipe, settings), runs
        watch_status(*settled) if watch else show_status(*settled, as_json, verbose)


@app.command("list")
def list_names(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="sources, tasks, metrics or languages.", show_default="all"),
    ] = None,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of them.", show_default="all")] = None,
    as_json: Json = False,
) -> None:
    """List the sources, tasks, metrics and languages that there are. Your own sources are described in docs/data.md.

    Examples:

        harness list

        harness list languages sw
    """
    with reporting_mistakes():
        from harness.commands.list import print_catalogue

        print_catalogue(kind, name, as_json)


@app.command()
def schema(
    name: Annotated[str, typer.Argument(metavar="NAME", help="recipe, mothello, plan, status, …", show_default=False)],
) -> None:
    """Print the JSON Schema of a recipe, for editors, or of what a command prints with --json.

    With `# yaml-language-server: $schema=recipe.schema.json` as its first line, a recipe is checked as you type.

    Examples:

        harness schema recipe > recipe.schema.json

        harness schema plan
    """
    with reporting_mistakes():
        from harness.commands.schema import print_schema

        print_schema(name)


app.add_typer(commands_for_insides)
app.add_typer(commands_for_grids)
app.add_typer(commands_for_files)


if __name__ == "__main__":
    app()
