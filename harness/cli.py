"""The command line: `harness COMMAND RECIPE`, and commands for files from elsewhere; see `harness --help`."""

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

PAIRS = typer.Argument(metavar="PAIRS", help="CSV, TSV, Parquet or JSON lines, a pair of languages a row.")
SourceColumn = Annotated[str, typer.Option(metavar="COLUMN", help="The language trained on.")]
TargetColumn = Annotated[str, typer.Option(metavar="COLUMN", help="The language tested.")]
TransferColumn = Annotated[str, typer.Option(metavar="COLUMN", help="What the one did to the other.")]
PairGroup = Annotated[
    str,
    typer.Option(
        metavar="COLUMN,…",
        help="Columns of which each combination is an analysis.",
        show_default="source_task, beside, task and metric, where they are",
    ),
]

INTERRUPTED = 130

CONTINUAL = {
    "final": "mean after the last stage",
    "forgetting": "forgotten of earlier stages' languages, after their best (noise makes it more)",
    "backward": "change of a language since its own stage",
    "forward": "a language before its stage, above guessing",
    "transfer": "a language after its stage, above training on it alone",
}
"""What `harness analyze --stages` calls the metrics of continual training."""


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
        from harness.grid import choose
        from harness.study import Study, plan_data

        study = Study(recipe, runs)
        chosen = {cell.name for cell in choose(study.cells, cells)}
        data = plan_data(study)
        data["cells"] = [cell for cell in data["cells"] if cell["name"] in chosen]
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
        from harness.evaluation import SCORES, evaluate_cells
        from harness.study import Study

        study = Study(recipe, runs)
        evaluate_cells(study, cells)
        say(f"scores: {study.folder / SCORES}; what they say: harness report {recipe}")


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
    identifier: Annotated[
        str, typer.Option(metavar="NAME", help="What tells languages: py3langid, or fasttext (lid.176).")
    ] = "py3langid",
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

        data = score_predictions(file, task, out, processes, identifier)
        if as_json:
            print(json.dumps(data, ensure_ascii=False))
        else:
            show_scores(task, data)


@app.command()
def compare(
    recipe: RecipeFile,
    one: Annotated[str, typer.Argument(metavar="CELL_A", help="A cell, or base.", show_default=False)],
    other: Annotated[str, typer.Argument(metavar="CELL_B", help="Another.", show_default=False)],
    runs: Runs = Path("runs"),
    show: Annotated[int, typer.Option(metavar="N", min=0, help="How many items that flipped to print.")] = 3,
    as_json: Json = False,
) -> None:
    """Two cells item by item: differences A − B per language, and the items on which they part, side by side.

    Differences are paired by item, with 95 % intervals and p-values of sign flips over items, adjusted by Holm's
    method over the languages, and over the groups. One run each: they say nothing of other seeds.

    Example: harness compare recipes/quickstart.yaml amount-40 amount-0 --show 10
    """
    with reporting_mistakes():
        from harness.comparing import compare_cells
        from harness.study import Study

        data = compare_cells(Study(recipe, runs), one, other)
        if as_json:
            print(json.dumps(data, ensure_ascii=False))
        else:
            show_comparison(data, show)


@app.command()
def analyze(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, TSV, Parquet or JSON lines, a score a row.")],
    x: Annotated[str, typer.Option(metavar="COLUMN", help="The axis of curves: amounts, steps.")],
    seen: Annotated[str, typer.Option(metavar="LANG,…", help="Languages trained on.")],
    unseen: Annotated[str, typer.Option(metavar="LANG,…", help="Languages not trained on.")] = "",
    pivot: Annotated[str, typer.Option(metavar="LANG", help="The language that others are measured by.")] = "en",
    group: Annotated[str, typer.Option(metavar="COLUMN,…", help="Columns of which each combination is a curve.")] = "",
    language: Annotated[str, typer.Option(metavar="COLUMN", help="The column of languages.")] = "language",
    score_column: Annotated[str, typer.Option("--score", metavar="COLUMN", help="The column of scores.")] = "score",
    item: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Of scores per item: what translations share.", show_default="item"),
    ] = None,
    stages: Annotated[
        str, typer.Option(metavar="LANG,…", help="The languages trained on one after the other, x being the stages.")
    ] = "",
    as_json: Json = False,
) -> None:
    """What any long table of scores says of transfer: means over seen and unseen, gap closed, plateau, correlation.

    Scores per item (a column item) give intervals; means do not. An axis named step or checkpoint gives learning and
    forgetting as well; stages give what was forgotten and transferred from one to the next, against guessing and
    training on a language alone where columns random and alone hold scores of these. Higher scores are better.

    Examples:

        harness analyze table.csv --x per_language --seen es,fr,ja,zh --unseen ar,ko,pt --group model,task

        harness analyze items.parquet --x step --seen fr --unseen sw --item question --json

        harness analyze stages.csv --x stage --seen en,fr,ja --stages en,fr,ja
    """
    with reporting_mistakes():
        from eval.tables import Columns
        from eval.transfer import LanguageGroups
        from harness.analysis import analyze_table

        named = [names_in(given) for given in (seen, unseen, group, stages)]
        trained = named[0] if pivot in (*named[0], *named[1]) else (pivot, *named[0])
        columns = Columns(x, named[2], language, score_column, item, named[3])
        found = analyze_table(table, columns, LanguageGroups(trained, named[1], pivot=pivot))
        if as_json:
            print(json.dumps(found, ensure_ascii=False))
        else:
            show_analysis(found, x)


@app.command()
def judge(
    file: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="Predictions, one JSON object a line.")],
    model: Annotated[str, typer.Option(metavar="NAME", help="The endpoint's name for it; or a folder or hub id.")],
    endpoint: Annotated[str | None, typer.Option(metavar="URL", help="E.g. http://localhost:8000/v1.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="OUT.jsonl", help="Where scores and replies go.")] = None,
    as_json: Json = False,
    max_tokens: Annotated[int | None, typer.Option(metavar="N", min=1, help="Of a reply.", show_default="512")] = None,
    decoding: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="greedy, or own: as models that reason want it.", show_default="greedy"),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Requests at once.", show_default="16")
    ] = None,
    max_cost: Annotated[float | None, typer.Option(metavar="USD", help="Ask no more once it could be passed.")] = None,
    price_in: Annotated[float | None, typer.Option(metavar="USD", help="Per million prompt tokens.")] = None,
    price_out: Annotated[float | None, typer.Option(metavar="USD", help="Per million reply tokens.")] = None,
    api_key_variable: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Environment variable with the key.", show_default="OPENAI_API_KEY"),
    ] = None,
) -> None:
    """Have a model rate predictions made anywhere from 1 to 5, and compare them with an opponent's.

    A row holds id, language, prompt and prediction, and if you like a reference; with an opponent's response to the
    prompt, both are compared in both orders besides. Replies are kept: what was judged once is not asked again. Without
    an endpoint the model runs here.

    Examples:

        harness judge predictions.jsonl --model gpt-4.1-mini --endpoint https://api.openai.com/v1 --out judged.jsonl

        harness judge predictions.jsonl --model my-judge --endpoint http://localhost:8000/v1 --json
    """
    with reporting_mistakes():
        from harness.judging import judge_file

        options = {
            "model": model,
            "endpoint": endpoint,
            "max_tokens": max_tokens,
            "decoding": decoding,
            "concurrency": concurrency,
            "price": None if price_in is None and price_out is None else {"input": price_in, "output": price_out},
            "max_cost": max_cost,
            "api_key_variable": api_key_variable,
        }
        data = judge_file(file, out, options)
        if as_json:
            print(json.dumps(data, ensure_ascii=False))
        else:
            show_scores(f"judged by {model}", data)


@app.command()
def export(
    recipe: RecipeFile,
    to: Annotated[str, typer.Option(metavar="FORMAT", help="inspect: logs of inspect_ai.", show_default=False)],
    runs: Runs = Path("runs"),
    cells: Cells = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to.", show_default="the study's exports/FORMAT")
    ] = None,
) -> None:
    """Predictions and scores in the format of another program: a log per cell and task, of these cells and the base.

    Example: harness export recipes/quickstart.yaml --to inspect
    """
    with reporting_mistakes():
        from harness.exporting import export_study
        from harness.study import Study

        export_study(Study(recipe, runs), to, cells, out)


@app.command()
def explain(
    pairs: Annotated[Path, PAIRS],
    on: Annotated[
        str,
        typer.Option(
            metavar="NAME,…",
            help="Covariates: columns, or script, genetic, geographic, syntactic, phonological, inventory, featural.",
        ),
    ],
    source: SourceColumn = "source",
    target: TargetColumn = "target",
    transfer: TransferColumn = "difference",
    group: PairGroup = "",
    as_json: Json = False,
) -> None:
    """What goes with transfer: its regression on distances, scripts, or anything known of pairs of languages.

    Pairs share languages, so p-values are of permuted languages (MRQAP with double semi-partialling; of one
    covariate, Mantel's test), adjusted by Holm's method over the covariates. Coefficients have no intervals: those of
    ordinary regression and of a bootstrap over pairs are not valid for such data. Distances are URIEL's, which the
    extra `typology` installs. Targets that were trained on, the pivot beside a source among them, are left out.

    Examples:

        harness explain transfer.csv --on script,genetic,syntactic

        harness explain pairs.csv --on token_overlap,share --transfer gain --group model --json
    """
    with reporting_mistakes():
        from eval.explain import PairColumns
        from harness.explaining import explain_transfer

        data = explain_transfer(pairs, names_in(on), PairColumns(source, target, transfer, names_in(group)))
        if as_json:
            print(json.dumps(data, ensure_ascii=False))
        else:
            show_explanation(data)


@app.command()
def agree(
    pairs: Annotated[list[Path], PAIRS],
    across: Annotated[str, typer.Option(metavar="COLUMN", help="What tells models apart.")] = "model",
    source: SourceColumn = "source",
    target: TargetColumn = "target",
    transfer: TransferColumn = "difference",
    group: PairGroup = "",
    as_json: Json = False,
) -> None:
    """Whether models agree on which languages give to others, and which get: Kendall's rank correlation (τ-b).

    A language's mean is over the pairs that every model has; targets that were trained on, the pivot beside a source
    among them, are left out. The p-value, of permuted languages and not adjusted for how many rankings are compared,
    is that of rankings that have nothing to do with each other.

    Example: harness agree runs/one-model/transfer.csv runs/another/transfer.csv
    """
    with reporting_mistakes():
        from eval.explain import PairColumns
        from harness.explaining import models_agree

        data = models_agree(pairs, PairColumns(source, target, transfer, names_in(group)), across)
        if as_json:
            print(json.dumps(data, ensure_ascii=False))
        else:
            show_agreement(data)


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
        show_table(table)


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
    if tested:
        line(f"Evaluation: {tested}, each in {in_languages}")
    for task in dict.fromkeys(each["task"] for each in data["evaluation"]):
        there = {each["language"] for each in data["evaluation"] if each["task"] == task}
        lacking = [language for language in data["languages"] if language not in there]
        if lacking:
            line(f"Not tested in {task}, for want of rows: {' '.join(lacking)}")
    show_lm_eval(data)


def show_lm_eval(data: dict[str, Any]) -> None:
    """The tasks of lm_eval that models are tested on, what of their metrics is no figure of items, and what was cut."""
    for task in dict.fromkeys(each["task"] for each in data["lm_eval"]):
        parts = [each for each in data["lm_eval"] if each["task"] == task]
        named = ", ".join(f"{each['language']} ({each['name']}, {each['items']} items)" for each in parts)
        line(f"Evaluation by lm_eval: {task}, {parts[0]['metric']}, in {named}")
        lacking = [language for language in data["languages"] if language not in {each["language"] for each in parts}]
        if lacking:
            line(f"Not tested in {task}, no task of lm_eval being named for it: {' '.join(lacking)}")
        if left_out := list(dict.fromkeys(metric for each in parts for metric in each["left_out"])):
            line(f"Left out of {task}, not being means over items: {', '.join(left_out)}")
        if cut := [f"{each['shortened']} {each['language']}" for each in parts if each["shortened"]]:
            line(f"Questions of {task} longer than the model takes, cut from the left: {', '.join(cut)}")


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
    width = Console(width=10_000, markup=False).measure(table).maximum
    Console(width=max(output.width, width), markup=False).print(table)


def line(text: str) -> None:
    """Prints a line as it is."""
    output.print(text, highlight=False, markup=False, soft_wrap=True)


def show_differences(differences: list[dict[str, Any]]) -> None:
    """What differs between neighbouring cells, and a warning where it is more than one factor."""
    if not differences:
        return
    several = sum(not each["one_factor"] for each in differences)
    if len(differences) == 1:
        line(f"Neighbouring cells: one pair differs, in {'more than one factor' if several else 'one factor'}.")
    else:
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


def show_comparison(data: dict[str, Any], shown: int) -> None:
    """A table of differences per language and group, then some of the items that flipped."""
    from eval.metrics import metric_of
    from eval.report.text_tables import p_value

    title = f"{data['one']} − {data['other']}"
    table = plain_table(title, ("task", "metric", "language"), ("difference", "95 %", "p", "p (Holm)", "items"))
    before = ""
    for row in data["differences"]:
        factor = metric_of(row["metric"]).factor
        figures = [None if row[key] is None else factor * row[key] for key in ("difference", "low", "high")]
        known = [f"{each:+.1f}" for each in figures if each is not None]
        interval = f"{known[1]} to {known[2]}" if len(known) == 3 else ""
        p_values = [p_value(row[key]) for key in ("p", "p_adjusted")]
        words = (row["task"], row["metric"]) if row["task"] != before else ("", "")
        table.add_row(*words, row["group"], known[0] if known else "", interval, *p_values, str(row["items"]))
        before = row["task"]
    show_table(table)
    for item in data["flipped"][:shown]:
        line(f"\n{item['task']} {item['language']} {item['item']}")
        line(f"  prompt     {' '.join(item['prompt'].split())}")
        line(f"  reference  {' '.join(item['reference'].split())}")
        for cell in (data["one"], data["other"]):
            line(f"  {cell}: {item[cell]['value']:g}  {' '.join(item[cell]['completion'].split())}")
    line(f"{len(data['flipped'])} items differ: {data['file']}")
    line(f"versions: {'; '.join(dict.fromkeys(row['version'] for row in data['differences']))}")


def show_analysis(found: list[dict[str, Any]], x: str) -> None:
    """A table per group of rows: the axis down, groups of languages across; then what its curve says."""
    for part in found:
        names = list(dict.fromkeys(row["group"] for row in part["summary"]))
        title = ", ".join(f"{name} {value}" for name, value in part["group"].items())
        table = plain_table(title, (x,), tuple(names))
        by_amount: dict[float, dict[str, Any]] = {}
        for row in part["summary"]:
            by_amount.setdefault(row[x], {})[row["group"]] = row
        for amount, row in by_amount.items():
            table.add_row(f"{amount:g}", *(interval_text(row.get(name)) for name in names))
        show_table(table)
        line(f"  {scores_in_words(part['summary'])}")
        for curve in part["curves"]:
            told = f"{curve['group']}: highest at {x} {curve['best']:g}"
            told += f", plateau from {curve['plateau']:g}" if curve["plateau"] is not None else ""
            closed = curve["gap_closed"]
            told += f"; gap closed {100 * closed['mean']:.1f} points" if closed["mean"] is not None else ""
            told += f" ({100 * closed['low']:.1f} to {100 * closed['high']:.1f})" if closed["low"] is not None else ""
            rho = curve["correlation"]
            told += f"; Spearman seen/unseen {rho:.2f} over {curve['points']} points" if rho is not None else ""
            line(f"  {told}")
        if "stages" in part:
            line(f"  stages: {', '.join(f'{name} at {x} {value:g}' for name, value in part['stages'].items())}")
        for name, each in part.get("continual", {}).items():
            line(f"  {CONTINUAL[name]}: {interval_text(each) or 'undefined, scores being missing'}")
        for each in part.get("dynamics", ()):
            if each["learn_step"] is not None:
                lost = "" if each["forgetting"] is None else f", {each['forgetting']:.3f} forgotten since the best"
                line(f"  {each['group']}: learned at {x} {each['learn_step']:g}{lost}")


def show_explanation(data: dict[str, Any]) -> None:
    """A table per group of rows: what goes with each covariate, and of which pairs this is."""
    for part in data["analyses"]:
        title = ", ".join((data["transfer"], *(f"{name} {value}" for name, value in part["group"].items())))
        if "problem" in part:
            line(f"{title}: {part['problem']}")
            continue
        line(title)
        table = plain_table("", ("covariate",), ("per SD", "p (QAP)", "p (Holm)", "alone: Spearman", "p (QAP)"))
        for each in part["effects"]:
            p_values = [f"{each[key]:.4f}" for key in ("p", "p_adjusted", "p_alone")]
            effect, alone = f"{each['coefficient']:+.3g}", f"{each['spearman']:+.2f}"
            table.add_row(each["covariate"], effect, *p_values[:2], alone, p_values[2])
        show_table(table)
        sides = ", ".join(f"{len(part[side])} {side} ({' '.join(part[side])})" for side in ("sources", "targets"))
        permuted = f"{'all ' if part['exact'] else ''}{part['permutations']:,} permutations"
        line(f"{part['pairs']} pairs: {sides}; R² {part['r_squared']:.2f}; {permuted}")
        for name, blank in part["left_out"].items():
            more = ", …" if len(blank) > 3 else ""
            line(f"  left out: {len(blank)} without {name} ({', '.join(blank[:3])}{more})")
        for warning in part["warnings"]:
            line(f"  warning: {warning}")
    line(f"covariates: {'; '.join(f'{name} of {origin}' for name, origin in data['covariates'].items())}")


def show_agreement(data: dict[str, Any]) -> None:
    """A table of donors and one of recipients per group of rows, models across; then the rank correlations."""
    for part in data["analyses"]:
        title = ", ".join((data["transfer"], *(f"{name} {value}" for name, value in part["group"].items())))
        if "problem" in part:
            line(f"{title}: {part['problem']}")
            continue
        line(f"{title}: {part['pairs']} pairs, {part['left_out']} left out that some {data['across']} lacks")
        for name, role in (("donors", "gives"), ("recipients", "gets")):
            table = plain_table("", (role,), tuple(part["models"]))
            for language, means in part[name]["means"].items():
                table.add_row(language, *(f"{means[model]:+.3g}" for model in part["models"]))
            show_table(table)
            for each in part[name]["between"]:
                line(f"  {name}, {each['one']} and {each['other']}: {tau_in_words(each)}")
            if not part[name]["between"]:
                line(f"  {name}: {len(part[name]['means'])} languages have no order to agree on")
            if len(part[name]["between"]) > 1 and part[name]["tau"] is not None:
                line(f"  {name}, mean over pairs of {data['across']}s: τ {part[name]['tau']:.2f}")


def tau_in_words(found: dict[str, Any]) -> str:
    """A rank correlation with its p-value, and how many languages it is of."""
    from eval.report.text_tables import p_value
    from eval.stats import LEVEL

    if found["tau"] is None:
        return f"τ undefined, one ranks all {found['languages']} languages alike"
    few = f"; it cannot be below {found['least_p']:.2g}" if found["least_p"] > LEVEL else ""
    return f"τ {found['tau']:.2f} (p {p_value(found['p'])}{few}), {found['languages']} languages"


def scores_in_words(summary: list[dict[str, Any]]) -> str:
    """How many scores means are of, from the rows of single languages, and how many were blank."""
    single = [row for row in summary if row["languages"] == row["group"]]
    scored, blank = (sum(row[key] for row in single) for key in ("scored", "unscored"))
    return f"{scored:,} scores" + (f", {blank:,} blank, in no mean" if blank else "")


def names_in(given: str) -> tuple[str, ...]:
    """What a list with commas names."""
    return tuple(filter(None, (each.strip() for each in given.split(","))))


def interval_text(row: dict[str, Any] | None) -> str:
    """A mean with its interval, as far as they are known."""
    if row is None or row["mean"] is None:
        return ""
    return f"{row['mean']:.3f}" + (f" ({row['low']:.3f}–{row['high']:.3f})" if row["low"] is not None else "")


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
