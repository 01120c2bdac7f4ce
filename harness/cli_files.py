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
TABLE = "One score per row: .csv, .tsv, .jsonl, .json or .parquet, also .gz and .zst; - is standard input."
PREDICTIONS = "Predictions, one per row: .jsonl, .json, .csv, .tsv or .parquet, also .gz and .zst; - is standard input."

ItemColumn = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="With items: the id that translations share.", show_default="item"),
]
RunColumn = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="The runs of one setting under several seeds.", show_default="run")
]
ClusterColumn = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="What items share: a template, an article.", show_default="cluster"),
]


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
        typer.Option(metavar="KEY=COLUMN", help="A column with another name: prediction=model_output."),
    ] = None,
    group: Annotated[
        str, typer.Option(metavar="COLUMN,…", help="Score each combination of these columns separately: model,run.")
    ] = "",
    among: Among = None,
    identifier: IdentifierName = None,
    rule: Rule = "harness",
    thoughts: Thoughts = None,
    processes: Annotated[int | None, typer.Option(metavar="N", min=1, help="Processes.", show_default="cores")] = None,
) -> None:
    """Score predictions from any program, per language. Bad rows are reported by line and do not affect the others.

    A row holds id, language and prediction; for math a reference number, for summarization a reference text
    and optionally the source text, for instructions constraints. math-lm-eval is math with the scores of
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
    seen: Annotated[str, typer.Option(metavar="LANG,…", help="Languages trained on, by all models.")] = "",
    seen_in: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Or the column that names those of each row's model: en,es.")
    ] = None,
    unseen: Annotated[str, typer.Option(metavar="LANG,…", help="Languages not trained on.")] = "",
    pivot: Annotated[str, typer.Option(metavar="LANG", help="The language that others are measured by.")] = "en",
    group: Annotated[str, typer.Option(metavar="COLUMN,…", help="One curve per combination of these columns.")] = "",
    language: Annotated[str, typer.Option(metavar="COLUMN", help="The column of languages.")] = "language",
    score_column: Annotated[str, typer.Option("--score", metavar="COLUMN", help="The column of scores.")] = "score",
    item: ItemColumn = None,
    run: RunColumn = None,
    cluster: ClusterColumn = None,
    stages: Annotated[
        str, typer.Option(metavar="LANG,…", help="The languages trained on, one per stage; --x is the stage.")
    ] = "",
    stages_in: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Or the column that names those of each row's run: en,fr,ja.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Analyse any long table of scores for transfer: seen and unseen means, gap closed, plateau, correlation.

    Scores per item (columns item and optionally cluster) give intervals, and so do several runs (a column run);
    single means do not. A table written by harness score is read as it is, each metric separately. With --x step or
    checkpoint, learning and forgetting are given; with --stages, what was forgotten and transferred between them.
    With --stages-in, runs went through them in several orders; metrics are also given over all of these. Columns random
    and alone may hold scores of guessing and of one language alone. Higher scores are better.

    Examples:

        harness analyze table.csv --x per_language --seen es,fr,ja,zh --unseen ar,ko,pt --group model,task

        harness analyze table.csv --x per_language --seen-in train_languages --group model,task,train_languages

        harness analyze items.parquet --x step --seen fr --unseen sw --item question --json

        harness analyze stages.csv --x stage --seen en,fr,ja --stages en,fr,ja

        harness analyze stages.csv --x stage --seen en,fr,ja --stages-in order --run seed
    """
    with reporting_mistakes():
        from eval.analysis.groups import LanguageGroups
        from eval.analysis.long_tables import Columns
        from harness.commands.analyze import analyze_table, show_analysis

        named = [names_in(given) for given in (seen, unseen, group, stages)]
        trained = named[0] if pivot in (*named[0], *named[1]) else (pivot, *named[0])
        columns = Columns(x, named[2], language, score_column, item, run, cluster, seen_in, named[3], stages_in)
        groups = LanguageGroups(trained, named[1], pivot=pivot)
        analyses = analyze_table(table, columns, groups)
        if as_json:
            print(analyses.as_json())
        else:
            show_analysis(analyses, groups)


@app.command(rich_help_panel=PANEL)
def judge(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=PREDICTIONS)],
    model: Annotated[str, typer.Option(metavar="NAME", help="Its name at the endpoint; or a folder or hub id.")],
    endpoint: Annotated[str | None, typer.Option(metavar="URL", help="E.g. http://localhost:8000/v1.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="OUT.jsonl", help="Where scores and replies go.")] = None,
    as_json: Json = False,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Longest reply, in tokens.", show_default="512")
    ] = None,
    decoding: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="greedy, or own, as reasoning models require.",
            show_default="greedy",
        ),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Requests at a time.", show_default="16")
    ] = None,
    max_cost: Annotated[float | None, typer.Option(metavar="USD", help="Stop before this could be exceeded.")] = None,
    price_in: Annotated[float | None, typer.Option(metavar="USD", help="Per million prompt tokens.")] = None,
    price_out: Annotated[float | None, typer.Option(metavar="USD", help="Per million reply tokens.")] = None,
    api_key_variable: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Environment variable with the key.", show_default="OPENAI_API_KEY"),
    ] = None,
) -> None:
    """Have a model rate predictions from any program from 1 to 5, and compare them with an opponent's.

    A row holds id, language, prompt and prediction, and optionally a reference. With an opponent's response to the
    prompt, the two are also compared, in both orders. Replies are cached: nothing is judged twice. Without
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
    """Find what goes with transfer: regress it on distances, scripts or anything else known about language pairs.

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
def regress(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help=f"{TABLE} A row is a run tested in one language.")],
    on: Annotated[str, typer.Option(metavar="COLUMN,…", help="Covariates: columns of numbers or of words.")],
    score_column: Annotated[str, typer.Option("--score", metavar="COLUMN", help="The column of scores.")] = "score",
    target: TargetColumn = "target",
    cell: Annotated[str, typer.Option(metavar="COLUMN", help="What a run is called.")] = "cell",
    model: Annotated[str, typer.Option(metavar="COLUMN", help="The base model, where there are several.")] = "model",
    group: Annotated[
        str,
        typer.Option(
            metavar="COLUMN,…", help="Analyse each combination separately.", show_default="task and metric, if there"
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Regress scores of runs in languages on what is known of both, and see whether it holds for another language.

    Intervals are robust to runs and languages being clusters. R² is given of random instances, as is often published;
    of each language, predicted by the others; and of each model. A study's report writes instances.csv, to which
    columns such as a language's share of the pretraining data can be added.

    Examples:

        harness regress runs/my-study/instances.csv --on in_training,coverage,log_amount

        harness regress scores.csv --on task,in_training,log_size,pretraining_share --model base_model --json
    """
    with reporting_mistakes():
        from eval.analysis.instances import InstanceColumns
        from harness.commands.regress import regress_scores, show_regression

        columns = InstanceColumns(score_column, target, cell, model, names_in(group))
        data = regress_scores(table, names_in(on), columns)
        if as_json:
            print(data.as_json())
        else:
            show_regression(data)


@app.command(rich_help_panel=PANEL)
def wins(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help=TABLE)],
    of: Annotated[str, typer.Option(metavar="NAME,…", help="The settings whose wins are counted.")],
    over: Annotated[str, typer.Option(metavar="NAME", help="The setting that they are compared with.")],
    setting: Annotated[str, typer.Option(metavar="COLUMN", help="The column that names settings.")] = "cell",
    by: Annotated[
        str, typer.Option(metavar="COLUMN,…", help="What makes a configuration, the same for both settings.")
    ] = "model,task,target",
    clusters: Annotated[
        str, typer.Option(metavar="COLUMN,COLUMN", help="What configurations have in common.")
    ] = "model,target",
    score_column: Annotated[str, typer.Option("--score", metavar="COLUMN", help="The column of scores.")] = "score",
    group: Annotated[str, typer.Option(metavar="COLUMN,…", help="Count each combination separately.")] = "",
    as_json: Json = False,
) -> None:
    """Count how often settings score higher than another over configurations: models, tasks and languages.

    Several rows of a configuration, such as seeds, count as their mean, and a tie as half a win. The interval is by
    clusters of models and languages, since configurations share them; Wilson's, which is often published, takes them
    for independent.

    Example: harness wins instances.csv --setting mixture --of en+es,en+ja --over en --group in_training
    """
    with reporting_mistakes():
        from eval.analysis.wins import WinColumns
        from harness.commands.wins import show_wins, two_names, wins_over

        columns = WinColumns(setting, names_in(by), two_names(clusters), score_column, names_in(group))
        data = wins_over(table, names_in(of), over, columns)
        if as_json:
            print(data.as_json())
        else:
            show_wins(data)


@app.command(rich_help_panel=PANEL)
def agree(
    pairs: Annotated[list[Path], PAIRS],
    across: Annotated[str, typer.Option(metavar="COLUMN", help="The column that tells models apart.")] = "model",
    source: SourceColumn = "source",
    target: TargetColumn = "target",
    transfer: TransferColumn = "difference",
    group: PairGroup = "",
    as_json: Json = False,
) -> None:
    """Test whether models agree on which languages help others, and which are helped: Kendall's rank correlation (τ-b).

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
