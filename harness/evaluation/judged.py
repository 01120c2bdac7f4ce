"""Judging: the judge of a recipe or of the command line, what it is asked, and what came of it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from data_mixes.example import Example
from data_mixes.prompts import turns_of
from data_mixes.storage import cache_folder
from eval.engines.engine import Completion
from eval.generation.requests import Put
from eval.judges.judge import (
    Judge,
    Judged,
    JudgeError,
    Judgement,
    ReplyStore,
    judge_cases,
    questions_of,
    version_of,
)
from eval.judges.wording import RATING, VERSION, WIN_RATE, Case
from eval.predictions_and_scores import NOT_GENERATED, place_of
from eval.scorers.score import Score
from eval.scorers.thoughts import without_thoughts
from harness.console import progress, say
from harness.errors import Problem, UserError
from harness.models.judge import Where, in_recipe, made_judge
from harness.recipe import evaluation_section as settings
from harness.recipe.grid import name_of
from harness.results import Result

if TYPE_CHECKING:
    from harness.planning.study import Study

SHOWN_PROBLEMS = 3


def put_to(judge: Judge, cases: Sequence[Case], where: Where) -> Judged:
    """The judge's scores of the cases; says what came of it. Raises UserError where the judge cannot be asked."""
    questions = questions_of(cases)
    path = cache_folder() / "judge" / "replies.sqlite"
    try:
        with (
            ReplyStore.opened(path) as store,
            progress("judging", len({question.text for question in questions})) as bar,
        ):
            judged = judge_cases(cases, questions, judge, store, bar.advance)
    except JudgeError as error:
        raise UserError([Problem(where("endpoint"), str(error))]) from None
    except sqlite3.Error as error:
        raise UserError(
            [Problem(str(path), f"the judge's replies cannot be kept there ({error}); move it away")]
        ) from None
    report_judging(judging_summary(judge, judged))
    return judged


class JudgingSummary(Result):
    """What a judge was asked and what came of it; each different question counts once."""

    judge: str
    questions: int
    kept: int
    """Answered before, and read from the cache."""
    unparsable: int
    failed: int
    problems: dict[str, int]
    prompt_tokens: int
    reply_tokens: int
    usd: float | None
    usd_with_kept: float | None
    """With what the kept replies had cost."""


def judging_summary(judge: Judge, judged: Judged) -> JudgingSummary:
    """What was asked and what came of it."""
    different = {judgement.question.text: judgement for judgement in judged.judgements}.values()
    spending = judge.spending
    return JudgingSummary(
        judge=version_of(judge),
        questions=len(different),
        kept=judged.kept,
        unparsable=sum(
            judgement.reply.text is not None and judgement.verdict.problem is not None for judgement in different
        ),
        failed=sum(judgement.reply.text is None for judgement in different),
        problems=dict(Counter(filter(None, (judgement.verdict.problem for judgement in different))).most_common()),
        prompt_tokens=spending.prompt_tokens,
        reply_tokens=spending.completion_tokens,
        usd=float(spending.spent) if spending.price else None,
        usd_with_kept=float(spending.total) if spending.price else None,
    )


def report_judging(data: JudgingSummary) -> None:
    """Says what was asked and what came of it, with the commonest problems."""
    cost = f", ${data.usd:.4f}" if data.usd is not None else ""
    if cost and data.kept:
        cost += f" (${data.usd_with_kept:.4f} with the kept ones)"
    say(
        f"{data.judge}: {data.questions:,} questions, {data.kept:,} of them answered before; "
        f"{data.unparsable:,} unparsable, {data.failed:,} failed; "
        f"{data.prompt_tokens:,} prompt and {data.reply_tokens:,} reply tokens{cost}"
    )
    for problem, count in list(data.problems.items())[:SHOWN_PROBLEMS]:
        say(f"  {count:,} × {problem}")


SCORES_SCHEMA = {
    **dict.fromkeys(("cell", "weights", "task", "language", "item", "id", "cluster", "metric"), pl.String),
    "value": pl.Float64,
    **dict.fromkeys(("version", "answer", "reason"), pl.String),
}
JUDGEMENTS_SCHEMA = dict.fromkeys(
    ("cell", "weights", "task", "language", "item", "id", "cluster", "metric", "order", "judge", "wording",
     "question", "reply", "finish", "problem"), pl.String
) | {"verdict": pl.Float64}  # fmt: skip
Key: TypeAlias = tuple[str, str, str]


def judge_study(
    study: Study, prompts: Iterable[Put], completions: Mapping[str, Completion]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The judge's scores of a study's predictions, in the columns of `scores_table`; its judgements.

    Raises UserError where the judge cannot be asked.
    """
    given = study.recipe.evaluation.judge
    assert given is not None
    if given.against is not None:
        given = given.model_copy(update={"against": name_of(study.cells, given.against)})
    judge = made_judge(given, lambda: (study.engine, study.precision.dtype), in_recipe)
    wanted = [prompt for prompt in prompts if prompt.example.task in given.tasks]
    written = [prompt for prompt in wanted if prompt.key in completions]
    markers = study.recipe.evaluation.thought_markers
    responses = {prompt.key: without_thoughts(completions[prompt.key].text, markers) for prompt in written}
    opponents = {key_of(prompt.example): responses[prompt.key] for prompt in written
                 if prompt.model.name == given.against}  # fmt: skip
    cases = [
        Case(
            instruction=instruction_of(study, prompt.example),
            response=responses[prompt.key],
            language=prompt.example.language,
            reference=prompt.example.target,
            opponent=opponents.get(key_of(prompt.example)) if prompt.model.name != given.against else None,
        )
        for prompt in written
    ]
    judged = put_to(judge, cases, in_recipe)
    judged_scores = iter(judged.scores)
    rows = [
        place_of(prompt) | asdict(score)
        for prompt in wanted
        for score in with_unscored(
            next(judged_scores) if prompt.key in completions else [], prompt, given, version_of(judge)
        )
    ]
    judgements = [
        place_of(written[judgement.question.place]) | judgement_row(judge, judgement) for judgement in judged.judgements
    ]
    return pl.DataFrame(rows, schema=SCORES_SCHEMA), pl.DataFrame(judgements, schema=JUDGEMENTS_SCHEMA)


def key_of(example: Example) -> Key:
    """What tells an example of a study from all others."""
    return example.task, example.language, example.id


def with_unscored(scores: Sequence[Score], prompt: Put, given: settings.Judge, version: str) -> list[Score]:
    """A prediction's scores, with unscored ones for what could not be put to the judge."""
    scored = {score.metric: score for score in scores}
    missing = {RATING: NOT_GENERATED}
    if given.against is not None and prompt.model.name != given.against:
        missing[WIN_RATE] = f"{given.against}: {NOT_GENERATED}" if scored else NOT_GENERATED
    return [scored.get(metric) or Score(metric, None, version, reason=reason) for metric, reason in missing.items()]


def instruction_of(study: Study, example: Example) -> str:
    """What the models were asked, without exemplars: the conversation up to the prompt, in the words of its task."""
    few_shot = study.recipe.prompts.few_shot.get(example.task)
    asked = replace(example, history=example.history[few_shot.shots if few_shot else 0 :])
    chat = study.hosts[0].renderer.template is not None if study.hosts else True
    turns = turns_of(asked, study.recipe.words, chat=chat, verbatim=study.recipe.prompts.verbatim)
    if len(turns) == 1:
        return turns[0]["content"].strip()
    return "\n\n".join(f"{turn['role'].capitalize()}: {turn['content'].strip()}" for turn in turns)


def judgement_row(judge: Judge, judgement: Judgement) -> dict[str, Any]:
    """A question and its reply as plain data."""
    return {
        "metric": judgement.question.metric,
        "order": judgement.question.order,
        "judge": judge.name,
        "wording": VERSION,
        "question": judgement.question.text,
        "reply": judgement.reply.text,
        "finish": judgement.reply.finish if judgement.reply.text is not None else None,
        "verdict": judgement.verdict.value,
        "problem": judgement.verdict.problem,
    }
