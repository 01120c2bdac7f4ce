"""The evaluation stage: the trained cells and the base model through one engine, then scores."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from data_mixes.storage import read_sealed
from eval.engines.endpoint import EndpointError
from eval.engines.engine import Adapter, ModelFiles, Request, ScoredRow
from eval.engines.transformers_engine import TransformersEngine
from eval.generation.endpoints import EndpointEvaluation, ask_endpoint
from eval.generation.generate import generate, is_gated
from eval.generation.kept import Answers
from eval.generation.requests import Evaluation, ModelUnderTest
from harness.console import in_groups, progress, say
from harness.errors import Problem, UserError
from harness.evaluation.tables import write_tables
from harness.models.precision import note_in_study
from harness.planning.bases import Base
from harness.planning.study import CellPlan, Study
from harness.runs.folder import StudyFolder
from harness.runs.locks import locked
from harness.runs.steps import cell_of, evaluated_steps, own_step, step_name
from harness.runs.weights import Weights


def evaluate_cells(study: Study, cells: str | None) -> None:
    """Generates what is missing for the chosen trained cells and other models, then scores all there is.

    One process at a time does so, and others may help to generate; it alone asks models behind endpoints. Raises
    UserError, and CanaryError.
    """
    with locked(StudyFolder(study.folder).evaluation_lock):
        everything, answers = generate_cells(study, cells)
        endpoints, chosen = endpoints_of(study), study.choice(cells).outside
        for endpoint in endpoints:
            if endpoint.name in chosen:
                ask(endpoint, answers)
        write_tables(study, everything, endpoints, answers)
        remove_evaluated(study, [*everything.values()], answers)


def generate_cells(study: Study, cells: str | None) -> tuple[dict[Base, Evaluation], Answers]:
    """Generates what is missing for the chosen trained cells and other models, beside processes that do the same.

    Returns the evaluations of all trained cells with the answers that there are. Raises UserError, and CanaryError.
    """
    choice = study.choice(cells)
    trained = [plan for plan in study.plans if plan.run.trained and plan.cell.is_evaluated]
    not_trained = [
        (plan.name, f"{plan.run.record.get('state', 'not trained')}, so not evaluated")
        for plan in study.plans
        if plan.name in choice.cells and plan.cell.is_evaluated and plan not in trained
    ]
    for told in in_groups(not_trained + without_steps(trained, study.recipe.evaluated_every)):
        say(told)
    everything = evaluations_of(study, trained)
    wanted = [
        replace(part, models=[model for model in part.models if cell_of(model.name) in choice.models])
        for part in everything.values()
    ]
    if not any(part.models for part in wanted) and not choice.outside:
        raise UserError([Problem("evaluation", "no chosen cell is trained; first: harness train RECIPE")])
    answers = Answers.read(StudyFolder(study.folder))
    if to_make := told_missing(wanted, answers):
        refuse_removed(study, wanted, answers)
    removed = {plan.name for plan in study.plans if plan.run.weights_removed}
    served = [
        replace(part, models=[model for model in part.models if cell_of(model.name) not in removed]) for part in wanted
    ]
    if to_make or not all(map(is_gated, served)):
        StudyFolder(study.folder).evaluation.mkdir(parents=True, exist_ok=True)
        note_in_study(study.folder, engine=study.engine.version)
        with progress("generating", to_make) as bar:
            for part in served:
                generate(part, answers, bar.advance, bar.say)
    return everything, answers


def without_steps(trained: Sequence[CellPlan], every: int | None) -> list[tuple[str, str]]:
    """Trained cells that keep none of the steps that are to be evaluated, and what to do."""
    told = "trained without steps kept, so none is evaluated; to have some, delete its folder and train it again"
    return [
        (plan.name, told)
        for plan in trained
        if every and own_step(plan.run) > every and not evaluated_steps(plan.run, every)
    ]


def ask(evaluation: EndpointEvaluation, answers: Answers) -> None:
    """Asks a model behind an endpoint for what is missing. Raises UserError where it cannot be asked at all."""
    prompts = evaluation.prompts()
    missing = answers.missing(prompts)
    left = f"{missing} to ask {evaluation.endpoint.identity} for" if missing else "all there already"
    say(f"{len(prompts)} predictions wanted of {evaluation.name}, {left}")
    if not missing:
        return
    try:
        with progress(f"asking {evaluation.name}", missing) as bar:
            ask_endpoint(evaluation, answers, bar.advance, bar.say)
    except EndpointError as error:
        raise UserError([Problem(f"models.{evaluation.name}.endpoint", str(error))]) from None


def told_missing(wanted: Sequence[Evaluation], answers: Answers) -> int:
    """Says how much there is to generate, and returns how much of it is missing."""
    prompts = [part.prompts() for part in wanted]
    asked = [question for part in wanted for question in (*part.asked(Request), *part.asked(ScoredRow))]
    repeated = [prompt for part in wanted for repeat in part.repeated() for prompt in repeat]
    missing, unanswered, unrepeated = map(answers.missing, (chain.from_iterable(prompts), asked, repeated))
    if count := sum(map(len, prompts)):
        say(f"{count} predictions wanted, {f'{missing} to generate' if missing else 'all there already'}")
    if asked:
        left = f"{unanswered} to answer" if unanswered else "all answered already"
        say(f"{len(asked)} questions of lm_eval's, {left}")
    if repeated:
        left = f"{unrepeated} to generate" if unrepeated else "all there already"
        say(f"{len(repeated)} predictions wanted again, in other batches, {left}")
    return missing + unanswered + unrepeated


def refuse_removed(study: Study, wanted: Sequence[Evaluation], answers: Answers) -> None:
    """Raises UserError where a cell whose weights were removed has something left to answer."""
    problems = [
        Problem(plan.name, "its weights were removed after evaluation, as training.keep says, and what it is asked has "
                f"changed since; delete {plan.run.folder} and train it again, with keep: weights")
        for plan in study.plans
        if plan.run.weights_removed and not is_answered(wanted, plan.name, answers)
    ]  # fmt: skip
    if problems:
        raise UserError(problems)


def remove_evaluated(study: Study, evaluations: Sequence[Evaluation], answers: Answers) -> None:
    """Removes the weights of cells that are evaluated, where the recipe keeps nothing after that."""
    for plan in study.plans:
        unwanted = plan.cell.recipe.training.keep == "nothing-after-evaluation"
        if unwanted and plan.run.trained and is_answered(evaluations, plan.name, answers):
            plan.run.remove_weights()


def is_answered(evaluations: Sequence[Evaluation], name: str, answers: Answers) -> bool:
    """Whether a model, and the steps of a cell, have answered all that they are asked."""
    for part in evaluations:
        alone = replace(part, models=[model for model in part.models if cell_of(model.name) == name])
        again = chain.from_iterable(alone.repeated())
        if alone.models and answers.missing(
            chain(alone.prompts(), again, alone.asked(Request), alone.asked(ScoredRow))
        ):
            return False
    return True


def evaluations_of(study: Study, plans: Sequence[CellPlan]) -> dict[Base, Evaluation]:
    """What is to be evaluated, in the words of `eval`, by the whole model that engines load for it.

    Of a base model that is itself, the cells trained on it and adapters from elsewhere; then whole models from
    elsewhere.
    """
    return {
        host: evaluation_on(study, host, [plan for plan in plans if study.base_of(plan.cell) is host])
        for host in study.hosts
    }


def evaluation_on(study: Study, base: Base, plans: Sequence[CellPlan]) -> Evaluation:
    """What is to be evaluated that has this base model, or is it."""
    untuned = ModelUnderTest(base.name, whole=base.files if study.names_bases else None)
    models = [untuned] if study.recipe.evaluation.base and base in study.bases else []
    models += [model for plan in plans for model in trained_models(plan, study.recipe.evaluated_every)]
    models += [model.under_test() for model in study.outside if model.host is base]
    return Evaluation(
        folder=StudyFolder(study.folder).evaluation,
        base=base.files,
        engine_version=study.engine.version,
        models=models,
        evaluation_sets=study.evaluation_sets,
        renderer=base.renderer,
        rendered=base.prompts,
        start_engine=study.engine.start,
        start_reference=TransformersEngine,
        dtype=study.precision.dtype,
        trust_remote_code=base.settings.trust_remote_code,
        identifier=study.recipe.evaluation.identifier,
        thoughts=study.recipe.evaluation.thought_markers,
        tasks=study.recipe.known_tasks,
        repeats=study.recipe.evaluation.repeats,
        questions=[
            question for lm_eval_set in base.lm_eval_sets for part in lm_eval_set.questions for question in part
        ],
    )


def endpoints_of(study: Study) -> list[EndpointEvaluation]:
    """What is to be asked of models behind endpoints."""
    return [
        EndpointEvaluation(
            name=model.name,
            endpoint=model.endpoint,
            chat=model.settings.chat,
            evaluation_sets=study.evaluation_sets,
            tasks=study.recipe.known_tasks,
            words=study.recipe.words,
            verbatim=study.recipe.prompts.verbatim,
            identifier=study.recipe.evaluation.identifier,
            thoughts=study.recipe.evaluation.thought_markers,
        )
        for model in study.outside
        if model.host is None
    ]


def trained_models(plan: CellPlan, every: int | None) -> Iterator[ModelUnderTest]:
    """The model that a trained cell is, and those that it was on its way, every so many steps.

    Raises UserError if its weights are not those that were trained.
    """
    own = plan.run.weights_hash
    assert own is not None
    for step, name in evaluated_steps(plan.run, every).items():
        yield trained_model(plan, step_name(plan.name, step), plan.run.weights_after(step), name)
    yield trained_model(plan, plan.name, plan.run.weights, own)


def trained_model(plan: CellPlan, called: str, weights: Weights, name: str) -> ModelUnderTest:
    """The model of some weights of a trained cell, which `name` names. Raises UserError if they are others."""
    if not plan.run.weights_removed and (not weights.config.is_file() or weights.hash != name):
        message = "is not what this cell's record names; delete the cell's folder and train it again"
        raise UserError([Problem(str(weights.folder), message)])
    folder = weights.folder.resolve()
    if weights.kind == "model":
        return ModelUnderTest(called, whole=ModelFiles(str(folder), None, name))
    rank = plan.cell.recipe.adapter.rank if plan.run.weights_removed else json.loads(read_sealed(weights.config))["r"]
    return ModelUnderTest(called, Adapter(name, folder, rank))
