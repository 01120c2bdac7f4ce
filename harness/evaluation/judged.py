"""Judging: the judge of a recipe or of the command line, what it is asked, and what came of it."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl
from pydantic import ValidationError

from data_mixes.example import Example
from data_mixes.prompts import PromptError, Renderer
from data_mixes.storage import cache_folder, write_text
from eval.analysis.summary import BASE
from eval.engines.engine import Completion, Engine, EngineSettings
from eval.generation.requests import NOT_GENERATED, Prompted, place_of
from eval.judges.endpoint_judge import EndpointJudge
from eval.judges.engine_judge import EngineJudge
from eval.judges.judge import (
    Judge,
    Judged,
    JudgeError,
    Judgement,
    Price,
    ReplyStore,
    Spending,
    judge_cases,
    questions_of,
    version_of,
)
from eval.judges.wording import RATING, VERSION, WIN_RATE, Case
from eval.prediction_files.score import BadRow, CaseRow, ScoredRow, Tallies, cases_of, output_rows
from eval.scorers.score import Score
from harness.commands.score import report_bad, same_file_problems
from harness.console import progress, say
from harness.errors import Problem, UserError, suggestion
from harness.models.base import find_model, load_tokenizer, locate_model
from harness.models.engines import EngineChoice, engine_for
from harness.models.precision import precision_for, this_device
from harness.recipe import schema as settings
from harness.recipe.checks import judge_problems
from harness.recipe.schema import Recipe

if TYPE_CHECKING:
    from harness.planning.study import Study

OwnEngine: TypeAlias = Callable[[], tuple[EngineChoice, str]]
"""The engine and the number format of a judge without an endpoint."""
Where: TypeAlias = Callable[[str], str]
"""The place of a judge's setting in the recipe or on the command line."""
SHOWN_PROBLEMS = 3


def in_recipe(key: str) -> str:
    """The place of a judge's setting in a recipe."""
    return f"evaluation.judge.{key}"


def on_command_line(key: str) -> str:
    """The option for a judge's setting."""
    return {"price": "--price-in, --price-out"}.get(key, f"--{key.replace('_', '-')}")


def judge_study_problems(recipe: Recipe, cells: Sequence[str]) -> list[Problem]:
    """A judge that cannot be found, or is to compare with a cell that there is not; no weights are read for it."""
    given = recipe.evaluation.judge
    if given is None:
        return []
    problems: list[Problem] = []
    if given.against is not None and given.against not in (BASE, *cells):
        message = f"no cell {given.against!r}; {suggestion(given.against, (BASE, *cells))}"
        problems.append(Problem(in_recipe("against"), message))
    if given.endpoint is None:
        try:
            located(given, in_recipe)
        except UserError as error:
            problems += error.problems
    return problems


def made_judge(given: settings.Judge, own: OwnEngine, where: Where) -> Judge:
    """The judge that the settings describe, in the harness's own engine if it has no endpoint.

    Raises UserError if its model cannot be found or talked to.
    """
    if given.endpoint is not None:
        price = Price(given.price.input, given.price.output) if given.price else None
        cap = Decimal(f"{given.max_cost:.12g}") if given.max_cost is not None else None
        return EndpointJudge(
            name=given.model,
            endpoint=given.endpoint,
            max_tokens=given.max_tokens,
            concurrency=given.concurrency,
            greedy=given.decoding == "greedy",
            spending=Spending(price, cap),
            key_variable=given.api_key_variable,
        )
    engine, dtype = own()
    renderer = local_renderer(given, where)
    model = find_model(given.model, None, where("model"))
    context = context_of(model.location, model.revision)

    def start(longest: int) -> Engine:
        length = min(context, -(-longest // 64) * 64)
        say(f"starting the judge ({given.model})")
        return engine.start(EngineSettings(model.location, model.revision, dtype, False, (), length))

    return EngineJudge(
        name=model.identity,
        renderer=renderer,
        start_engine=start,
        context=context,
        max_tokens=given.max_tokens,
        engine_settings={"engine": engine.version, "dtype": dtype},
    )


def local_renderer(given: settings.Judge, where: Where) -> Renderer:
    """What puts questions to a judge in our own engine. Raises UserError for one that is no chat model."""
    tokenizer = load_tokenizer(*located(given, where), where=where("model"))
    try:
        renderer = Renderer(tokenizer)
        renderer.messages(["?"])
    except PromptError as error:
        raise UserError([Problem(where("model"), f"{given.model} cannot judge: {error}")]) from None
    return renderer


def located(given: settings.Judge, where: Where) -> tuple[str, str | None]:
    """Location and revision of a judge in our own engine. Raises UserError if there is no such model."""
    try:
        return locate_model(given.model, where("model"))
    except UserError as error:
        hint = f"a model behind an endpoint needs {where('endpoint')}"
        raise UserError([Problem(each.where, f"{each.message}; {hint}") for each in error.problems]) from None


def context_of(location: str, revision: str | None) -> int:
    """How many tokens a model can read and write together; without end for one that has no positions."""
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(location, revision=revision)
    return int(getattr(config.get_text_config(), "max_position_embeddings", None) or sys.maxsize)


def put_to(judge: Judge, cases: Sequence[Case], where: Where) -> Judged:
    """The judge's scores of the cases; says what came of it. Raises UserError where the judge cannot be asked."""
    questions = questions_of(cases)
    path = cache_folder() / "judge" / "replies.sqlite"
    try:
        with ReplyStore.opened(path) as store, progress("judging", len({each.text for each in questions})) as bar:
            judged = judge_cases(cases, questions, judge, store, bar.advance)
    except JudgeError as error:
        raise UserError([Problem(where("endpoint"), str(error))]) from None
    except sqlite3.Error as error:
        raise UserError(
            [Problem(str(path), f"the judge's replies cannot be kept there ({error}); move it away")]
        ) from None
    report_judging(judging_data(judge, judged))
    return judged


def judging_data(judge: Judge, judged: Judged) -> dict[str, Any]:
    """What was asked and what came of it, as plain data; each different question counts once."""
    different = {each.question.text: each for each in judged.judgements}.values()
    spending = judge.spending
    return {
        "judge": version_of(judge),
        "questions": len(different),
        "kept": judged.kept,
        "unparsable": sum(each.reply.text is not None and each.verdict.problem is not None for each in different),
        "failed": sum(each.reply.text is None for each in different),
        "problems": dict(Counter(filter(None, (each.verdict.problem for each in different))).most_common()),
        "prompt_tokens": spending.prompt_tokens,
        "reply_tokens": spending.completion_tokens,
        "usd": float(spending.spent) if spending.price else None,
        "usd_with_kept": float(spending.total) if spending.price else None,
    }


def report_judging(data: Mapping[str, Any]) -> None:
    """Says what was asked and what came of it, with the commonest problems."""
    cost = f", ${data['usd']:.4f}" if data["usd"] is not None else ""
    if cost and data["kept"]:
        cost += f" (${data['usd_with_kept']:.4f} with the kept ones)"
    say(
        f"{data['judge']}: {data['questions']:,} questions, {data['kept']:,} of them answered before; "
        f"{data['unparsable']:,} unparsable, {data['failed']:,} failed; "
        f"{data['prompt_tokens']:,} prompt and {data['reply_tokens']:,} reply tokens{cost}"
    )
    for problem, count in list(data["problems"].items())[:SHOWN_PROBLEMS]:
        say(f"  {count:,} × {problem}")


SCORES_SCHEMA = {
    **dict.fromkeys(("cell", "adapter", "task", "language", "item", "id", "metric"), pl.String),
    "value": pl.Float64,
    **dict.fromkeys(("version", "answer", "reason"), pl.String),
}
JUDGEMENTS_SCHEMA = dict.fromkeys(
    ("cell", "adapter", "task", "language", "item", "id", "metric", "order", "judge", "wording", "question", "reply",
     "finish", "problem"), pl.String
) | {"verdict": pl.Float64}  # fmt: skip
Key: TypeAlias = tuple[str, str, str]


def judge_study(
    study: Study, prompts: Sequence[Prompted], completions: Mapping[str, Completion]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The judge's scores of a study's predictions, in the columns of `scores_table`; its judgements.

    Raises UserError where the judge cannot be asked.
    """
    given = study.recipe.evaluation.judge
    assert given is not None
    judge = made_judge(given, lambda: (study.engine, study.precision.dtype), in_recipe)
    wanted = [each for each in prompts if each.example.task in given.tasks]
    written = [each for each in wanted if each.key in completions]
    opponents = {key_of(each.example): completions[each.key].text for each in written
                 if each.model.name == given.against}  # fmt: skip
    cases = [
        Case(
            instruction=instruction_of(study, each.example),
            response=completions[each.key].text,
            language=each.example.language,
            reference=each.example.target,
            opponent=opponents.get(key_of(each.example)) if each.model.name != given.against else None,
        )
        for each in written
    ]
    judged = put_to(judge, cases, in_recipe)
    found = iter(judged.scores)
    rows = [
        place_of(each) | asdict(score)
        for each in wanted
        for score in with_unscored(next(found) if each.key in completions else [], each, given, version_of(judge))
    ]
    judgements = [place_of(written[each.question.place]) | judgement_row(judge, each) for each in judged.judgements]
    return pl.DataFrame(rows, schema=SCORES_SCHEMA), pl.DataFrame(judgements, schema=JUDGEMENTS_SCHEMA)


def key_of(example: Example) -> Key:
    """What tells an example of a study from all others."""
    return example.task, example.language, example.id


def with_unscored(scores: Sequence[Score], each: Prompted, given: settings.Judge, version: str) -> list[Score]:
    """A prediction's scores, with unscored ones for what could not be put to the judge."""
    found = {score.metric: score for score in scores}
    missing = {RATING: NOT_GENERATED}
    if given.against is not None and each.model.name != given.against:
        missing[WIN_RATE] = f"{given.against}: {NOT_GENERATED}" if found else NOT_GENERATED
    return [found.get(metric) or Score(metric, None, version, reason=reason) for metric, reason in missing.items()]


def instruction_of(study: Study, example: Example) -> str:
    """What the models were asked, without exemplars: the conversation up to the prompt, in the words of its task."""
    few_shot = study.recipe.prompts.few_shot.get(example.task)
    turns = study.renderer.turns(example)[2 * few_shot.shots if few_shot else 0 :]
    if len(turns) == 1:
        return turns[0]["content"].strip()
    return "\n\n".join(f"{turn['role'].capitalize()}: {turn['content'].strip()}" for turn in turns)


def judgement_row(judge: Judge, each: Judgement) -> dict[str, Any]:
    """A question and its reply as plain data."""
    return {
        "metric": each.question.metric,
        "order": each.question.order,
        "judge": judge.name,
        "wording": VERSION,
        "question": each.question.text,
        "reply": each.reply.text,
        "finish": each.reply.finish if each.reply.text is not None else None,
        "verdict": each.verdict.value,
        "problem": each.verdict.problem,
    }


def judge_file(file: Path, out: Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Judges a file, writes scores and judgements of its rows if `out` says where, and returns the summary.

    `options` are settings of harness.recipe.schema.Judge. Raises UserError for settings that do not fit together, a
    file that cannot be read or written, one without a good row, and a judge that cannot be asked.
    """
    given = judge_settings(options)
    if problems := same_file_problems(file, out):
        raise UserError(problems)
    if out and not (out.parent.is_dir() and os.access(out.parent, os.W_OK)):  # said before anything is paid for
        raise UserError([Problem("--out", f"{out.parent} is no folder that can be written to")])
    try:
        rows = cases_of(file)
    except OSError as error:
        raise UserError([Problem(str(error.filename or file), error.strerror or str(error))]) from None
    bad = Tallies(bad=[row for row in rows if isinstance(row, BadRow)])
    report_bad(bad)
    good = [row for row in rows if isinstance(row, CaseRow)]
    if not good:
        raise UserError([Problem(str(file), "holds no row that can be judged")])
    judge = made_judge(given, lambda: (engine_for("auto"), precision_for(this_device()).dtype), on_command_line)
    judged = put_to(judge, [row.case for row in good], on_command_line)
    found = iter(judged.scores)
    scored = [row if isinstance(row, BadRow) else scored_row(row, next(found)) for row in rows]
    tallies = Tallies()
    for row in scored:
        tallies.add(row)
    if out:
        write_rows(
            out, scored, [(good[each.question.place].line, judgement_row(judge, each)) for each in judged.judgements]
        )
    return tallies.as_data() | {"judging": judging_data(judge, judged)}


def scored_row(row: CaseRow, scores: Sequence[Score]) -> ScoredRow:
    """A row with its scores."""
    return ScoredRow(row.line, row.id, row.case.language, tuple(scores))


def judge_settings(options: Mapping[str, Any]) -> settings.Judge:
    """The settings given on the command line. Raises UserError if they do not fit together."""
    try:
        given = settings.Judge(**{key: value for key, value in options.items() if value is not None})
    except ValidationError as error:
        found = [(str(each["loc"][0]), f"got {each['input']!r}; {each['msg']}") for each in error.errors()]
    else:
        found = judge_problems(given)
        if not found:
            return given
    raise UserError([Problem(on_command_line(key), message) for key, message in found])


def write_rows(out: Path, rows: Sequence[ScoredRow | BadRow], judgements: Iterable[tuple[int, dict[str, Any]]]) -> None:
    """One JSON object per row and metric: the score, and the judgements, told by line, that it rests on.

    Raises UserError for a file that cannot be written.
    """
    by_place: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for line, judgement in judgements:
        by_place.setdefault((line, judgement["metric"]), []).append(judgement)
    written = [
        each | {"judgements": by_place.get((row.line, each["metric"]), [])}
        for row in rows
        for each in output_rows(RATING, row)
    ]
    try:
        write_text(out, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in written))
    except OSError as error:
        raise UserError([Problem(str(error.filename or out), error.strerror or str(error))]) from None
