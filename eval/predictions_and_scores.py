"""Tables of an evaluation: prompts as the models got them, predictions, and scores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import polars as pl

from eval.answer_language import AnswerLanguages
from eval.engines.engine import END_OF_TURN, LENGTH, STOP_TEXT, Completion
from eval.finite import finite_scores
from eval.generation.conditions import task_of
from eval.generation.requests import Evaluation, Put, Scored, candidates_of
from eval.scorers.samples import SAMPLE, over_samples
from eval.scorers.score import Score
from eval.scorers.split import split_scores
from eval.scorers.thoughts import answer_text, thoughts_of

PROMPT_SCHEMA = {
    **dict.fromkeys(("task", "language", "item", "id", "rendered", "messages"), pl.String), "shortened": pl.Int64,
}  # fmt: skip
SCORED = "scored"
"""What a table of scores says of itself: model → what names its weights, and how many of its items have a score."""
NOT_GENERATED = "not generated"
Table = TypeVar("Table", pl.DataFrame, pl.LazyFrame)


def predictions_table(prompts: Sequence[Put], completions: Mapping[str, Completion]) -> pl.DataFrame:
    """One row per model and example generated: what it was asked, what it wrote, how the writing ended.

    Where there are several completions of an example, each has a row, with its number in the column `sample`.
    """
    sampled = any(prompt.sample for prompt in prompts)
    rows = [
        place_of(prompt, sampled)
        | {
            "prompt": prompt.example.prompt,
            "reference": prompt.example.target,
            "completion": completions[prompt.key].text,
            "tokens": completions[prompt.key].tokens,
            "finish": completions[prompt.key].finish,
        }
        for prompt in prompts
        if prompt.key in completions
    ]
    overrides = dict.fromkeys(("weights", "cluster"), pl.String) | {"tokens": pl.Int64}
    return pl.DataFrame(rows, schema_overrides=overrides if rows else None)


def prompts_table(evaluation: Evaluation) -> pl.DataFrame:
    """One row per test item and language: its prompt as every model gets it, special tokens and exemplars included.

    `messages` are the turns that the chat template was given, as JSON; null where prompts are plain text. `shortened`
    is how many tokens were left out of a prompt that was too long.
    """
    renderer = evaluation.renderer
    rows: list[dict[str, Any]] = []
    for tested in evaluation.evaluation_sets:
        for example, (ids, shortened) in zip(tested.examples, evaluation.rendered(tested), strict=True):
            put = renderer.fitted([example])[0] if shortened and renderer.template else example
            messages = json.dumps(renderer.turns(put), ensure_ascii=False) if renderer.template else None
            place = {"task": tested.name, "language": tested.language, "item": example.item_id, "id": example.id}
            rows.append(place | {"rendered": renderer.text(ids), "messages": messages, "shortened": shortened})
    return pl.DataFrame(rows, schema=PROMPT_SCHEMA)


CUT_OFF = 0.05
"""A larger share of completions that are cut off is worth a warning."""
MOST_NAMED = 3
ENDINGS = {END_OF_TURN: "end_of_turn", STOP_TEXT: "stop_text", LENGTH: "max_tokens"}
"""Why completions ended → the column that counts them. Runs of 0.1.0 count stop texts as ends of turn."""


def endings(predictions: pl.DataFrame) -> pl.DataFrame:
    """How completions ended, by cell, task and language: counts of end_of_turn, stop_text, max_tokens and of all."""
    ended = pl.col("finish")
    counts = {column: (ended == finish).sum() for finish, column in ENDINGS.items()}
    generated = predictions.filter(ended.is_in([*ENDINGS]))
    return generated.group_by("cell", "task", "language", maintain_order=True).agg(completions=pl.len(), **counts)


def cut_off_notes(ended: pl.DataFrame) -> list[str]:
    """A line for each task of which more than `CUT_OFF` of some cell's completions reached `max_tokens`.

    `ended` is what `endings` counts.
    """
    by_task = (
        ended.group_by("cell", "task", maintain_order=True)
        .agg(pl.col("completions", "max_tokens").sum())
        .filter(pl.col("max_tokens") > CUT_OFF * pl.col("completions"))
    )
    return [
        f"{task}: {most_cut_off(part)} were cut off at max_tokens; "
        f"raise evaluation.decoding.{task_of(str(task))}.max_tokens if they should have gone on"
        for (task,), part in by_task.group_by("task", maintain_order=True)
    ]


def most_cut_off(part: pl.DataFrame) -> str:
    """The cells of which most completions were cut off, and how many others there are."""
    ordered = part.sort(pl.col("max_tokens") / pl.col("completions"), descending=True, maintain_order=True)
    named = part.height if part.height <= MOST_NAMED + 1 else MOST_NAMED  # never "1 other models"
    told = [f"{cut:,} of {completions:,} completions of {cell}"
            for cell, _, completions, cut in ordered.head(named).iter_rows()]  # fmt: skip
    others = part.height - named
    return ", ".join(told) + (f", and some of {others} other models" if others else "")


@dataclass(frozen=True, slots=True)
class Together:
    """What decides how a model is scored, and is told from all models of a study together."""

    languages: AnswerLanguages
    sampled: bool
    """Whether there are several completions of some prompt."""
    thinking: bool
    """Whether some completion has thoughts."""

    @classmethod
    def of(cls, evaluation: Scored, prompts: Iterable[Put], thinking: bool) -> Together:
        """Of what all models are asked: the prompts of one of them at least."""
        prompts, candidates = list(prompts), candidates_of(evaluation.evaluation_sets)
        languages = AnswerLanguages((prompt.example for prompt in prompts), candidates, evaluation.identifier)
        return cls(languages, any(prompt.sample for prompt in prompts), thinking)


def some_think(evaluation: Scored, completions: Iterable[Completion]) -> bool:
    """Whether some completion has thoughts."""
    return any(thoughts_of(completion.text, evaluation.thoughts) for completion in completions)


def scores_table(
    evaluation: Scored, prompts: Sequence[Put], completions: Mapping[str, Completion], together: Together | None = None
) -> pl.DataFrame:
    """One row per model, example and metric; `value` is null where there is no score, and `reason` says why.

    A task's own metrics come first, then whether a completion is in the language of its example, and the
    task's main metric split by that. Thoughts and code are set apart before all of them; where some completion has
    thoughts, their language is scored too. Of several completions of an example the value is their mean; see
    `over_samples`. `together` is told where these prompts are of one model of several.
    """
    rows: list[dict[str, Any]] = []
    together = together or Together.of(evaluation, prompts, some_think(evaluation, completions.values()))
    languages, sampled, thinking = together.languages, together.sampled, together.thinking
    for prompt in prompts:
        task = evaluation.tasks[prompt.example.task]
        scores: Sequence[Score] = [Score(task.metric, None, task.scorer_version, reason=NOT_GENERATED)]
        if prompt.key in completions:
            text = completions[prompt.key].text
            answer = answer_text(text, evaluation.thoughts)
            scores = [*task.score(prompt.example, answer), *languages.score(prompt.example, answer)]
            if thinking:
                scores += languages.score_thoughts(prompt.example, thoughts_of(text, evaluation.thoughts))
        rows += [place_of(prompt, sampled) | asdict(score) for score in scores]
    texts = dict.fromkeys(("weights", "cluster", "answer", "reason"), pl.String)
    table = pl.DataFrame(rows, schema_overrides={"value": pl.Float64, **texts})
    mains = {tested.name: evaluation.tasks[tested.task].metric for tested in evaluation.evaluation_sets}
    split = [split_scores(table.filter(pl.col("task") == name), metric) for name, metric in mains.items()]
    table = finite_scores(pl.concat([table, *split]))
    if not sampled:
        return table
    several = pl.col("task").is_in([tested.name for tested in evaluation.evaluation_sets if tested.samples > 1])
    parts = table.filter(~several).drop(SAMPLE), over_samples(table.filter(several), mains)
    return pl.concat(parts)


def with_weights(table: Table) -> Table:
    """A table as it is written now: earlier studies name the column of weights `adapter`."""
    return table.rename({"adapter": "weights"}, strict=False)


def repeats_table(evaluation: Evaluation, completions: Mapping[str, Completion]) -> pl.DataFrame:
    """What was written each time, of prompts that were put repeatedly: a row per model, example and `repeat`.

    `completion` is the text, and `value` its score by the task's own main metric. Repeats begin at 0, the generation
    that all other tables are of.
    """
    repeated = evaluation.repeated()
    tasks = {prompt.tested.name: prompt.tested.task for prompts in repeated for prompt in prompts}
    first = [prompt for prompt in evaluation.prompts() if prompt.tested.name in tasks]
    tables: list[pl.DataFrame] = []
    for repeat, prompts in enumerate([first, *repeated]):
        there = [prompt for prompt in prompts if prompt.key in completions]
        if there:
            scores = scores_table(evaluation, there, completions)
            main = pl.col("task").replace_strict({name: evaluation.tasks[task].metric for name, task in tasks.items()})
            written = predictions_table(there, completions).select(*KEY, "completion")
            scored = scores.filter(pl.col("metric") == main).select(*place_of(there[0]), "metric", "value")
            joined = scored.join(written, on=KEY, validate="1:1", maintain_order="left")
            tables.append(joined.with_columns(repeat=pl.lit(repeat)))
    return pl.concat(tables, how="vertical_relaxed") if tables else pl.DataFrame(schema=REPEATS)


KEY = ("cell", "task", "language", "id")
REPEATS = dict.fromkeys(("cell", "weights", "task", "language", "item", "id", "cluster", "metric"), pl.String) | {
    "value": pl.Float64, "completion": pl.String, "repeat": pl.Int32,
}  # fmt: skip


def first_samples(predictions: pl.DataFrame) -> pl.DataFrame:
    """One prediction of each example: the first where several were drawn."""
    return predictions.filter(pl.col(SAMPLE) == 0).drop(SAMPLE) if SAMPLE in predictions.columns else predictions


def place_of(prompt: Put, sampled: bool = False) -> dict[str, Any]:
    """Which model and example a row is of; its weights tell a cell from one trained anew.

    Items of one cluster, such as a template, are not independent.
    """
    return ({SAMPLE: prompt.sample} if sampled else {}) | {
        "cell": prompt.model.name,
        "weights": prompt.model.weights,
        "task": prompt.tested.name,
        "language": prompt.tested.language,
        "item": prompt.example.item_id,
        "id": prompt.example.id,
        "cluster": prompt.example.cluster,
    }
