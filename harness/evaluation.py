"""The evaluation stage: the trained cells and the base model through one engine, then scores."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from eval.engine import Adapter, Engine, EngineSettings
from eval.evaluate import (
    Evaluation,
    ModelUnderTest,
    Prompted,
    generate,
    predictions_table,
    scores_table,
    stored_completions,
)
from eval.generate import VllmEngine, vllm_available, vllm_version
from eval.scorers.judging import RATING
from eval.scorers.split import split_scores
from eval.transfer import BASE
from eval.transformers_engine import TransformersEngine, transformers_version
from harness.errors import Problem, UserError
from harness.grid import choose
from harness.judging import judge_study
from harness.locks import locked
from harness.progress import progress, say
from harness.runs import adapter_hash
from harness.study import CellPlan, Study

PREDICTIONS, SCORES, JUDGEMENTS = "predictions.parquet", "scores.parquet", "judgements.parquet"


def evaluate_cells(study: Study, cells: str | None) -> None:
    """Generates what is missing for the chosen trained cells and the base, then scores all there is."""
    chosen = {cell.name for cell in choose(study.cells, cells)}
    trained = [plan for plan in study.plans if plan.run.trained]
    for plan in study.plans:
        if plan.name in chosen and plan not in trained:
            say(f"{plan.name}: {plan.run.record.get('state', 'not trained')}, so not evaluated")
    everything = describe_evaluation(study, trained)
    wanted = describe_evaluation(study, [plan for plan in trained if plan.name in chosen])
    if not wanted.models:
        raise UserError(
            [
                Problem(
                    "evaluation",
                    "no chosen cell is trained; first: accelerate launch harness/train.py RECIPE",
                )
            ]
        )
    prompts = wanted.prompts()
    missing = count_missing(wanted, prompts)
    if missing:
        say(f"{len(prompts)} predictions wanted, {missing} to generate")
        wanted.folder.mkdir(parents=True, exist_ok=True)
        with locked(wanted.folder / ".lock"), progress("generating", missing) as bar:
            generate(wanted, prompts, bar.advance, say)
    else:
        say(f"{len(prompts)} predictions wanted, all there already")
    write_tables(study, everything)


def describe_evaluation(study: Study, plans: Sequence[CellPlan]) -> Evaluation:
    """What is to be evaluated, in the words of `eval`."""
    settings = study.recipe.model
    models = [ModelUnderTest(BASE, None)] if study.recipe.evaluation.base else []
    models += [ModelUnderTest(plan.name, trained_adapter(plan)) for plan in plans]
    by_vllm = study.recipe.evaluation.engine == "vllm"
    if by_vllm and not vllm_available():
        raise UserError(
            [
                Problem(
                    "evaluation.engine",
                    "vLLM is not installed: pip install '.[gpu]' (or '.[cpu]'), or set it to transformers",
                )
            ]
        )
    return Evaluation(
        folder=study.folder / "evaluation",
        base_identity=study.model.identity,
        engine_version=vllm_version() if by_vllm else transformers_version(),
        models=models,
        evaluation_sets=study.evaluation_sets,
        renderer=study.renderer,
        start_engine=start_vllm if by_vllm else start_transformers,
        start_reference=start_transformers,
        model_settings={
            "location": study.model.location,
            "revision": study.model.revision,
            "dtype": settings.dtype,
            "trust_remote_code": settings.trust_remote_code,
        },
        identifier=study.recipe.evaluation.identifier,
    )


def start_vllm(settings: EngineSettings) -> Engine:
    """vLLM in this process."""
    return VllmEngine(settings)


def start_transformers(settings: EngineSettings) -> Engine:
    """transformers in this process."""
    return TransformersEngine(settings)


def trained_adapter(plan: CellPlan) -> Adapter:
    """The adapter of a trained cell. Raises UserError if it is not the one that was trained."""
    name = plan.run.record["adapter"]
    if not (plan.run.adapter / "adapter_config.json").is_file() or adapter_hash(plan.run.adapter) != name:
        raise UserError(
            [
                Problem(
                    str(plan.run.adapter),
                    "is not the adapter this cell's record names; delete the cell's folder and train it again",
                )
            ]
        )
    return Adapter(name, plan.run.adapter.resolve(), plan.cell.recipe.adapter.rank)


def count_missing(evaluation: Evaluation, prompts: Sequence[Prompted]) -> int:
    """How many predictions are still to be generated."""
    done = {key for key, _ in stored_completions(evaluation.generations)}
    return sum(each.key not in done for each in prompts)


def write_tables(study: Study, evaluation: Evaluation) -> None:
    """Scores every prediction there is; rescoring needs no generation.

    A judge's scores come last, and are added to those that are written already: it may fail, or take long.
    """
    completions = dict(stored_completions(evaluation.generations))
    prompts = evaluation.prompts()
    scores = scores_table(evaluation, prompts, completions)
    write_table(study, PREDICTIONS, predictions_table(prompts, completions))
    write_table(study, SCORES, scores)
    if study.recipe.evaluation.judge:
        judged, judgements = judge_study(study, prompts, completions)
        write_table(study, JUDGEMENTS, judgements)
        all_scores = pl.concat([scores, judged])
        write_table(study, SCORES, pl.concat([all_scores, split_scores(all_scores, RATING)]))


def write_table(study: Study, name: str, table: pl.DataFrame) -> None:
    """Writes one of the study's tables, whole or not at all."""
    unfinished = study.folder / f".{name}.unfinished"
    table.write_parquet(unfinished)
    unfinished.replace(study.folder / name)
