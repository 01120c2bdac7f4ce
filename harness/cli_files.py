"""Commands for files from elsewhere: predictions of any program, tables of scores, pairs of languages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands.options import (
    PAIRS,
    Among,
    IdentifierName,
    Json,
    PairGroup,
    Rule,
    SourceColumn,
    TargetColumn,
    Thoughts,
    TransferColumn,
    names_in,
)
from harness.exits import reporting_mistakes

app = typer.Typer(rich_markup_mode="rich")
PANEL = "Files from elsewhere"
TABLE = "A score a row: .csv, .tsv, .jsonl, .json or .parquet, also .gz and .zst; - is standard input."
PREDICTIONS = "Predictions, one a row: .jsonl, .json, .csv, .tsv or .parquet, also .gz and .zst; - is standard input."


@app.command(rich_help_panel=PANEL)
def score(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=PREDICTIONS)],
    task: Annotated[
        str, typer.Option(help="math, math-lm-eval, summarization, summarization-xl-sum, instructions or language.")
    ],
    out: Annotated[Path | None, typer.Option(metavar="OUT.jsonl", help="Where each row's scores go.")] = None,
    as_json: Json = False,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=COLUMN", help="A column that is called otherwise: prediction=model_output."),
    ] = None,
    group: Annotated[
        str, typer.Option(metavar="COLUMN,…", help="Columns of which each combination is scored apart: model,run.")
    ] = "",
    among: Among = None,
    identifier: IdentifierName = None,
    rule: Rule = "harness",
    thoughts: Thoughts = None,
    processes: Annotated[int | None, typer.Option(metavar="N", min=1, help="Processes.", show_default="cores")] = None,
) -> None:
    """Score predictions made anywhere, per language. Bad rows are reported by line and touch no other.

    A row holds id, language and prediction; for math a reference number, for summarization a reference text
    and if you like the source text, for instructions constraints. math-lm-eval is math with the scores of
    lm-evaluation-harness beside ours. Of several references, a list, the best scores count. Other columns are passed
    on to the scores. Of rows with the same id, language and group the first counts. Thoughts and blocks of code are
    set apart before anything is scored.

    Examples:

        harness score predictions.jsonl --task math --out scores.jsonl

        harness score summaries.csv --task summarization --column prediction=output --group model --json > scores.json

        harness score answers.jsonl --task language --among en,es,fr,another
    """
    with reporting_mistakes():
        from harness.commands.score import closed_set_note, score_predictions, score_settings
        from harness.prediction_files import show_scores

        settings = score_settings(among, identifier, rule, thoughts or ())
        data = score_predictions(file, task, out, processes, settings, column or (), names_in(group))
        if as_json:
            print(data.as_json())
        else:
            show_scores(task, data, closed_set_note(task, settings))


@app.command(rich_help_panel=PANEL)
def analyze(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help=TABLE)],
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
    run: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Of several trainings of one setting.", show_default="run"),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="What items share: a template, an article.", show_default="cluster"),
    ] = None,
    stages: Annotated[
        str, typer.Option(metavar="LANG,…", help="The languages trained on one after the other, x being the stages.")
    ] = "",
    as_json: Json = False,
) -> None:
    """What any long table of scores says of transfer: means over seen and unseen, gap closed, plateau, correlation.

    Scores per item (columns item and, if any, cluster) give intervals, and so do several runs (a column run); single
    means do not. A table that harness score wrote is read as it is, each metric apart. An axis step or checkpoint gives
    learning and forgetting; stages give what was forgotten and transferred from one to the next, against guessing and
    training on a language alone where columns random and alone hold scores of these. Higher scores are better.

    Examples:

        harness analyze table.csv --x per_language --seen es,fr,ja,zh --unseen ar,ko,pt --group model,task

        harness analyze items.parquet --x step --seen fr --unseen sw --item question --json

        harness analyze stages.csv --x stage --seen en,fr,ja --stages en,fr,ja
    """
    with reporting_mistakes():
        from eval.analysis.groups import LanguageGroups
        from eval.analysis.long_tables import Columns
        from harness.commands.analyze import analyze_table, show_analysis

        named = [names_in(given) for given in (seen, unseen, group, stages)]
        trained = named[0] if pivot in (*named[0], *named[1]) else (pivot, *named[0])
        columns = Columns(x, named[2], language, score_column, item, run, cluster, named[3])
        groups = LanguageGroups(trained, named[1], pivot=pivot)
        analyses = analyze_table(table, columns, groups)
        if as_json:
            print(analyses.as_json())
        else:
            show_analysis(analyses, groups)


@app.command(rich_help_panel=PANEL)
def judge(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=PREDICTIONS)],
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
        from harness.commands.judge import judge_file
        from harness.prediction_files import show_scores

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
            print(data.as_json())
        else:
            show_scores(f"judged by {model}", data)


@app.command(rich_help_panel=PANEL)
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
        from eval.analysis.explain import PairColumns
        from harness.commands.explain import explain_transfer, show_explanation

        data = explain_transfer(pairs, names_in(on), PairColumns(source, target, transfer, names_in(group)))
        if as_json:
            print(data.as_json())
        else:
            show_explanation(data)


@app.command(rich_help_panel=PANEL)
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
        from eval.analysis.explain import PairColumns
        from harness.commands.agree import models_agree, show_agreement

        data = models_agree(pairs, PairColumns(source, target, transfer, names_in(group)), across)
        if as_json:
            print(data.as_json())
        else:
            show_agreement(data)
