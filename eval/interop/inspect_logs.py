"""Predictions and scores as logs that inspect_ai reads and its viewer opens. The only importer of inspect_ai.

A log is of one model (a cell, or the base) and task; its samples are the examples of all languages.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import polars as pl
from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalError,
    EvalLog,
    EvalMetric,
    EvalResults,
    EvalRevision,
    EvalSample,
    EvalScore,
    EvalSpec,
    HeadlineMetric,
)
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    ModelOutput,
    StopReason,
)
from inspect_ai.scorer import Score

from data_mixes.storage import whole_file
from eval.engines.engine import END_OF_TURN, LENGTH, STOP_TEXT
from eval.predictions_and_scores import NOT_GENERATED

MESSAGES = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
"""Roles in a chat → the messages of inspect_ai."""
STOP_REASONS: Mapping[str, StopReason] = {END_OF_TURN: "stop", STOP_TEXT: "stop", LENGTH: "max_tokens"}
"""What the engines call the ends of completions → what inspect_ai does."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What the logs of a study say of where they come from."""

    study: str
    base_identity: str
    created: datetime
    """When the scores were made."""
    packages: Mapping[str, str]
    git: str | None
    """The harness's commit, with "+changes" if the checkout is not clean."""
    sources: Mapping[str, str]
    """Task → the source of its examples."""
    max_tokens: Mapping[str, int]
    """Task → where completions are cut off."""
    stop: Mapping[str, Sequence[str]]
    """Task → the texts that end a completion, where the recipe names them."""
    temperature: Mapping[str, float] = field(default_factory=dict[str, float])
    """Task → what logits are divided by, where completions are sampled; the logs have the first of each prompt."""


def write_logs(
    folder: Path,
    origin: Origin,
    prompts: pl.DataFrame,
    predictions: pl.DataFrame,
    scores: pl.DataFrame,
    summary: pl.DataFrame,
    written: Callable[[int], None],
) -> list[Path]:
    """Writes a log for every cell and task of the scores, whole or not at all, and returns their paths.

    `prompts`, `predictions` and `scores` are the tables of `eval.predictions_and_scores`, `summary` is that of
    `summarize`: its figures are the logs' results. Of prompts that are not in their table the bare text is given.
    `written` hears of the number of samples after each log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for (cell, weights, task), judged in scores.group_by(["cell", "weights", "task"], maintain_order=True):
        rows = sample_rows(judged, predictions.filter(task=task), prompts.filter(task=task), str(cell))
        figures = summary.filter(cell=cell, task=task, runs=1)
        log = header(origin, str(cell), weights, str(task), rows, results(rows, judged, figures))  # pyright: ignore[reportArgumentType]
        path = folder / f"{cell}_{task}.eval"
        write_log(path, log, (sample(row, log.eval.model) for row in rows.iter_rows(named=True)))
        paths.append(path)
        written(len(rows))
    return paths


def sample_rows(judged: pl.DataFrame, predictions: pl.DataFrame, prompts: pl.DataFrame, cell: str) -> pl.DataFrame:
    """One row per example, with its scores as a list.

    Of an example that the cell was not given there is no completion; what it asks, another cell's prediction tells.
    """
    judgement = pl.struct("metric", "value", "version", "answer", "reason")
    examples = judged.group_by("id", "language", "item", maintain_order=True).agg(scores=judgement)
    asked = predictions.select("id", "prompt", "reference").unique("id", keep="any")
    completed = predictions.filter(cell=cell).select("id", "completion", "tokens", "finish")
    for more in (asked, prompts.select("id", "rendered", "messages"), completed):
        examples = examples.join(more, on="id", how="left", maintain_order="left")
    return examples


def header(
    origin: Origin, cell: str, weights: str | None, task: str, rows: pl.DataFrame, outcome: EvalResults
) -> EvalLog:
    """A log without its samples: what was evaluated how, and what came out."""
    base = origin.base_identity
    spec = EvalSpec(
        created=origin.created.isoformat(timespec="seconds"),
        run_id=origin.study,
        task=task,
        task_id=f"{origin.study}/{cell}/{task}",
        tags=[cell],
        dataset=EvalDataset(
            name=origin.sources[task], samples=len(rows), sample_ids=rows["id"].to_list(), shuffled=False
        ),
        model=f"{base}+{weights}" if weights not in (None, base) else base,
        model_args={"base": base, "weights": weights},
        model_generate_config=GenerateConfig(
            temperature=origin.temperature.get(task, 0),
            max_tokens=origin.max_tokens[task],
            stop_seqs=list(origin.stop.get(task, ())) or None,
        ),
        config=EvalConfig(epochs=1),
        revision=revision(origin.git),
        packages=dict(origin.packages),
        metadata={"study": origin.study, "cell": cell},
    )
    return EvalLog(status="success", eval=spec, results=outcome)


def revision(git: str | None) -> EvalRevision | None:
    """The harness's commit; where it was cloned from is not known."""
    if not git:
        return None
    return EvalRevision(type="git", origin="", commit=git.removesuffix("+changes"), dirty=git.endswith("+changes"))


def results(rows: pl.DataFrame, judged: pl.DataFrame, figures: pl.DataFrame) -> EvalResults:
    """A score per metric with the means over languages and groups of them; NaN where none of a mean was scored."""
    counts = judged.group_by("metric", maintain_order=True).agg(
        scored=pl.col("value").count(), unscored=pl.col("value").null_count()
    )
    scores = [
        EvalScore(
            name=metric,
            scorer=metric,
            scored_samples=scored,
            unscored_samples=unscored,
            metrics={row["group"]: figure(row) for row in figures.filter(metric=metric).iter_rows(named=True)},
        )
        for metric, scored, unscored in counts.iter_rows()
    ]
    main = scores[0]
    headline = "all" if "all" in main.metrics else next(iter(main.metrics), None)
    return EvalResults(
        total_samples=len(rows),
        completed_samples=rows["completion"].count(),
        scores=scores,
        headline=HeadlineMetric(scorer=main.scorer, score=main.name, metric=headline),
    )


def figure(row: Mapping[str, Any]) -> EvalMetric:
    """A row of the summary: the mean, with its 95 % interval, counts and version."""
    told = ("low", "high", "scored", "unscored", "no_answer", "version")
    return EvalMetric(
        name=row["group"],
        value=math.nan if row["mean"] is None else row["mean"],
        params={name: row[name] for name in told if row[name] is not None},
    )


def sample(row: Mapping[str, Any], model: str) -> EvalSample:
    """An example with what the model wrote and its scores; what was never generated is an error without an output."""
    asked, wrote = messages_of(row), row["completion"]
    generated = wrote is not None
    output = ModelOutput.from_content(model, wrote, STOP_REASONS.get(row["finish"], "unknown")) if generated else None
    return EvalSample(
        id=row["id"],
        epoch=1,
        input=list(asked) if row["messages"] else asked[0].text,
        target=row["reference"] or "",
        messages=[*asked, *([output.message] if output else [])],
        output=output or ModelOutput(),
        scores={outcome["metric"]: score(outcome) for outcome in row["scores"]},
        metadata={"language": row["language"], "item": row["item"], "tokens": row["tokens"]},
        error=None if generated else EvalError(message=NOT_GENERATED, traceback="", traceback_ansi=""),
    )


def messages_of(row: Mapping[str, Any]) -> list[ChatMessage]:
    """What the model was asked: the turns of a chat, else one message with the prompt as it was rendered."""
    turns = json.loads(row["messages"]) if row["messages"] else []
    if not turns:
        return [ChatMessageUser(content=row["rendered"] or row["prompt"] or "")]
    return [MESSAGES[turn["role"]](content=turn["content"]) for turn in turns]


def score(row: Mapping[str, Any]) -> Score:
    """A value, or inspect_ai's mark of the unscored (NaN, which its metrics skip), with the scorer's reason."""
    return Score(
        value=math.nan if row["value"] is None else row["value"],
        answer=row["answer"],
        explanation=row["reason"],
        metadata={"version": row["version"]},
    )


def write_log(path: Path, log: EvalLog, samples: Iterable[EvalSample]) -> None:
    """Writes a log in the .eval format, one sample in memory at a time, by renaming a finished file.

    The format is a zip archive of samples/ID_epoch_N.json, summaries.json and header.json. `write_eval_log` of
    inspect_ai 0.3.285 compares each sample with all before it, and so takes a time that grows with their square.
    """
    summaries: list[str] = []
    with whole_file(path) as unfinished, ZipFile(unfinished, "w", ZIP_DEFLATED) as archive:
        for sample in samples:
            archive.writestr(
                f"samples/{sample.id}_epoch_{sample.epoch}.json", sample.model_dump_json(exclude_none=True)
            )
            summaries.append(sample.summary().model_dump_json(exclude_none=True))
        archive.writestr("summaries.json", f"[{','.join(summaries)}]")
        archive.writestr("header.json", log.model_dump_json(exclude_none=True))
