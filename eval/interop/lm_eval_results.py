"""What lm_eval's tasks make of the answers to their questions: predictions and scores, a row per item as all others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from eval.engines.engine import Completion, Likelihood
from eval.generation.requests import Evaluation, ModelUnderTest
from eval.interop.lm_eval_names import NamedTask
from eval.interop.lm_eval_tasks import Definition, LmEvalSet, as_lm_eval_does, in_one_line, means, metric_name
from eval.predictions_and_scores import NOT_GENERATED
from eval.scorers.score import Score

Answer: TypeAlias = Completion | Likelihood
Instance: TypeAlias = Any
"""A request as lm_eval makes it: lm_eval.api.instance.Instance."""

NO_MATCH = "[invalid]"
"""What lm_eval's filters put where they find no answer."""
NO_ANSWER, NO_NUMBER = "no answer found", "lm_eval gave no number"


def tables(
    evaluation: Evaluation, asked: Sequence[LmEvalSet], answers: Mapping[str, Answer]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Predictions and scores of every model, as `predictions_table` and `scores_table` have them.

    A task that a model has not answered whole is unscored, each of its items by the first metric.
    """
    predictions: list[dict[str, Any]] = []
    scores: list[dict[str, Any]] = []
    for model in evaluation.models:
        for chosen in asked:
            keys = [[evaluation.key(model, one) for one in part] for part in chosen.questions]
            places = [place_of(chosen.named, item, model) for item in chosen.items]
            if all(key in answers for part in keys for key in part):
                given = [[answers[key] for key in part] for part in keys]
                rows = scored(chosen, given)
                predictions += [place | row for place, row in zip(places, predicted(chosen, given), strict=True)]
            else:
                rows = unscored(chosen, NOT_GENERATED)
            scores += [place | asdict(score) for place, row in zip(places, rows, strict=True) for score in row]
    texts = dict.fromkeys(("weights", "answer", "reason"), pl.String)
    return (
        pl.DataFrame(predictions, schema_overrides={"weights": pl.String}),
        pl.DataFrame(scores, schema_overrides={"value": pl.Float64, **texts}),
    )


def no_tables(model: ModelUnderTest, asked: Sequence[LmEvalSet], reason: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same of a model that cannot be asked: no predictions, and for every item why there is no score."""
    scores = [
        place_of(chosen.named, item, model) | asdict(score)
        for chosen in asked
        for item, row in zip(chosen.items, unscored(chosen, reason), strict=True)
        for score in row
    ]
    texts = dict.fromkeys(("weights", "answer", "reason"), pl.String)
    return pl.DataFrame(), pl.DataFrame(scores, schema_overrides={"value": pl.Float64, **texts})


def place_of(named: NamedTask, item: str, model: ModelUnderTest) -> dict[str, Any]:
    """Which model, task and item a row is of."""
    return {
        "cell": model.name,
        "weights": model.weights,
        "task": named.task,
        "language": named.language,
        "item": item,
        "id": f"{named.name}/{item}",
    }


def unscored(asked: LmEvalSet, reason: str) -> list[list[Score]]:
    """Of each doc that it has no score, and why."""
    return [[Score(asked.metric, None, asked.version, reason=reason)] for _ in asked.items]


def scored(asked: LmEvalSet, given: Sequence[Sequence[Answer]]) -> list[list[Score]]:
    """Each doc's scores by lm_eval: the numbers whose mean is its figure, the task's first metric first."""
    try:
        with as_lm_eval_does():
            numbers = figures(asked, given)
    except Exception as error:  # a task's code: anything
        return unscored(asked, f"lm_eval cannot score it: {in_one_line(error)}")
    return [row or missing for row, missing in zip(numbers, unscored(asked, NO_NUMBER), strict=True)]


def figures(asked: LmEvalSet, given: Sequence[Sequence[Answer]]) -> list[list[Score]]:
    """What lm_eval makes of each doc's answers, by each of the task's filters, as lm_eval.evaluator.evaluate does."""
    left_out, order = asked.left_out, means(asked.definition)
    scores: list[list[Score]] = [[] for _ in asked.items]
    for instance, answers in zip(asked.instances, given, strict=True):
        instance.resps = [response(instance, answers)] * (instance.repeats or 1)
        instance.filtered_resps = {}
    asked.definition.apply_filters()
    for name in asked.instances[0].filtered_resps:
        for row, instances in zip(scores, by_doc(asked), strict=True):
            responses = [instance.filtered_resps[name] for instance in instances]
            values = asked.definition.process_results(instances[0].doc, responses)
            kept = {metric: value for metric, value in values.items() if metric not in left_out}
            for metric in sorted(kept, key=lambda metric: order.index(metric) if metric in order else len(order)):
                if isinstance(kept[metric], int | float | np.number):
                    answer = answered(asked.definition, metric, responses)
                    row.append(one_score(asked, metric_name(metric, name), float(kept[metric]), answer))
    return scores


def by_doc(asked: LmEvalSet) -> list[list[Instance]]:
    """The instances of each doc, in lm_eval's order."""
    grouped: list[list[Instance]] = [[] for _ in asked.items]
    for instance in sorted(asked.instances, key=lambda instance: instance.idx):
        assert instance.doc_id is not None
        grouped[instance.doc_id].append(instance)
    return grouped


def answered(definition: Definition, metric: str, responses: Sequence[Any]) -> str | None:
    """What lm_eval's filters took for the answer, or the number of the option that is likeliest by the metric."""
    if isinstance(responses[0], str):
        return responses[0]
    if metric != "acc" or definition.OUTPUT_TYPE != "multiple_choice":
        return None
    options = len(responses) // 2 if "acc_mutual_info" in definition.aggregation() else len(responses)
    return f"option {1 + int(np.argmax([total for total, _ in responses[:options]]))}"


def one_score(asked: LmEvalSet, metric: str, value: float, answer: str | None) -> Score:
    """A figure of lm_eval's, with the answer that it is of."""
    if not math.isfinite(value):
        return Score(metric, None, asked.version, reason=NO_NUMBER)
    return Score(metric, value, asked.version, answer, reason=NO_ANSWER if answer == NO_MATCH else None)


def response(instance: Instance, answers: Sequence[Answer]) -> Any:
    """The answers as lm_eval wants them: a text, a log-probability, or one and whether it is greedy."""
    if instance.request_type == "generate_until":
        return completed(answers[0]).text
    total = sum(sum(likely(answer).log_probs) for answer in answers)
    return (total, likely(answers[0]).greedy) if instance.request_type == "loglikelihood" else total


def completed(answer: Answer) -> Completion:
    """The answer to a prompt."""
    assert isinstance(answer, Completion)
    return answer


def likely(answer: Answer) -> Likelihood:
    """The answer to a row."""
    assert isinstance(answer, Likelihood)
    return answer


def predicted(asked: LmEvalSet, given: Sequence[Sequence[Answer]]) -> list[dict[str, Any]]:
    """Of each doc what was asked, and what the model wrote, or which option is likeliest to it."""
    answers = {id(instance): replies for instance, replies in zip(asked.instances, given, strict=True)}
    rows: list[dict[str, Any]] = []
    for instances in by_doc(asked):
        first = instances[0]
        options = [str(instance.args[-1]).strip() for instance in instances]
        row: dict[str, Any] = {"prompt": first.args[0], "reference": reference(asked.definition, first.doc, options)}
        if first.request_type == "generate_until":
            written = completed(answers[id(first)][0])
            row |= {"completion": written.text, "tokens": written.tokens, "finish": written.finish}
        else:
            row |= likeliest(options, [[likely(one) for one in answers[id(instance)]] for instance in instances])
        rows.append(row)
    return rows


def likeliest(options: Sequence[str], given: Sequence[Sequence[Likelihood]]) -> dict[str, Any]:
    """The likeliest of the options, with the log-probabilities of all."""
    totals = [sum(sum(part.log_probs) for part in parts) for parts in given]
    best = max(range(len(totals)), key=lambda number: totals[number])
    shown = "; ".join(f"{option} {total:.4f}" for option, total in zip(options, totals, strict=True))
    tokens = sum(len(part.log_probs) for part in given[best])
    return {"completion": f"{options[best]} ({shown})", "tokens": tokens, "finish": "log-probabilities"}


def reference(definition: Definition, doc: Mapping[str, Any], options: Sequence[str]) -> str:
    """What would be right: a text, or the option that is."""
    target = (definition.doc_to_text if getattr(definition, "multiple_input", 0) else definition.doc_to_target)(doc)
    chosen = target if isinstance(target, list) else [target]
    named = [options[option] if isinstance(option, int) and option < len(options) else str(option) for option in chosen]
    return " | ".join(named)
