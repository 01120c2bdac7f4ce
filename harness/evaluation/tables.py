"""The tables of an evaluation, put together from those of each model, in memory that does not grow with the study."""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from data_mixes.storage import sealed_file
from eval.generation.endpoints import EndpointEvaluation
from eval.generation.kept import Answers
from eval.generation.requests import Evaluation, ModelUnderTest, Put
from eval.judges.wording import RATING
from eval.predictions_and_scores import PROMPT_SCHEMA, SCORED, cut_off_notes, endings, prompts_table, repeats_table
from eval.scorers.main_metric import with_main
from eval.scorers.metrics import SWITCH_AWARE
from eval.scorers.split import split_scores
from harness.console import progress, say
from harness.evaluation.judged import judge_study
from harness.evaluation.parts import (
    MADE_OF,
    Part,
    Scoring,
    Written,
    hash_of,
    read_part,
    said_by,
    score_parts,
    to_score,
    write_predictions,
)
from harness.planning.bases import Base
from harness.planning.study import Study
from harness.runs.folder import StudyFolder

NO_LOG_PROBABILITIES = "an endpoint gives completions, and no log-probabilities"


def write_tables(
    study: Study, evaluations: Mapping[Base, Evaluation], endpoints: Sequence[EndpointEvaluation], answers: Answers
) -> None:
    """Scores every prediction there is, of these what is new; rescoring needs no generation.

    A judge's scores are added to those that are written already: it may fail, or take long. Its rating, switch-aware,
    is then the metric that its tasks are judged by (see `main_metrics_of`), and stands first.
    """
    files, mains = StudyFolder(study.folder), main_metrics_of(study)
    parts = own_tables(study, [*evaluations.values(), *endpoints], answers)
    more = lm_eval_tables(evaluations, endpoints, answers) if study.lm_eval_sets else (pl.DataFrame(), pl.DataFrame())
    write_table(files.prompts, prompts_of(evaluations))
    join(files.predictions, [part.part.predictions for part in parts], more[0])
    ended = [pl.DataFrame(rows) for part in parts if (rows := part.endings)]
    ended += [endings(more[0])] if len(more[0]) else []
    for note in cut_off_notes(pl.concat(ended, how="vertical_relaxed")) if ended else ():
        say(note)
    if study.recipe.evaluation.repeats > 1:
        again = [repeats_table(part, answers.completions) for part in evaluations.values()]
        write_table(files.repeats, pl.concat(again, how="vertical_relaxed"))
    scores = [part.part.scores for part in parts]
    join(files.scores, scores, more[1], lambda table: with_main(table, mains), json.dumps(mains))
    if study.recipe.evaluation.judge:
        every = chain.from_iterable(part.prompts() for part in (*evaluations.values(), *endpoints))
        judged, judgements = judge_study(study, (put for put in every if not put.sample), answers.completions)
        write_table(files.judgements, judgements)
        join(files.scores, scores, more[1], lambda table: with_main(with_judged(table, judged), mains))


def own_tables(study: Study, evaluations: Sequence[Evaluation | EndpointEvaluation], answers: Answers) -> list[Written]:
    """Every model's own predictions and scores: those there are, and those made now."""
    files, scoring = StudyFolder(study.folder), Scoring(study.recipe.evaluation, study.evaluation_sets, thinking=False)
    if not scoring.evaluation_sets:
        return []
    parts = [
        write_predictions(Part.of(files, model), prompts, answers.completions, scoring)
        for model, prompts in prompts_by_model(evaluations)
    ]
    scoring = Scoring(scoring.evaluation, scoring.evaluation_sets, any(part.thinks for part in parts))
    if missing := to_score(parts, scoring):
        with progress("scoring models", len(missing)) as bar:
            score_parts(missing, scoring, bar.advance)
    return parts


def prompts_by_model(
    evaluations: Iterable[Evaluation | EndpointEvaluation],
) -> Iterator[tuple[ModelUnderTest, Sequence[Put]]]:
    """Every model, and what is put to it."""
    for evaluation in evaluations:
        if isinstance(evaluation, Evaluation):
            yield from evaluation.prompts().by_model()
        else:
            yield evaluation.model, evaluation.prompts()


def join(
    path: Path,
    parts: Sequence[Path],
    more: pl.DataFrame,
    change: Callable[[pl.DataFrame], pl.DataFrame] = lambda table: table,
    decided_by: str | None = "",
) -> None:
    """Writes the tables of all models as one, and some further rows at its end; each model's is changed first.

    It is not written again where it is of the same tables, and `decided_by` says all that decides the change.
    """
    made_of = hash_of([said_by(part)[MADE_OF] for part in parts], decided_by)
    if not len(more) and decided_by is not None and said_by(path).get(MADE_OF) == made_of:
        return
    schema = joint_schema(parts, more, change)
    scored: dict[str, tuple[str | None, int]] = {}
    with (
        sealed_file(path) as unfinished,
        pq.ParquetWriter(unfinished, schema.to_arrow().schema, compression="zstd") as writer,
    ):
        for table in chain(map(read_part, parts), (more,)):
            if len(table):
                rows = change(table)
                for model, (weights, items) in scored_in(rows).items():
                    scored[model] = (weights, items + scored.get(model, (weights, 0))[1])
                writer.write_table(pl.concat([schema, rows], how="diagonal_relaxed").to_arrow())
        writer.add_key_value_metadata({MADE_OF: made_of, SCORED: json.dumps(scored)})


def joint_schema(
    parts: Sequence[Path], more: pl.DataFrame, change: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    """A table without rows that has the columns of all of these, once they are changed."""
    schemas = {str(table.schema): table for table in (*map(no_rows, parts), more.clear()) if table.columns}
    return pl.concat([change(table) for table in schemas.values()] or [pl.DataFrame()], how="diagonal_relaxed")


def no_rows(path: Path) -> pl.DataFrame:
    """The columns of a model's table."""
    with path.open("rb") as file:
        return pl.DataFrame(schema=pl.read_parquet_schema(file))


def scored_in(table: pl.DataFrame) -> dict[str, tuple[str | None, int]]:
    """Model → what names its weights, and how many of its items have a score; empty for tables without scores."""
    if "value" not in table.columns:
        return {}
    scored = pl.struct("task", "id").filter(pl.col("value").is_not_null()).n_unique()
    counts = table.group_by("cell", maintain_order=True).agg(pl.col("weights").first(), scored.alias("scored"))
    return {cell: (weights, count) for cell, weights, count in counts.iter_rows()}


def with_judged(scores: pl.DataFrame, judged: pl.DataFrame) -> pl.DataFrame:
    """A model's scores with a judge's, the rating that tasks are judged by first."""
    judged = judged.filter(pl.col("cell").is_in(scores["cell"].unique().implode()))
    split = split_scores(pl.concat([scores, judged]), RATING)
    main = pl.col("metric") == RATING + SWITCH_AWARE
    return pl.concat([split.filter(main), scores, judged, split.filter(~main)])


def prompts_of(evaluations: Mapping[Base, Evaluation]) -> pl.DataFrame:
    """The test prompts as the models got them; of several whole models with a column that says for which."""
    tables = {base.name: prompts_table(part) for base, part in evaluations.items()}
    if len(tables) < 2:
        return next(iter(tables.values()), pl.DataFrame(schema=PROMPT_SCHEMA))
    return pl.concat([table.with_columns(base=pl.lit(name)) for name, table in tables.items()])


def main_metrics_of(study: Study) -> dict[str, str]:
    """Task → the metric that it is judged by: its own, lm_eval's first, or a judge's rating (arXiv 2504.16677)."""
    mains = {
        evaluation_set.name: study.recipe.known_tasks[evaluation_set.task].metric
        for evaluation_set in study.evaluation_sets
    }
    for asked in study.lm_eval_sets:
        mains.setdefault(asked.named.task, asked.metric)
    judge = study.recipe.evaluation.judge
    judged = [tested.name for tested in study.evaluation_sets if judge and tested.task in judge.tasks]
    return mains | dict.fromkeys(judged, RATING + SWITCH_AWARE)


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Writes one of the study's tables, whole or not at all, with a checksum beside it."""
    with sealed_file(path) as unfinished, unfinished.open("wb") as file:
        table.write_parquet(file)


def lm_eval_tables(
    evaluations: Mapping[Base, Evaluation], endpoints: Sequence[EndpointEvaluation], answers: Answers
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The predictions and scores of lm_eval's tasks; those of models behind endpoints are blank."""
    from eval.interop.lm_eval_results import no_tables, tables

    known = ChainMap[str, Any](answers.completions, answers.likelihoods)  # pyright: ignore[reportArgumentType]  # only read
    parts = [tables(part, base.lm_eval_sets, known) for base, part in evaluations.items()]
    first = next(iter(evaluations)).lm_eval_sets
    parts += [no_tables(part.model, first, NO_LOG_PROBABILITIES) for part in endpoints]
    predictions, scores = (pl.concat(tables, how="diagonal_relaxed") for tables in zip(*parts, strict=True))
    return predictions, scores
