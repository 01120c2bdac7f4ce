"""The command line: harness plan | run | eval | report | status RECIPE."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from eval.canary import CanaryError
from harness.errors import UserError
from harness.progress import say

if TYPE_CHECKING:
    from harness.study import CellPlan

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Post-training transfer studies: one recipe, many mixtures, scores per language.",
)
output = Console()

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="The study's YAML file.", show_default=False)]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Where runs are kept.")]
Cells = Annotated[str | None, typer.Option("--cells", metavar="NAME,…", help="Only these cells.", show_default="all")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
Processes = Annotated[
    int | None,
    typer.Option("--processes", metavar="N", min=1, help="Training processes.", show_default="one per GPU, or one"),
]

Card = Annotated[bool, typer.Option("--card", help="Also the mixture card of each cell: what its data is.")]

INTERRUPTED = 130


@contextmanager
def reporting_mistakes() -> Generator[None]:
    """Prints the user's mistakes, one a line, and exits with status 2; with 1 if the engine fails, 130 after Ctrl-C."""
    try:
        yield
    except UserError as error:
        for problem in error.problems if os.environ.get("RANK", "0") == "0" else ():
            say(f"error: {problem}")
        raise typer.Exit(2) from None
    except CanaryError as error:
        say(f"error: {error}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        say("Stopped. What was finished is kept; the same command goes on from here.")
        raise typer.Exit(INTERRUPTED) from None


@app.command()
def plan(
    recipe: RecipeFile, runs: Runs = Path("runs"), card: Card = False, cells: Cells = None, as_json: Json = False
) -> None:
    """Show every cell: exact examples, tokens and steps, and in what cells differ. Loads no model.

    Examples:

        harness plan recipes/quickstart.yaml

        harness plan recipes/quickstart.yaml --card --cells amount-40
    """
    with reporting_mistakes():
        from harness.study import Study, plan_data

        study = Study(recipe, runs)
        data = plan_data(study)
        cards = study.cards(cells) if card else {}
        if as_json:
            print(json.dumps(data | {"cards": cards} if card else data, ensure_ascii=False))
        else:
            show_plan(data)
        show_cards(study.folder, cards, quietly=as_json)


@app.command()
def run(recipe: RecipeFile, runs: Runs = Path("runs"), cells: Cells = None, processes: Processes = None) -> None:
    """Plan, train, evaluate and report; what is done already is not done again.

    Examples:

        harness run recipes/quickstart.yaml

        harness run recipes/quickstart.yaml --cells amount-0,amount-20 --runs /scratch/runs
    """
    times: dict[str, float] = {}
    with reporting_mistakes():
        with timed("plan", times):
            from harness.grid import choose
            from harness.study import Study, plan_data

            study = Study(recipe, runs)
            chosen = {cell.name for cell in choose(study.cells, cells)}
            show_plan(plan_data(study))
        with timed("train", times):
            pending = [plan for plan in study.plans if plan.name in chosen and not plan.run.finished]
            if pending:
                launch_training(recipe, runs, pending, processes)
            else:
                say("train: every cell is trained already")
        with timed("evaluate", times):
            from harness.evaluation import evaluate_cells

            evaluate_cells(study, cells)
        with timed("report", times):
            from harness.reporting import report_study

            report_study(study, output)
        spent = ", ".join(f"{stage} {timedelta(seconds=round(seconds))}" for stage, seconds in times.items())
        say(f"time: {spent}, in all {timedelta(seconds=round(sum(times.values())))}")


@app.command("eval")
def evaluate(recipe: RecipeFile, runs: Runs = Path("runs"), cells: Cells = None) -> None:
    """Generate with every trained cell and the base model, and score. Then see: harness report.

    Example: harness eval recipes/quickstart.yaml
    """
    with reporting_mistakes():
        from harness.evaluation import evaluate_cells
        from harness.study import Study

        evaluate_cells(Study(recipe, runs), cells)


@app.command()
def report(recipe: RecipeFile, runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """Tables here, and report.html, from the stored scores alone.

    Example: harness report recipes/quickstart.yaml --json > summary.json
    """
    with reporting_mistakes():
        from harness.reporting import report_study
        from harness.study import Study

        summary = report_study(Study(recipe, runs), None if as_json else output)
        if as_json:
            print(json.dumps(summary.to_dicts(), ensure_ascii=False))


@app.command()
def score(
    file: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="Predictions, one JSON object a line.")],
    task: Annotated[str, typer.Option(help="math, math-lm-eval, summarization, instructions or language.")],
    out: Annotated[Path | None, typer.Option(metavar="OUT.jsonl", help="Where each row's scores go.")] = None,
    as_json: Json = False,
    processes: Annotated[int | None, typer.Option(metavar="N", min=1, help="Processes.", show_default="cores")] = None,
) -> None:
    """Score predictions made anywhere, per language. Bad rows are reported by line and touch no other.

    A row holds id, language and prediction; for math a reference number, for summarization a reference text
    and if you like the source text, for instructions constraints. math-lm-eval is math with the scores of
    lm-evaluation-harness beside ours.

    Examples:

        harness score predictions.jsonl --task math --out scores.jsonl

        harness score summaries.jsonl --task summarization --json > scores.json
    """
    with reporting_mistakes():
        from harness.scoring import score_predictions

        data = score_predictions(file, task, out, processes)
        if as_json:
            print(json.dumps(data, ensure_ascii=False))
        else:
            show_scores(task, data)


@app.command()
def status(recipe: RecipeFile, runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """How far every cell is.

    Example: harness status recipes/quickstart.yaml
    """
    with reporting_mistakes():
        from harness.reporting import status_data
        from harness.study import Study

        data = status_data(Study(recipe, runs))
        if as_json:
            print(json.dumps(data, ensure_ascii=False))
            return
        table = plain_table(data["study"], ("cell", "state"), ("steps", "evaluated"))
        for cell in data["cells"]:
            table.add_row(cell["name"], cell["state"], cell["steps"], f"{cell['scored']}/{cell['wanted']}")
        output.print(table)


def show_cards(folder: Path, cards: dict[str, list[dict[str, Any]]], quietly: bool) -> None:
    """The mixture cards as tables, and as pictures in the study's folder."""
    if not cards:
        return
    from data_mixes.storage import write_text
    from eval.report.cards import card_table
    from eval.report.pictures import as_svg, card_picture

    for cell, card in cards.items():
        table = card_table(card)
        if not quietly:
            shown = plain_table(f"mixture card: {cell}", table.columns[:2], table.columns[2:])
            for row in table.rows:
                shown.add_row(*row)
            show_table(shown)
        write_text(folder / "cards" / f"{cell}.svg", as_svg(card_picture(cell, card).spec))
        write_text(folder / "cards" / f"{cell}.json", json.dumps(card, indent=1) + "\n")
    say(f"pictures and figures: {folder / 'cards'}")


@contextmanager
def timed(stage: str, times: dict[str, float]) -> Generator[None]:
    """Notes how long a stage took."""
    started = time.monotonic()
    yield
    times[stage] = time.monotonic() - started


def show_plan(data: dict[str, Any]) -> None:
    """The plan: examples per cell, task and language; then what each cell comes to, and how they differ."""
    languages = sorted({count["language"] for cell in data["cells"] for count in cell["counts"]})
    examples = plain_table(
        f"{data['study']}: training examples", ("cell", "task"), (*languages, "tokens", "supervised")
    )
    for cell in data["cells"]:
        for place, task in enumerate(sorted({count["task"] for count in cell["counts"]})):
            counts = {count["language"]: count for count in cell["counts"] if count["task"] == task}
            amounts = [str(counts[language]["examples"]) if language in counts else "" for language in languages]
            totals = [f"{sum(count[key] for count in counts.values()):,}" for key in ("tokens", "supervised_tokens")]
            examples.add_row("" if place else cell["name"], task, *amounts, *totals)
    lengths = plain_table("", ("cell", "state"), ("epochs", "steps", "rows", "supervised tokens"))
    for cell in data["cells"]:
        figures = (f"{cell['epochs']:g}", f"{cell['steps']:,}", f"{cell['rows']:,}", f"{cell['supervised_tokens']:,}")
        lengths.add_row(cell["name"], cell["state"], *figures)
    show_table(examples)
    show_table(lengths)
    show_differences(data["differences"])
    show_left_out(data)
    tested = ", ".join(dict.fromkeys(f"{each['task']} ({each['items']} items)" for each in data["evaluation"]))
    in_languages = " ".join(dict.fromkeys(each["language"] for each in data["evaluation"]))
    line(f"Base model {data['model']}")
    line(f"Evaluation: {tested}, each in {in_languages}")
    for task in dict.fromkeys(each["task"] for each in data["evaluation"]):
        there = {each["language"] for each in data["evaluation"] if each["task"] == task}
        lacking = [language for language in data["languages"] if language not in there]
        if lacking:
            line(f"Not tested in {task}, for want of rows: {' '.join(lacking)}")


def plain_table(title: str, words: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    """A table without a frame: columns of words, then columns of numbers."""
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for column in words:
        table.add_column(column, no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def show_table(table: Table) -> None:
    """Prints a table as wide as it is: a figure that wraps can be read, one that is cut off cannot."""
    width = Console(width=10_000).measure(table).maximum
    Console(width=max(output.width, width)).print(table)


def line(text: str) -> None:
    """Prints a line as it is."""
    output.print(text, highlight=False, markup=False, soft_wrap=True)


def show_differences(differences: list[dict[str, Any]]) -> None:
    """What differs between neighbouring cells, and a warning where it is more than one factor."""
    if not differences:
        return
    several = sum(not each["one_factor"] for each in differences)
    verdict = f"{several} of them in more than one factor" if several else "each in one factor"
    line(f"Neighbouring cells: {len(differences)} pairs differ, {verdict}.")
    for each in differences:
        rows = [f"+{count} {language}" for language, count in each["added"].items()]
        rows += [f"-{count} {language}" for language, count in each["removed"].items()]
        warning = "" if each["one_factor"] else "  MORE THAN ONE FACTOR"
        line(f"  {each['before']} | {each['after']}: {'; '.join(each['changes'])}{warning}")
        line(f"    rows {', '.join(rows) or 'the same'}; {each['steps'][0]} → {each['steps'][1]} steps")


def show_scores(task: str, data: dict[str, Any]) -> None:
    """A row per language and metric: the mean with its interval, and how many rows it is of."""
    table = plain_table(task, ("language", "metric"), ("mean", "95 %", "scored", "unscored", "no answer"))
    for language, metrics in data["languages"].items():
        for place, (metric, tally) in enumerate(metrics.items()):
            figures = [f"{tally[key]:.3f}" if tally.get(key) is not None else "" for key in ("mean", "low", "high")]
            interval = f"{figures[1]}–{figures[2]}" if figures[1] else ""
            counts = [f"{tally[key]:,}" if key in tally else "" for key in ("scored", "unscored", "no_answer")]
            table.add_row("" if place else language, metric, figures[0], interval, *counts)
    show_table(table)
    versions = dict.fromkeys(tally["version"] for each in data["languages"].values() for tally in each.values()
                             if tally.get("version"))  # fmt: skip
    line(f"versions: {'; '.join(versions)}")


def show_left_out(data: dict[str, Any]) -> None:
    """Rows that are not trained on as they are: repeated, shortened, dropped, or no examples at all."""
    for source in data["sources"]:
        if source["report"]:
            line(f"{source['name']}: rows left out when read: {source['report']}")
    for each in data["dropped"]:
        count = f"rows of {each['source']} in {each['language']}: {each['count']}"
        shown = f", e.g. {each['examples'][0]}" if each["examples"] else ""
        line(f"Dropped, others taken instead: {count}, {each['reason']}{shown}")
    cut = [f"{each['shortened']} {each['task']} {each['language']}" for each in data["evaluation"] if each["shortened"]]
    if cut:
        line(f"Test prompts shortened to prompts.max_tokens: {', '.join(cut)}")
    for cell in data["cells"]:
        short = [
            f"{each['shortened']} {each['task']} {each['language']}" for each in cell["counts"] if each["shortened"]
        ]
        if short:
            line(f"{cell['name']}: texts shortened to prompts.max_tokens: {', '.join(short)}")
        nothing = [f"{each['source']} {each['variant']}" for each in cell["allotments"] if not each["examples"]]
        if nothing:
            line(f"{cell['name']}: the budget holds no whole row of {', '.join(nothing)}")
        again = [f"{each['source']} {each['variant']} up to {each['repeats']} times"
                 for each in cell["allotments"] if each["repeats"] > 1]  # fmt: skip
        if again:
            line(f"{cell['name']}: rows repeated: {', '.join(again)}")


def launch_training(recipe: Path, runs: Path, cells: list[CellPlan], processes: int | None) -> None:
    """Trains in a process of its own, so that its memory is free again for the engine."""
    batches = [cell.cell.recipe.training.global_batch for cell in cells]
    count = processes or processes_that_share(batches, gpu_count() or 1)
    command = [sys.executable]
    if count > 1:
        command += ["-m", "accelerate.commands.launch", "--quiet", "--num_processes", str(count), "--num_machines", "1"]
        command += ["--mixed_precision", "no", "--dynamo_backend", "no"]
        command += ["--multi_gpu"] if gpu_count() else ["--cpu"]
    command += [str(Path(__file__).with_name("train.py")), str(recipe), "--runs", str(runs)]
    command += ["--cells", ",".join(cell.name for cell in cells)]
    child = subprocess.Popen(command, preexec_fn=end_with_parent)
    try:
        status = child.wait()
    except KeyboardInterrupt:
        child.wait()  # it has had the same signal, and ends by itself
        raise
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    if status:
        say(f"error: training ended with status {status}; the messages above say why")
        raise typer.Exit(status if status > 0 else 1)


def end_with_parent() -> None:
    """Has the kernel end this process when its parent is killed (Linux: PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def processes_that_share(batches: list[int], devices: int) -> int:
    """The largest number of processes, a device each, that share every global batch evenly."""
    return max(count for count in range(1, devices + 1) if all(batch % count == 0 for batch in batches))


def gpu_count() -> int:
    """How many GPUs this machine shows."""
    import torch

    return torch.cuda.device_count()


if __name__ == "__main__":
    app()
